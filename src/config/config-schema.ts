import type { ConfigKey } from './config-key.ts';
import { adminSection } from './sections/admin.ts';
import { auditSection } from './sections/audit.ts';
import { durabilitySection } from './sections/durability.ts';
import { encryptionSection } from './sections/encryption.ts';
import { identitySection } from './sections/identity.ts';
import { lifecycleSection } from './sections/lifecycle.ts';
import { limitsSection } from './sections/limits.ts';
import { logSection } from './sections/log.ts';
import { rootSection } from './sections/root.ts';
import { s3Section } from './sections/s3.ts';
import { storageSection } from './sections/storage.ts';
import { tlsSection } from './sections/tls.ts';

/** Sections are tables of the TOML file; names there are in snake case (`buffer_budget`). */
export const CONFIG_SCHEMA = {
  storage: storageSection,
  s3: s3Section,
  tls: tlsSection,
  admin: adminSection,
  lifecycle: lifecycleSection,
  durability: durabilitySection,
  root: rootSection,
  limits: limitsSection,
  encryption: encryptionSection,
  audit: auditSection,
  identity: identitySection,
  log: logSection,
} as const;

type Schema = typeof CONFIG_SCHEMA;
type ValueOf<K> = K extends ConfigKey<infer T> ? T : never;

/** Validated, defaults filled in, deeply frozen. Sizes in bytes, times in milliseconds, rates in bytes per second. */
export type Config = {
  readonly [S in keyof Schema]: { readonly [K in keyof Schema[S]]: ValueOf<Schema[S][K]> };
};
export type LogConfig = Config['log'];

export interface SchemaEntry {
  section: string;
  property: string;
  /** `storage.buffer_budget`. */
  name: string;
  key: ConfigKey<unknown>;
}

/** Every key in the order of the table. */
export const CONFIG_ENTRIES: readonly SchemaEntry[] = Object.entries(CONFIG_SCHEMA).flatMap(([section, keys]) =>
  Object.entries(keys as Record<string, ConfigKey<unknown>>).map(([property, key]) => ({
    section,
    property,
    name: `${section}.${snakeCase(property)}`,
    key,
  })),
);

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
