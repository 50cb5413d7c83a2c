import type { ReadinessReport, StatusReport } from '../admin/status-report.ts';
import { askServer, ServerNotReady } from './admin-client.ts';
import { type CliContext, type Command, CommandFailure, UsageError } from './command.ts';
import { renderNotReady, renderStatus } from './render-status.ts';
import { REMOTE_STATUS_PATH } from '../admin/remote-status.ts';
import { signedGet } from './signed-get.ts';
import type { StorageOptions } from './server-types.ts';
import { loadSecrets, loadSettings, type Settings } from './settings.ts';
import { silentLog } from '../observability/log.ts';
import { lastDiskPaths, readRememberedCluster, requireStateDirectory, searchPaths } from './state-directory.ts';

export const statusCommand: Command = {
  name: 'status',
  summary: 'show the cluster: disks, margin, space, journal, damage, warnings',
  usage: 'status [--json] [--state DIR | --endpoint URL]',
  details: `Asks the running server through the socket in the state directory. Without one it reads the disks, writes nothing,
and says offline; the disks are then those given, or those of the last start. With --endpoint it asks that server by a
request signed with the root key from the configuration, or from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. While the
server recovers it tells phase, percent and time left. Exit code 0 with nothing worse than warnings, 1 with an error or
while requests are not served.`,
  flags: {
    json: { isSwitch: true, what: 'print the report as JSON; fields are only ever added' },
    endpoint: { isSwitch: false, what: 'ask the server at this S3 endpoint, with a signed request' },
  },
  arguments: 'disks',
  run: async (context, invocation) => {
    const settings = await loadSettings(context, invocation);
    if (invocation.own['endpoint'] === undefined) await requireStateDirectory(settings.stateDirectory);
    const isJson = invocation.own['json'] === 'true';
    let report: StatusReport;
    try {
      report = await fetchReport(context, settings, invocation.own['endpoint']);
    } catch (error) {
      if (!(error instanceof ServerNotReady)) throw error;
      context.stdout.write(isJson ? renderNotReadyJson(error.readiness) : renderNotReady(error.readiness));
      return 1;
    }
    context.stdout.write(isJson ? `${JSON.stringify(report, null, 2)}\n` : renderStatus(report));
    return report.warnings.some(({ severity }) => severity === 'error') ? 1 : 0;
  },
};

/** Readiness alone: the rest of the report needs the stores. */
function renderNotReadyJson(readiness: ReadinessReport): string {
  return `${JSON.stringify({ formatVersion: 1, mode: 'not-ready', readiness }, null, 2)}\n`;
}

/** The report of the running server, of the endpoint, or read from the disks. */
export async function fetchReport(
  context: CliContext,
  settings: Settings,
  endpoint: string | undefined,
): Promise<StatusReport> {
  if (endpoint !== undefined) return await askEndpoint(context, settings, endpoint);
  const online = await askServer(settings.stateDirectory, { method: 'GET', path: '/status' });
  return online === undefined ? await readOffline(context, settings) : (online as StatusReport);
}

async function askEndpoint(context: CliContext, settings: Settings, endpoint: string): Promise<StatusReport> {
  if (!/^https?:\/\/[^/?#@]+\/?$/.test(endpoint)) throw new UsageError('--endpoint must be like https://host:9000');
  const { env } = context;
  const { rootKey } = await loadSecrets(settings, context.workingDirectory);
  const accessKeyId = env['AWS_ACCESS_KEY_ID'] ?? '';
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY'] ?? '';
  if (rootKey === undefined && (accessKeyId === '' || secretAccessKey === '')) {
    throw new UsageError('--endpoint needs the root key: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY');
  }
  return (await signedGet({
    endpoint,
    path: REMOTE_STATUS_PATH,
    key: rootKey ?? { accessKeyId, secretAccessKey },
    region: settings.config.s3.region,
    nowMs: context.clock.nowMs(),
  })) as StatusReport;
}

/** What lies on the disks, read without a server; also while one waits for disks. */
export async function readOffline(context: CliContext, settings: Settings): Promise<StatusReport> {
  const options = await offlineOptions(context, settings);
  return await (await context.loadComposition()).readOfflineStatus(options);
}

/** For reading the disks without a server: those given, or those of the last start. @throws CommandFailure when none are known */
export async function offlineOptions(context: CliContext, settings: Settings): Promise<StorageOptions> {
  const remembered = await readRememberedCluster(settings.stateDirectory);
  const diskPaths = searchPaths(settings.diskPaths, remembered);
  if (diskPaths.length === 0) {
    throw new CommandFailure(
      `no server runs with the state directory ${settings.stateDirectory}, and it remembers no disks`,
      {
        hint: 'Name the state directory of the server: --state DIR, or the disks: --disks PATTERN',
      },
    );
  }
  return {
    version: context.version,
    config: settings.config,
    diskPaths,
    lastDiskPaths: lastDiskPaths(remembered),
    stateDirectory: settings.stateDirectory,
    secrets: await loadSecrets(settings, context.workingDirectory),
    expectedClusterId: remembered?.clusterId,
    log: silentLog,
    clock: context.clock,
    randomness: context.randomness,
  };
}
