import path from 'node:path';
import { parse as parseToml, TomlError } from 'smol-toml';
import type { RootKey } from '../access/credential-store.ts';
import { masterKeyFile, parseMasterKey, readMasterKey } from '../access/master-key.ts';
import { readFileIfPresent } from '../access/private-file.ts';
import { CONFIG_SCHEMA, type Config } from '../config/config-schema.ts';
import { expandDiskPatterns } from '../config/disk-patterns.ts';
import { ConfigError, loadConfig } from '../config/load-config.ts';
import { InvalidValue } from '../config/value-types.ts';
import type { CliContext, Invocation } from './command.ts';
import type { Secrets } from './server-types.ts';
import { defaultStateDirectory } from './state-directory.ts';

/** The configuration with what depends on the machine resolved. Nothing has been written yet. */
export interface Settings {
  config: Config;
  /** Absolute. */
  stateDirectory: string;
  /** Absolute, expanded. */
  diskPaths: string[];
  /** As written, for lines to paste. */
  diskPatterns: readonly string[];
}

/** Reads `--config` (or HOLDFAST_CONFIG), merges all sources and expands paths. @throws ConfigError */
export async function loadSettings(
  context: CliContext,
  invocation: Invocation,
  defaults: Readonly<Record<string, string | readonly string[]>> = {},
): Promise<Settings> {
  const name = invocation.own['config'] ?? context.env['HOLDFAST_CONFIG'];
  const file = name === undefined || name === '' ? undefined : await readConfigFile(context, name);
  const flags = { ...invocation.configFlags };
  if (invocation.positionals.length > 0) {
    const disks = flags['disks'] ?? [];
    flags['disks'] = [...(typeof disks === 'string' ? [disks] : disks), ...invocation.positionals];
  }
  const config = loadConfig({ ...(file === undefined ? {} : { file }), env: context.env, flags, defaults });
  const stateDirectory = config.storage.stateDirectory || defaultStateDirectory(context.env);
  return {
    config,
    stateDirectory: path.resolve(context.workingDirectory, stateDirectory),
    diskPaths: await expandDisks(config, context.workingDirectory),
    diskPatterns: config.storage.disks,
  };
}

async function readConfigFile(context: CliContext, name: string): Promise<{ name: string; text: string }> {
  const text = await readFileIfPresent(path.resolve(context.workingDirectory, name)).catch((error: unknown) => {
    throw new ConfigError([{ where: name, problem: `cannot be read: ${(error as Error).message}` }]);
  });
  if (text === undefined) throw new ConfigError([{ where: name, problem: 'does not exist' }]);
  return { name, text };
}

async function expandDisks(config: Config, workingDirectory: string): Promise<string[]> {
  try {
    return await expandDiskPatterns(config.storage.disks, workingDirectory);
  } catch (error) {
    throw new ConfigError([{ where: 'storage.disks', problem: `cannot be expanded: ${(error as Error).message}` }]);
  }
}

/** Root key and master key from wherever the configuration says. Makes nothing. @throws ConfigError */
export async function loadSecrets(settings: Settings, workingDirectory: string): Promise<Secrets> {
  const { root } = settings.config;
  const rootKey =
    root.accessKeyId === '' ? undefined : { accessKeyId: root.accessKeyId, secretAccessKey: root.secretAccessKey };
  return {
    rootKey:
      root.secretsFile === '' ? rootKey : await readSecretsFile(path.resolve(workingDirectory, root.secretsFile)),
    masterKey: await loadMasterKey(settings, workingDirectory),
  };
}

async function loadMasterKey(settings: Settings, workingDirectory: string): Promise<Buffer | undefined> {
  const { root } = settings.config;
  if (root.masterKey !== '') return parseMasterKey(root.masterKey);
  const named = root.masterKeyFile === '' ? undefined : path.resolve(workingDirectory, root.masterKeyFile);
  const file = named ?? masterKeyFile(settings.stateDirectory);
  try {
    const key = await readMasterKey(file);
    if (key === undefined && named !== undefined) throw new Error('does not exist');
    return key;
  } catch (error) {
    throw new ConfigError([{ where: file, problem: (error as Error).message }]);
  }
}

async function readSecretsFile(file: string): Promise<RootKey> {
  const problems: { where: string; problem: string }[] = [];
  let document: Record<string, unknown> = {};
  try {
    const text = await readFileIfPresent(file);
    if (text === undefined) problems.push({ where: file, problem: 'does not exist' });
    else document = parseToml(text);
  } catch (error) {
    const reason =
      error instanceof TomlError ? `is not TOML at ${error.line}:${error.column}` : (error as Error).message;
    problems.push({ where: file, problem: reason });
  }
  const read = (name: string, type: { parse(raw: unknown): string }): string => {
    try {
      const value = type.parse(document[name] ?? '');
      if (value === '') throw new InvalidValue('is missing');
      return value;
    } catch (error) {
      problems.push({ where: `${file}: ${name}`, problem: (error as Error).message });
      return '';
    }
  };
  if (problems.length > 0) throw new ConfigError(problems);
  const accessKeyId = read('access_key_id', CONFIG_SCHEMA.root.accessKeyId.type);
  const secretAccessKey = read('secret_access_key', CONFIG_SCHEMA.root.secretAccessKey.type);
  if (problems.length > 0) throw new ConfigError(problems);
  return { accessKeyId, secretAccessKey };
}
