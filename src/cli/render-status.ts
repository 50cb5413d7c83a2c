import type { DiskReport, ReadinessReport, StatusReport } from '../admin/status-report.ts';
import { describeReadiness } from './progress.ts';

/** The report as text of at most 120 columns for a person. */
export function renderStatus(report: StatusReport): string {
  const { cluster, code, writeCode, volumes, counts } = report;
  const lines = [
    `Cluster     ${cluster.id}  region ${cluster.region}${cluster.accountId === undefined ? '' : `  account ${cluster.accountId}`}`,
    `Server      ${report.mode === 'offline' ? 'offline' : describeReadiness(report.readiness)}${report.endpoints.length > 0 ? `  ${report.endpoints.join(' ')}` : ''}`,
    `Syncing     ${report.durability.sync === 'strict' ? 'strict: acknowledged is synced' : 'RELAXED: acknowledged is NOT yet synced, a power cut loses it'}`,
    `Margin      ${describeMargin(report.marginDiskCount)}`,
    `Code        ${code.k}+${code.m}${report.mode === 'online' ? describeWriteCode(writeCode) : ''}`,
    `Content     ${counts.buckets} buckets, ${counts.objects} objects, ${counts.uploads} uploads in progress`,
    `Volumes     ${volumes.open} open, ${volumes.sealed} sealed, ${volumes.dropping} being dropped; ${bytes(volumes.liveBytes)} live of ${bytes(volumes.storedBytes)}`,
    `Journal     epoch ${report.journal.epoch}, sequence ${report.journal.sequence}; ${report.checkpoints.length} checkpoints`,
    `Damage      ${report.damagedShardCount === 0 ? 'none known' : `${report.damagedShardCount} shards wait for repair`}`,
  ];
  if (report.collector !== undefined) {
    const { isRunning, movedBytes, droppedVolumeCount, rateLimitBytesPerSecond } = report.collector;
    lines.push(
      `Collector   ${isRunning ? 'working' : 'idle'}; moved ${bytes(movedBytes)}, dropped ${droppedVolumeCount} volumes; at most ${bytes(rateLimitBytesPerSecond)}/s`,
    );
  }
  lines.push('', ...diskTable(report.disks));
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
      bytes(disk.freeBytes),
      bytes(disk.totalBytes),
      bytes(disk.usedBytes),
      bytes(disk.liveBytes),
      bytes(disk.deadBytes),
      bytes(disk.reclaimableBytes),
      bytes(disk.journalBytes),
      disk.isLevel ? 'yes' : 'NO',
      `${disk.path ?? '(not found)'}${disk.stateReason === undefined ? '' : `  ${disk.stateReason}`}`,
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  );
}

/** `1.5 GiB`. */
function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
