import type { DiskReport, ReadinessReport, StatusReport } from '../admin/status-report.ts';
import { CALENDAR_DAY_MS } from '../service/lifecycle/lifecycle-days.ts';
import { describeReadiness } from './progress.ts';
import { describeScrub } from './scrub-command.ts';
import { formatBytes, renderTable } from './render-table.ts';

/** Buckets with a default of their own that text names. */
const SHOWN_BUCKETS = 20;

/** The report as text of at most 120 columns for a person. */
export function renderStatus(report: StatusReport): string {
  const { cluster, code, writeCode, volumes, counts } = report;
  const lines = [
    `Cluster     ${cluster.id}  region ${cluster.region}${cluster.accountId === undefined ? '' : `  account ${cluster.accountId}`}`,
    `Server      ${report.mode === 'offline' ? 'offline' : describeReadiness(report.readiness)}${report.endpoints.length > 0 ? `  ${report.endpoints.join(' ')}` : ''}`,
    `Syncing     ${report.durability.sync === 'strict' ? 'strict: acknowledged is synced' : 'RELAXED: acknowledged is NOT yet synced, a power cut loses it'}`,
    `Margin      ${describeMargin(report.marginDiskCount)}`,
    `Code        ${code.k}+${code.m}${report.mode === 'online' ? describeWriteCode(writeCode) : ''}`,
    ...report.storageClasses.slice(1).flatMap(({ name, code: own, liveBytes, marginDiskCount }) => {
      if (marginDiskCount === undefined) return [];
      return [`            ${name} ${own.k}+${own.m}: ${formatBytes(liveBytes)}, ${describeMargin(marginDiskCount)}`];
    }),
    `Content     ${counts.buckets} buckets, ${counts.objects} objects, ${counts.uploads} uploads in progress`,
    `Volumes     ${volumes.open} open, ${volumes.sealed} sealed, ${volumes.dropping} being dropped; ${formatBytes(volumes.liveBytes)} live of ${formatBytes(volumes.storedBytes)}`,
    `Journal     epoch ${report.journal.epoch}, sequence ${report.journal.sequence}; ${report.checkpoints.length} checkpoints`,
    `Format      ${describeFormat(report.onDiskFormat)}`,
    `Damage      ${report.damagedShardCount === 0 ? 'none known' : `${report.damagedShardCount} shards wait for repair`}`,
  ];
  if (report.collector !== undefined) {
    const { isRunning, movedBytes, droppedVolumeCount, rateLimitBytesPerSecond } = report.collector;
    lines.push(
      `Collector   ${isRunning ? 'working' : 'idle'}; moved ${formatBytes(movedBytes)}, dropped ${droppedVolumeCount} volumes; at most ${formatBytes(rateLimitBytesPerSecond)}/s`,
    );
  }
  lines.push(
    ...describeHealing(report),
    ...describeLifecycle(report.lifecycle),
    ...describeEncryption(report.encryption),
    '',
    ...diskTable(report.disks),
  );
  if (report.warnings.length > 0) lines.push('');
  for (const { severity, code: findingCode, message, fix } of report.warnings) {
    lines.push(`${severity === 'info' ? '-' : '!'} ${message} [${findingCode}]`);
    if (fix !== undefined) lines.push(`    ${fix.replaceAll('\n', '\n    ')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** All that is known while a server recovers or stops. */
export function renderNotReady(readiness: ReadinessReport): string {
  return `Server      ${describeReadiness(readiness)}; requests are answered 503 until it is ready\n`;
}

function describeWriteCode(code: StatusReport['writeCode']): string {
  return code === undefined ? ', new data REFUSED: too few usable disks' : `, new data ${code.k}+${code.m}`;
}

function describeFormat({ active, newest }: StatusReport['onDiskFormat']): string {
  return active === newest ? `${active} on disk` : `${active} on disk; ${newest} after holdfast upgrade --finalize`;
}

function describeMargin(count: number): string {
  if (count < 0) return 'NONE: some bytes cannot be read now';
  if (count === 0) return 'NO further disk may be lost';
  return `${count} more disk${count === 1 ? '' : 's'} may be lost now`;
}

function diskTable(disks: readonly DiskReport[]): string[] {
  const rows = [
    ['disk', 'state', 'free', 'total', 'used', 'live', 'dead', 'reclaim', 'journal', 'level', 'path'],
    ...disks.map((disk) => [
      String(disk.index),
      disk.state,
      formatBytes(disk.freeBytes),
      formatBytes(disk.totalBytes),
      formatBytes(disk.usedBytes),
      formatBytes(disk.liveBytes),
      formatBytes(disk.deadBytes),
      formatBytes(disk.reclaimableBytes),
      formatBytes(disk.journalBytes),
      disk.isLevel ? 'yes' : 'NO',
      `${disk.path ?? `(was at ${disk.lastPath ?? 'an unknown place'})`}${disk.stateReason === undefined ? '' : `  ${disk.stateReason}`}`,
    ]),
  ];
  return renderTable(rows);
}

function describeHealing({ degraded, healing, scrub, lastCensus }: StatusReport): string[] {
  const lines: string[] = [];
  const { volumeCount, suspectFileCount, sinceMs } = degraded;
  const since = sinceMs === undefined ? '' : ` since ${new Date(sinceMs).toISOString()}`;
  const isDegraded = volumeCount > 0 || suspectFileCount > 0;
  lines.push(
    `Degraded    ${isDegraded ? `${volumeCount} volumes without all their disks, ${suspectFileCount} shard files to repair${since}` : 'nothing known'}`,
  );
  if (healing !== undefined) {
    const { isRunning, leftBytes, rateBytesPerSecond, timeLeftMs, repairedFileCount, writtenBytes, disksToRead } =
      healing;
    const rate = rateBytesPerSecond === undefined ? '' : ` at ${formatBytes(rateBytesPerSecond)}/s`;
    const left = timeLeftMs === undefined ? '' : `, ${Math.ceil(timeLeftMs / 1000)} s left`;
    const reading = disksToRead === 0 ? '' : `, reading ${disksToRead} disks that were away`;
    const now = isRunning ? `working, ${formatBytes(leftBytes)} to go${rate}${left}${reading}` : 'idle';
    lines.push(`Healer      ${now}; repaired ${repairedFileCount} files, wrote ${formatBytes(writtenBytes)}`);
    if (healing.lastError !== undefined) lines.push(`            last failure: ${healing.lastError}`);
  }
  if (scrub !== undefined) lines.push(`Scrub       ${describeScrub(scrub)}`);
  if (lastCensus !== undefined) {
    const found = lastCensus.isClean ? 'everything at full redundancy' : 'NOT clean, see holdfast census';
    lines.push(`Census      ${new Date(lastCensus.endedAtMs).toISOString()}: ${found}`);
  }
  return lines;
}

/** A line for what happens everywhere, and one for each bucket. */
function describeEncryption(encryption: StatusReport['encryption']): string[] {
  if (encryption === undefined) return [];
  const { byDefault, keyService, keyRingProblem, buckets } = encryption;
  const everywhere = byDefault === 'none' ? 'where it is asked for' : `${byDefault} by default`;
  const keys = keyRingProblem === undefined ? '' : '; the key ring is LOCKED';
  const shown = buckets.slice(0, SHOWN_BUCKETS).map(({ name, algorithm, keyId }) => {
    return `            by default in ${name}: ${algorithm}${keyId === undefined ? '' : ` with ${keyId}`}`;
  });
  const rest = buckets.length - shown.length;
  return [
    `Encryption  ${everywhere}; key service ${keyService}${keys}`,
    ...shown,
    ...(rest > 0 ? [`            and in ${rest} more: holdfast status --json`] : []),
  ];
}

function describeLifecycle(lifecycle: StatusReport['lifecycle']): string[] {
  if (lifecycle === undefined) return [];
  const { dayMs, isRunning, isFrozen, lastFinishedAtMs, lagMs, counts, lastError } = lifecycle;
  const clock = dayMs === CALENDAR_DAY_MS ? '' : `TEST CLOCK, a day is ${dayMs / 1000} s; `;
  const state = isFrozen ? 'FROZEN until the clock is accepted' : isRunning ? 'working' : 'idle';
  const last = lastFinishedAtMs === undefined ? '' : `, last pass ended ${new Date(lastFinishedAtMs).toISOString()}`;
  const lag = lagMs === 0 ? '' : `, ${Math.ceil(lagMs / 1000)} s behind`;
  const { expired, deleted, aborted, transitioned, locked } = counts;
  const lines = [
    `Lifecycle   ${clock}${state}${last}${lag}; expired ${expired} objects, ended ${deleted} old versions and ${aborted} uploads, moved ${transitioned} to other classes, ${locked} locked`,
  ];
  if (lastError !== undefined) lines.push(`            last failure: ${lastError}`);
  return lines;
}
