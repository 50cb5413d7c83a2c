import type { ValueType } from './value-types.ts';

/** One configuration key. Its section under `sections/` is the only place that names it; documentation and flags come from it. */
export interface ConfigKey<T> {
  readonly type: ValueType<T>;
  /** As it would be written in the file. */
  readonly default: string | boolean | number | readonly string[];
  readonly env: string;
  /** `undefined`: a secret, which must not show in a list of processes. */
  readonly flag: string | undefined;
  /** One sentence. */
  readonly what: string;
  /** Why this default. */
  readonly why: string;
  readonly isSecret: boolean;
}

interface KeyOptions<T> {
  type: ValueType<T>;
  default: ConfigKey<T>['default'];
  env: string;
  flag?: string;
  isSecret?: boolean;
  what: string;
  why: string;
}

/** The flag follows from the environment name unless one is given: `HOLDFAST_ADMIN_LISTEN` is `--admin-listen`. */
export function key<T>(options: KeyOptions<T>): ConfigKey<T> {
  const isSecret = options.isSecret ?? false;
  const flag =
    options.flag ??
    options.env
      .replace(/^HOLDFAST_/, '')
      .replaceAll('_', '-')
      .toLowerCase();
  return Object.freeze({ ...options, isSecret, flag: isSecret ? undefined : flag });
}
