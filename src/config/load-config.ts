import { parse as parseToml, TomlError } from 'smol-toml';
import { CONFIG_ENTRIES, type Config, type SchemaEntry } from './config-schema.ts';
import { storageClassesOf } from '../model/storage-class.ts';
import { suggest } from './suggest.ts';
import { InvalidValue } from './value-types.ts';

/** Everything a configuration can come from. Nothing is read from the process here. */
export interface ConfigSources {
  /** The TOML text and its name for messages. */
  file?: { name: string; text: string };
  env: Readonly<Record<string, string | undefined>>;
  /** Flag name (without `--`) to value; a list for flags that were repeated. */
  flags: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Stand in for the table's defaults, by key name: `npm start` knows its own disks. */
  defaults?: Readonly<Record<string, string | readonly string[]>>;
}

export interface ConfigProblem {
  /** `--listen`, `HOLDFAST_LISTEN` or `holdfast.toml: s3.listen`. */
  where: string;
  problem: string;
}

/** Carries every problem of a configuration at once: the command line prints them and ends with 2. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ where, problem }) => `${where} ${problem}`).join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Environment names that are ours but no configuration keys. */
const OTHER_ENVIRONMENT_NAMES = ['HOLDFAST_CONFIG'] as const;

/** A Kubernetes service called `holdfast` puts these into every pod of its namespace. */
const KUBERNETES_SERVICE_VARIABLE = /^HOLDFAST_(?:SERVICE_(?:HOST|PORT)|PORT)(?:_[A-Z0-9_]+)?$/;

/**
 * Defaults ← file ← environment ← flags, checked as a whole.
 * @throws ConfigError with all problems
 */
export function loadConfig(sources: ConfigSources): Config {
  const problems: ConfigProblem[] = [];
  const fileValues = sources.file === undefined ? new Map<string, unknown>() : readFile(sources.file, problems);
  checkEnvironmentNames(sources.env, problems);

  const config: Record<string, Record<string, unknown>> = {};
  const origins = new Map<string, string>();
  for (const entry of CONFIG_ENTRIES) {
    const { raw, where } = chooseSource(entry, { ...sources, fileValues });
    origins.set(entry.name, where);
    try {
      (config[entry.section] ??= {})[entry.property] = entry.key.type.parse(raw);
    } catch (error) {
      if (!(error instanceof InvalidValue)) throw error;
      const shown = entry.key.isSecret ? '' : ` (${JSON.stringify(raw)})`;
      problems.push({ where, problem: `${error.message}${shown}` });
    }
  }
  if (problems.length === 0) checkTogether(config as unknown as Config, origins, problems);
  if (problems.length > 0) throw new ConfigError(problems);
  for (const section of Object.values(config)) Object.freeze(section);
  return Object.freeze(config) as unknown as Config;
}

function chooseSource(
  entry: SchemaEntry,
  sources: ConfigSources & { fileValues: ReadonlyMap<string, unknown> },
): { raw: unknown; where: string } {
  const flag = entry.key.flag === undefined ? undefined : sources.flags[entry.key.flag];
  if (flag !== undefined) {
    const raw = typeof flag === 'string' || entry.key.type.tomlKind === 'list' ? flag : flag.at(-1);
    return { raw: Array.isArray(raw) ? raw.join(' ') : raw, where: `--${entry.key.flag}` };
  }
  const env = sources.env[entry.key.env];
  if (env !== undefined) return { raw: env, where: entry.key.env };
  if (sources.fileValues.has(entry.name)) {
    return { raw: sources.fileValues.get(entry.name), where: `${sources.file?.name ?? ''}: ${entry.name}` };
  }
  return { raw: sources.defaults?.[entry.name] ?? entry.key.default, where: entry.name };
}

