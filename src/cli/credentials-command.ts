import path from 'node:path';
import { CredentialStore, type RootKey } from '../access/credential-store.ts';
import { ensureMasterKey, markMasterKeyExported } from '../access/master-key.ts';
import { makePrivateDirectory, writePrivateFile } from '../access/private-file.ts';
import { silentLog } from '../observability/log.ts';
import { askServer } from './admin-client.ts';
import { type CliContext, type Command, CommandFailure, type ExitCode, strayArgument, UsageError } from './command.ts';
import { loadSecrets, loadSettings, type Settings } from './settings.ts';
import {
  lastDiskPaths,
  readAwsCredentials,
  readRememberedCluster,
  requireStateDirectory,
  searchPaths,
  writeAwsCredentials,
} from './state-directory.ts';

export const credentialsCommand: Command = {
  name: 'credentials',
  summary: 'show, rotate or reset the root key; export the master key',
  usage: 'credentials show|rotate|reset|export-key [--state DIR] [--disks PATTERN]',
  details: `show        prints the root key.
rotate      replaces the stored root key; the old one is refused at once. Works with and without a running server.
reset       offline: makes a new master key if it is lost, and a new root key. Buckets and objects stay as they are.
export-key  prints the master key, or writes it to --to FILE (0600); status stops warning that it was never exported.

A root key from the environment or a secrets file wins over the stored one; it is changed where it came from.`,
  flags: { to: { isSwitch: false, what: 'export-key: file to write instead of printing' } },
  arguments: 'subcommand',
  run: async (context, invocation) => {
    const [action, ...rest] = invocation.positionals;
    if (rest[0] !== undefined) throw strayArgument(credentialsCommand, rest[0]);
    const settings = await loadSettings(context, { ...invocation, positionals: [] });
    await requireStateDirectory(settings.stateDirectory);
    if (action === 'show') return await show(context, settings);
    if (action === 'rotate') return await rotate(context, settings);
    if (action === 'reset') return await reset(context, settings);
    if (action === 'export-key') return await exportKey(context, settings, invocation.own['to']);
    if (action !== undefined) throw strayArgument(credentialsCommand, action);
    throw new UsageError('say what to do: holdfast credentials show|rotate|reset|export-key');
  },
};

async function show(context: CliContext, settings: Settings): Promise<ExitCode> {
  const { rootKey } = await loadSecrets(settings, context.workingDirectory);
  const key =
    rootKey ??
    ((await askServer(settings.stateDirectory, { method: 'GET', path: '/credentials' })) as RootKey | undefined) ??
    (await readAwsCredentials(settings.stateDirectory)) ??
    (await changeOffline(context, settings, async () => undefined));
  printKey(context, key);
  if (rootKey !== undefined) context.stderr.write('(from the configuration)\n');
  return 0;
}

async function rotate(context: CliContext, settings: Settings): Promise<ExitCode> {
  await refuseConfiguredKey(context, settings);
  const online = (await askServer(settings.stateDirectory, { method: 'POST', path: '/credentials/rotate' })) as
    RootKey | undefined;
  const key = online ?? (await changeOffline(context, settings, (store, metadata) => store.rotate(metadata)));
  await announceNewKey(context, settings, key);
  return 0;
}

async function reset(context: CliContext, settings: Settings): Promise<ExitCode> {
  await refuseConfiguredKey(context, settings);
  if ((await askServer(settings.stateDirectory, { method: 'GET', path: '/-/live' })) !== undefined) {
    throw new CommandFailure('a server is running; reset works offline', {
      hint: 'With a running server: holdfast credentials rotate',
    });
  }
  if (settings.config.root.masterKey === '' && settings.config.root.masterKeyFile === '') {
    await makePrivateDirectory(settings.stateDirectory);
    await ensureMasterKey(settings.stateDirectory, context.randomness);
  }
  const key = await changeOffline(context, settings, (store, metadata) => store.rotate(metadata));
  await announceNewKey(context, settings, key);
  return 0;
}

async function refuseConfiguredKey(context: CliContext, settings: Settings): Promise<void> {
  const { rootKey } = await loadSecrets(settings, context.workingDirectory);
  if (rootKey === undefined) return;
  throw new CommandFailure('the root key comes from the configuration, which wins over a stored one', {
    hint: 'Change it there (HOLDFAST_ROOT_ACCESS_KEY_ID and HOLDFAST_ROOT_SECRET_ACCESS_KEY, or the secrets file) and restart.',
  });
}

/** Opens the metadata store alone, under its lock. Without a change it opens the stored key. */
async function changeOffline(
  context: CliContext,
  settings: Settings,
  change: (store: CredentialStore, metadata: Parameters<CredentialStore['rotate']>[0]) => Promise<RootKey | undefined>,
): Promise<RootKey> {
  const remembered = await readRememberedCluster(settings.stateDirectory);
  const diskPaths = searchPaths(settings.diskPaths, remembered);
  if (diskPaths.length === 0) {
    throw new CommandFailure(`the state directory ${settings.stateDirectory} remembers no disks`, {
      hint: 'Name them: --disks PATTERN, or the right state directory: --state DIR',
    });
  }
  const secrets = await loadSecrets(settings, context.workingDirectory);
  await makePrivateDirectory(settings.stateDirectory);
  const composition = await context.loadComposition();
  const opened = await composition.openMetadata({
    config: settings.config,
    diskPaths,
    lastDiskPaths: lastDiskPaths(remembered),
    stateDirectory: settings.stateDirectory,
    secrets,
    expectedClusterId: remembered?.clusterId,
    log: silentLog,
    clock: context.clock,
    randomness: context.randomness,
    version: context.version,
  });
  try {
    const credentials = new CredentialStore({
      clusterId: opened.clusterId,
      masterKey: secrets.masterKey,
      configuredRootKey: undefined,
      clock: context.clock,
      randomness: context.randomness,
    });
    const changed = await change(credentials, opened.store);
    if (changed !== undefined) return changed;
    await credentials.open(opened.store);
    return credentials.root;
  } finally {
    await opened.close();
  }
}

async function announceNewKey(context: CliContext, settings: Settings, key: RootKey): Promise<void> {
  const file = await writeAwsCredentials(settings.stateDirectory, key);
  if (context.stdout.isTerminal) printKey(context, key);
  else context.stdout.write(`Access key  ${key.accessKeyId}\nKey file    ${file} (mode 0600)\n`);
}

/** Asked for by name, so it is printed to a pipe as well. */
function printKey(context: CliContext, key: RootKey): void {
  context.stdout.write(`Access key  ${key.accessKeyId}\nSecret key  ${key.secretAccessKey}\n`);
}

async function exportKey(context: CliContext, settings: Settings, to: string | undefined): Promise<ExitCode> {
  const { masterKey } = await loadSecrets(settings, context.workingDirectory);
  if (masterKey === undefined) {
    throw new CommandFailure(`there is no master key in ${settings.stateDirectory}`, {
      hint: 'Name the state directory of the server: --state DIR',
    });
  }
  const hex = `${masterKey.toString('hex')}\n`;
  if (to === undefined) {
    context.stdout.write(hex);
  } else {
    await writePrivateFile(path.resolve(context.workingDirectory, to), hex);
    context.stdout.write(`Wrote ${to} (mode 0600). Keep it somewhere else than the server.\n`);
  }
  await markMasterKeyExported(settings.stateDirectory, masterKey);
  return 0;
}
