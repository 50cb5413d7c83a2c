import type { KeyAction, KeyReport } from '../admin/key-report.ts';
import { askServer } from './admin-client.ts';
import { type Command, CommandFailure, strayArgument, UsageError } from './command.ts';
import { renderTable } from './render-table.ts';
import { loadSettings } from './settings.ts';
import { requireStateDirectory } from './state-directory.ts';

const ACTIONS: ReadonlySet<string> = new Set<KeyAction>(['create', 'rotate', 'enable', 'disable']);

export const kmsCommand: Command = {
  name: 'kms',
  summary: 'keys of the server’s own ring, for SSE-KMS and SSE-S3: create, rotate, disable, list',
  usage: 'kms key list|create|rotate|enable|disable [NAME] [--json] [--state DIR]',
  details: `list     names, ARNs and versions. The key sse-s3 is the server's own, for SSE-S3.
create   makes a key; a name is letters, digits and -. Clients name it, its ARN or alias/NAME.
rotate   makes a new version for what is written from now on. Old versions stay: objects are not rewritten.
disable  refuses the key for writing and reading until it is enabled again.

The ring lies on every disk, sealed by the master key: without the key file nothing that is encrypted can be read. Keep a
copy: holdfast credentials export-key. With encryption.key_service = vault, keys for SSE-KMS are made in Vault.`,
  flags: { json: { isSwitch: true, what: 'print the list as JSON; fields are only ever added' } },
  arguments: 'subcommand',
  run: async (context, invocation) => {
    const [subject, action, name, ...rest] = invocation.positionals;
    if (rest[0] !== undefined) throw strayArgument(kmsCommand, rest[0]);
    if (subject !== 'key' || action === undefined) throw new UsageError(`say what to do: holdfast ${kmsCommand.usage}`);
    const { stateDirectory } = await loadSettings(context, { ...invocation, positionals: [] });
    await requireStateDirectory(stateDirectory);
    if (action !== 'list') {
      if (!ACTIONS.has(action)) throw strayArgument(kmsCommand, action);
      if (name === undefined) throw new UsageError(`name the key: holdfast kms key ${action} NAME`);
      await ask(stateDirectory, { method: 'POST', path: '/keys', body: { action, name } });
    } else if (name !== undefined) {
      throw strayArgument(kmsCommand, name);
    }
    const all = await ask(stateDirectory, { method: 'GET', path: '/keys' });
    const keys = action === 'list' ? all : all.filter((key) => key.name === name);
    const isJson = invocation.own['json'] === 'true';
    context.stdout.write(isJson ? `${JSON.stringify(keys, null, 2)}\n` : describe(keys));
    return 0;
  },
};

async function ask(stateDirectory: string, route: Parameters<typeof askServer>[1]): Promise<KeyReport[]> {
  const answer = await askServer(stateDirectory, route);
  if (answer !== undefined) return (answer as { keys: KeyReport[] }).keys;
  throw new CommandFailure(`no server runs with the state directory ${stateDirectory}`, {
    hint: 'Keys are kept by the running server: start it, or name its state directory: --state DIR',
  });
}

function describe(keys: readonly KeyReport[]): string {
  if (keys.length === 0) return 'No keys yet. The key for SSE-S3 is made when it is first used.\n';
  const rows = keys.map(({ name, arn, isEnabled, versionCount, rotatedAtMs }) => [
    name,
    isEnabled ? 'enabled' : 'disabled',
    String(versionCount),
    new Date(rotatedAtMs).toISOString(),
    arn ?? '(for SSE-S3)',
  ]);
  return `${renderTable([['NAME', 'STATE', 'VERSIONS', 'NEWEST SINCE', 'ARN'], ...rows]).join('\n')}\n`;
}
