import type { DiskReport, StatusReport } from '../admin/status-report.ts';
import type { MovesReport } from '../model/healing-report.ts';
import { formatBytes, renderTable } from './render-table.ts';

/** `holdfast disk list` as text. */
export function renderDiskList(report: StatusReport, nowMs: number): string {
  const lines = renderTable([
    ['disk', 'state', 'since', 'used', 'free', 'shards', 'journal', 'id', 'path'],
    ...report.disks.map((disk) => row(disk, nowMs)),
  ]);
  const reasons = report.disks.flatMap(({ index, stateReason }) => {
    return stateReason === undefined ? [] : [`disk ${index}: ${stateReason}`];
  });
  if (reasons.length > 0) lines.push('', ...reasons);
  for (const { path, reason } of report.unusedDirectories) lines.push(`${path} is not used: ${reason}`);
  if (report.homelessShardCount > 0) {
    lines.push(`${report.homelessShardCount} shard files of replaced disks wait to be rebuilt`);
  }
  if (report.moves?.isRunning === true) lines.push('', describeMoves(report.moves));
  for (const { code, message, fix } of report.warnings) {
    if (code.startsWith('disk-') && fix !== undefined) lines.push('', message, `    ${fix}`);
  }
  return `${report.mode === 'offline' ? 'offline: as the disks were left\n' : ''}${lines.join('\n')}\n`;
}

/** `moving: 12 shard files, 1.5 GiB left at 80 MiB/s, about 19 s`. */
function describeMoves(moves: MovesReport): string {
  const { isBalancing, leftShardCount, leftBytes, rateBytesPerSecond, timeLeftMs, lastError } = moves;
  const rate = rateBytesPerSecond === undefined ? '' : ` at ${formatBytes(rateBytesPerSecond)}/s`;
  const time = timeLeftMs === undefined ? '' : `, about ${age(timeLeftMs)}`;
  const error = lastError === undefined ? '' : `; last error: ${lastError}`;
  const what = isBalancing ? 'evening out' : 'moving';
  return `${what}: ${leftShardCount} shard files, ${formatBytes(leftBytes)} left${rate}${time}${error}`;
}

function row(disk: DiskReport, nowMs: number): string[] {
  return [
    String(disk.index),
    disk.state,
    age(nowMs - disk.stateSinceMs),
    formatBytes(disk.usedBytes),
    formatBytes(disk.freeBytes),
    String(disk.shardCount),
    disk.isLevel ? 'level' : 'not level',
    disk.id,
    disk.path ?? `(was at ${disk.lastPath ?? 'an unknown place'})`,
  ];
}

/** `3 h`, `12 min`, `5 s`. */
function age(durationMs: number): string {
  const seconds = Math.max(0, Math.round(durationMs / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
