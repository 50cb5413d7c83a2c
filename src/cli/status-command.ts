import type { StatusReport } from '../admin/status-report.ts';
import { askServer } from './admin-client.ts';
import { type CliContext, type Command, CommandFailure } from './command.ts';
import { renderStatus } from './render-status.ts';
import { loadSecrets, loadSettings, type Settings } from './settings.ts';
import { silentLog } from '../observability/log.ts';
import { readRememberedCluster } from './state-directory.ts';

export const statusCommand: Command = {
  name: 'status',
  summary: 'show the cluster: disks, margin, space, journal, damage, warnings',
  usage: 'status [--json] [--state DIR]',
  details: `Asks the running server through the socket in the state directory. Without one it reads the disks, writes nothing,
and says offline; the disks are then those given, or those of the last start. Exit code 1 when something needs attention.`,
  flags: { json: { isSwitch: true, what: 'print the report as JSON; fields are only ever added' } },
  arguments: 'disks',
  run: async (context, invocation) => {
    const settings = await loadSettings(context, invocation);
    const online = await askServer(settings.stateDirectory, { method: 'GET', path: '/status' });
    const report = online === undefined ? await readOffline(context, settings) : (online as StatusReport);
    context.stdout.write(
      invocation.own['json'] === 'true' ? `${JSON.stringify(report, null, 2)}\n` : renderStatus(report),
    );
    return report.warnings.some(({ severity }) => severity === 'error') ? 1 : 0;
  },
};

async function readOffline(context: CliContext, settings: Settings): Promise<StatusReport> {
  const remembered = await readRememberedCluster(settings.stateDirectory);
  const diskPaths = settings.diskPaths.length > 0 ? settings.diskPaths : (remembered?.diskPaths ?? []);
  if (diskPaths.length === 0) {
    throw new CommandFailure(
      `no server runs with the state directory ${settings.stateDirectory}, and it remembers no disks`,
      {
        hint: 'Name the state directory of the server: --state DIR, or the disks: --disks PATTERN',
      },
    );
  }
  const composition = await context.loadComposition();
  return await composition.readOfflineStatus({
    version: context.version,
    config: settings.config,
    diskPaths,
    stateDirectory: settings.stateDirectory,
    secrets: await loadSecrets(settings, context.workingDirectory),
    expectedClusterId: remembered?.clusterId,
    log: silentLog,
    clock: context.clock,
    randomness: context.randomness,
  });
}