/** Leaves of the TOML document by dotted name; unknown ones become problems. */
function readFile(file: { name: string; text: string }, problems: ConfigProblem[]): Map<string, unknown> {
  const values = new Map<string, unknown>();
  let document: Record<string, unknown>;
  try {
    document = parseToml(file.text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    problems.push({ where: `${file.name}:${error.line}:${error.column}`, problem: `is not TOML: ${firstLine(error)}` });
    return values;
  }
  const sections = new Set(CONFIG_ENTRIES.map((entry) => entry.section));
  const names = CONFIG_ENTRIES.map((entry) => entry.name);
  for (const [section, content] of Object.entries(document)) {
    if (!sections.has(section) || !isTable(content)) {
      const hint = names.find((name) => name.endsWith(`.${section}`)) ?? suggest(section, [...sections]);
      problems.push({ where: `${file.name}: ${section}`, problem: `is no section${didYouMean(hint)}` });
      continue;
    }
    for (const [property, value] of Object.entries(content)) {
      const name = `${section}.${property}`;
      if (names.includes(name)) values.set(name, value);
      else {
        const hint = suggest(name, names) ?? names.find((known) => known.endsWith(`.${property}`));
        problems.push({ where: `${file.name}: ${name}`, problem: `is an unknown key${didYouMean(hint)}` });
      }
    }
  }
  return values;
}

function checkEnvironmentNames(env: ConfigSources['env'], problems: ConfigProblem[]): void {
  const known: string[] = [...CONFIG_ENTRIES.map((entry) => entry.key.env), ...OTHER_ENVIRONMENT_NAMES];
  for (const name of Object.keys(env)) {
    if (!name.startsWith('HOLDFAST_') || known.includes(name) || KUBERNETES_SERVICE_VARIABLE.test(name)) continue;
    problems.push({ where: name, problem: `is an unknown variable${didYouMean(suggest(name, known))}` });
  }
}

/** Rules over more than one key. */
function checkTogether(config: Config, origins: ReadonlyMap<string, string>, problems: ConfigProblem[]): void {
  const { root } = config;
  if ((root.accessKeyId === '') !== (root.secretAccessKey === '')) {
    const missing = root.accessKeyId === '' ? 'HOLDFAST_ROOT_ACCESS_KEY_ID' : 'HOLDFAST_ROOT_SECRET_ACCESS_KEY';
    problems.push({ where: missing, problem: 'must be set together with the other half of the root key' });
  }
  if (root.accessKeyId !== '' && root.secretsFile !== '') {
    problems.push({
      where: origins.get('root.secrets_file') ?? '',
      problem: 'and a root key are both set; keep one of them',
    });
  }
  if (root.masterKey !== '' && root.masterKeyFile !== '') {
    problems.push({
      where: origins.get('root.master_key_file') ?? '',
      problem: 'and the master key itself are both set; keep one of them',
    });
  }
  const { keyService, vaultAddress, vaultToken } = config.encryption;
  if (keyService === 'vault' && (vaultAddress === '' || vaultToken === '')) {
    const where = origins.get('encryption.key_service') ?? '';
    problems.push({ where, problem: 'vault needs HOLDFAST_VAULT_ADDRESS and HOLDFAST_VAULT_TOKEN as well' });
  }
  const classes = new Set(storageClassesOf({ k: 1, m: 0 }, config.storage.classes).map(({ name }) => name));
  for (const { pattern, storageClass } of config.storage.bucketClasses) {
    if (classes.has(storageClass)) continue;
    problems.push({
      where: origins.get('storage.bucket_classes') ?? '',
      problem: `gives ${pattern} the class ${storageClass}; there are ${[...classes].join(', ')}`,
    });
  }
  if (config.s3.listen.length === 0) {
    problems.push({ where: origins.get('s3.listen') ?? '', problem: 'names no address' });
  }
  if (!config.admin.allowRemote) {
    for (const address of config.admin.listen.filter(({ host }) => !isLoopback(host))) {
      problems.push({
        where: origins.get('admin.listen') ?? '',
        problem: `names ${address.host}, which is not loopback; set admin.allow_remote = true if you mean it`,
      });
    }
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function didYouMean(hint: string | undefined): string {
  return hint === undefined ? '' : `; did you mean ${hint}?`;
}

function firstLine(error: Error): string {
  return error.message.split('\n', 1)[0]?.replace(/^Invalid TOML document: /, '') ?? '';
}
