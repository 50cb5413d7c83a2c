import { IamError, invalidMember } from '../errors/iam-error.ts';

/** What an operation reads of its request, as data: the reader accepts nothing else, and its values have these types. */
export interface Parameter<T> {
  /** @throws IamError ValidationError */
  read(source: ParameterSource, name: string): T;
}

export type ParameterSpecs = Readonly<Record<string, Parameter<unknown>>>;
export type ParameterValues<P extends ParameterSpecs> = {
  readonly [K in keyof P]: P[K] extends Parameter<infer T> ? T : never;
};

/** Flat form parameters, and which of them nobody has asked for yet. */
export class ParameterSource {
  readonly #values: ReadonlyMap<string, string>;
  readonly #unread: Set<string>;

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
    this.#unread = new Set(values.keys());
  }

  take(name: string): string | undefined {
    this.#unread.delete(name);
    return this.#values.get(name);
  }

  /** Is there a parameter of this name, or one below it? */
  has(name: string): boolean {
    if (this.#values.has(name)) return true;
    for (const key of this.#values.keys()) if (key.startsWith(`${name}.`)) return true;
    return false;
  }

  get unread(): readonly string[] {
    return [...this.#unread];
  }
}

/**
 * All parameters of an operation. One that the operation does not know is refused rather than ignored.
 * @throws IamError ValidationError
 */
export function readParameters<P extends ParameterSpecs>(
  specs: P,
  values: ReadonlyMap<string, string>,
  operation: string,
): ParameterValues<P> {
  const source = new ParameterSource(values);
  for (const name of ['Action', 'Version']) source.take(name);
  const entries = Object.entries(specs).map(([name, spec]) => [name, spec.read(source, name)] as const);
  const [unknown] = source.unread;
  if (unknown !== undefined) {
    throw new IamError('ValidationError', `The parameter ${unknown} is not valid for ${operation}.`);
  }
  return Object.fromEntries(entries) as ParameterValues<P>;
}

export interface TextBounds {
  readonly min?: number;
  readonly max?: number;
  /** The whole value must match. */
  readonly pattern?: RegExp;
  readonly oneOf?: readonly string[];
}

/** A required string. Bounds count UTF-16 code units, as IAM's do. */
export function text({ min = 0, max = 131_072, pattern, oneOf }: TextBounds = {}): Parameter<string> {
  return {
    read(source, name) {
      const value = source.take(name);
      if (value === undefined) throw invalidMember(name, null, 'Member must not be null');
      if (value.length < min) {
        throw invalidMember(name, value, `Member must have length greater than or equal to ${min}`);
      }
      if (value.length > max) throw invalidMember(name, value, `Member must have length less than or equal to ${max}`);
      if (pattern !== undefined && !pattern.test(value)) {
        throw invalidMember(name, value, `Member must satisfy regular expression pattern: ${pattern.source}`);
      }
      if (oneOf !== undefined && !oneOf.includes(value)) {
        throw invalidMember(name, value, `Member must satisfy enum value set: [${oneOf.join(', ')}]`);
      }
      return value;
    },
  };
}

export function integer({ min, max }: { min: number; max: number }): Parameter<number> {
  return {
    read(source, name) {
      const value = source.take(name);
      if (value === undefined) throw invalidMember(name, null, 'Member must not be null');
      if (!/^-?\d{1,15}$/.test(value)) throw invalidMember(name, value, 'Member must be an integer');
      const number = Number(value);
      if (number < min) throw invalidMember(name, value, `Member must have value greater than or equal to ${min}`);
      if (number > max) throw invalidMember(name, value, `Member must have value less than or equal to ${max}`);
      return number;
    },
  };
}

export function flag(): Parameter<boolean> {
  return {
    read(source, name) {
      const value = source.take(name);
      if (value === undefined) throw invalidMember(name, null, 'Member must not be null');
      if (value !== 'true' && value !== 'false') throw invalidMember(name, value, 'Member must be true or false');
      return value === 'true';
    },
  };
}

/** Known to AWS, and not to this server: said rather than ignored. */
export function notImplemented(what: string): Parameter<undefined> {
  return {
    read(source, name) {
      if (source.has(name)) throw new IamError('NotImplemented', `${what} is not implemented.`);
      return undefined;
    },
  };
}

/** `undefined` when neither it nor anything below it is sent. */
export function optional<T>(inner: Parameter<T>): Parameter<T | undefined> {
  return { read: (source, name) => (source.has(name) ? inner.read(source, name) : undefined) };
}

/** `Name.member.1`, `Name.member.2` …; empty when there are none. A gap leaves the rest unread, which is refused. */
export function members<T>(element: Parameter<T>, { max = 1000 }: { max?: number } = {}): Parameter<readonly T[]> {
  return {
    read(source, name) {
      // Clients send an empty list as an empty parameter of its name.
      const whole = source.take(name);
      if (whole !== undefined && whole !== '') throw invalidMember(name, whole, 'Member must be a list');
      const list: T[] = [];
      for (let index = 1; source.has(`${name}.member.${index}`); index += 1) {
        if (list.length === max) {
          throw invalidMember(name, null, `Member must have length less than or equal to ${max}`);
        }
        list.push(element.read(source, `${name}.member.${index}`));
      }
      return list;
    },
  };
}

/** `Name.Key`, `Name.Value`. */
export function structure<P extends ParameterSpecs>(specs: P): Parameter<ParameterValues<P>> {
  return {
    read: (source, name) =>
      Object.fromEntries(
        Object.entries(specs).map(([member, spec]) => [member, spec.read(source, `${name}.${member}`)]),
      ) as ParameterValues<P>,
  };
}
