import type { StatusReport } from '../admin/status-report.ts';
import { STORE_FORMATS } from '../model/store-format.ts';
import { askServer } from './admin-client.ts';
import { type Command, CommandFailure } from './command.ts';
import { loadSettings } from './settings.ts';
import { requireStateDirectory } from './state-directory.ts';
import { fetchReport } from './status-command.ts';

/** Every journal disk is told, then one record is written. */
const TIMEOUT_MS = 120_000;

type OnDiskFormat = StatusReport['onDiskFormat'];

export const upgradeCommand: Command = {
  name: 'upgrade',
  summary: 'show the on-disk format; --finalize raises it, which former versions cannot read',
  usage: 'upgrade [--finalize] [--json] [--state DIR]',
  details: `A new version of Holdfast keeps writing the on-disk format that it finds, so that the former version still opens the
store. --finalize raises the format on the running server, which goes on serving. What needs the new format works from
then on, and former versions refuse the store, saying which one is needed. There is no way back.`,
  flags: {
    finalize: { isSwitch: true, what: 'raise the format to the newest that this version writes' },
    json: { isSwitch: true, what: 'print the active and the newest format as JSON; fields are only ever added' },
  },
  arguments: 'none',
  run: async (context, invocation) => {
    const settings = await loadSettings(context, invocation);
    const { stateDirectory } = settings;
    await requireStateDirectory(stateDirectory);
    const isFinalizing = invocation.own['finalize'] === 'true';
    const format = isFinalizing
      ? await finalize(stateDirectory)
      : (await fetchReport(context, settings, undefined)).onDiskFormat;
    const isJson = invocation.own['json'] === 'true';
    context.stdout.write(isJson ? `${JSON.stringify(format, null, 2)}\n` : describe(format));
    return 0;
  },
};

async function finalize(stateDirectory: string): Promise<OnDiskFormat> {
  const answer = await askServer(stateDirectory, { method: 'POST', path: '/upgrade/finalize', timeoutMs: TIMEOUT_MS });
  if (answer !== undefined) return answer as OnDiskFormat;
  throw new CommandFailure(`no server runs with the state directory ${stateDirectory}`, {
    hint: 'The format is raised by the running server: start it, or name its state directory: --state DIR',
  });
}

function describe({ active, newest }: OnDiskFormat): string {
  const facts = STORE_FORMATS[newest];
  if (active === newest) {
    return `On-disk format ${active}, the newest of this version. Versions of Holdfast before ${facts?.neededVersion} refuse this store.\n`;
  }
  return `On-disk format ${active}; this version writes up to format ${newest}.
Until the upgrade is finalized the former version still opens this store.
Format ${newest} brings: ${facts?.brings}. Until then these answer 501 NotImplemented.
To finalize, while the server runs: holdfast upgrade --finalize
Versions of Holdfast before ${facts?.neededVersion} refuse the store from then on. There is no way back.
`;
}
