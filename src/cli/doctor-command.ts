import type { Finding, StatusReport } from '../admin/status-report.ts';
import { silentLog } from '../observability/log.ts';
import { askServer, ServerNotReady } from './admin-client.ts';
import type { CliContext, Command } from './command.ts';
import { measureSyncs } from './doctor/disk-checks.ts';
import { briefFindings } from './doctor/doctor.ts';
import { checkClock, checkPorts } from './doctor/machine-checks.ts';
import { loadSecrets, loadSettings, type Settings } from './settings.ts';
import { checkStateDirectory, lastDiskPaths, readRememberedCluster, searchPaths } from './state-directory.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'check disks, syncs, rights, ports, clock and limits',
  usage: `doctor [--disks '/mnt/disk{1..6}'] [--state DIR] [--json]`,
  details: `Each finding has a code and the line that fixes it. Writes nothing that stays: syncs are measured on files without a
name. The ports and the journal are checked only while no server runs. Exit code 0 with nothing worse than
warnings, 1 with an error: something that a start would refuse, or that loses data.`,
  flags: { json: { isSwitch: true, what: 'print the findings as JSON' } },
  arguments: 'disks',
  run: async (context, invocation) => {
    const named = await loadSettings(context, invocation);
    const refusal = await checkStateDirectory(named.stateDirectory);
    const findings = refusal === undefined ? await examine(context, named) : [refusal];
    if (invocation.own['json'] === 'true') context.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
    else context.stdout.write(renderFindings(findings));
    return findings.some(({ severity }) => severity === 'error') ? 1 : 0;
  },
};

async function examine(context: CliContext, named: Settings): Promise<Finding[]> {
  const remembered = await readRememberedCluster(named.stateDirectory);
  const settings = { ...named, diskPaths: searchPaths(named.diskPaths, remembered) };
  const { config, diskPaths, stateDirectory } = settings;
  const secrets = await loadSecrets(settings, context.workingDirectory);
  const findings = await briefFindings({ settings, secrets });
  findings.push(...(await measureSyncs(diskPaths, () => context.clock.monotonicMs())));
  const online = await askStatus(stateDirectory);
  if (online instanceof ServerNotReady) {
    return [...findings, { code: 'server-not-ready', severity: 'info', message: online.message, fix: undefined }];
  }
  if (online !== undefined) {
    findings.push(...checkClock(context.clock.nowMs(), online.journal.lastRecordAtMs));
    return withOthers(findings, online.warnings);
  }
  findings.push(
    ...(await checkPorts([
      ...config.s3.listen.map((address) => ({ address, flag: '--listen' })),
      ...config.admin.listen.map((address) => ({ address, flag: '--admin-listen' })),
    ])),
  );
  if (remembered === undefined || diskPaths.length === 0) return findings;
  const composition = await context.loadComposition();
  const report = await composition.readOfflineStatus({
    version: context.version,
    config,
    diskPaths,
    lastDiskPaths: lastDiskPaths(remembered),
    stateDirectory,
    secrets,
    expectedClusterId: remembered.clusterId,
    log: silentLog,
    clock: context.clock,
    randomness: context.randomness,
  });
  findings.push(...checkClock(context.clock.nowMs(), report.journal.lastRecordAtMs));
  return withOthers(findings, report.warnings);
}

/** What the server or the disks say of themselves, beside what was found here. */
function withOthers(findings: readonly Finding[], others: readonly Finding[]): Finding[] {
  return [...findings, ...others.filter(({ code }) => !findings.some((finding) => finding.code === code))];
}

async function askStatus(stateDirectory: string): Promise<StatusReport | ServerNotReady | undefined> {
  try {
    return (await askServer(stateDirectory, { method: 'GET', path: '/status' })) as StatusReport | undefined;
  } catch (error) {
    if (error instanceof ServerNotReady) return error;
    throw error;
  }
}

function renderFindings(findings: readonly Finding[]): string {
  if (findings.length === 0) return 'Nothing found.\n';
  const mark = { info: 'ok   ', warning: 'WARN ', error: 'ERROR' } as const;
  return findings
    .map(({ code, severity, message, fix }) => {
      const line = `${mark[severity]} ${message} [${code}]\n`;
      return fix === undefined ? line : `${line}      ${fix.replaceAll('\n', '\n      ')}\n`;
    })
    .join('');
}
