import { type CallerCounters, DURATION_BOUNDS_SECONDS, type RequestMetrics } from '../observability/request-metrics.ts';
import type { EventLoopDelays } from '../observability/event-loop-delay.ts';
import type { StatusReport } from './status-report.ts';

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string | number>>;
type Sample = readonly [labels: Labels, value: number, suffix?: string];

export interface ProcessUsage {
  residentBytes: number;
  cpuSeconds: number;
  eventLoopDelays: EventLoopDelays;
}

/** The text format of Prometheus. `status` is undefined while recovery has not got far enough to tell. */
export function renderPrometheus(sources: {
  status: StatusReport | undefined;
  isReady: boolean;
  requests: RequestMetrics;
  usage: ProcessUsage;
}): string {
  const { status, isReady, requests, usage } = sources;
  const lines: string[] = [];
  const family = (name: string, type: 'counter' | 'gauge' | 'histogram', help: string, samples: Sample[]): void => {
    if (samples.length === 0) return;
    lines.push(`# HELP holdfast_${name} ${help}`, `# TYPE holdfast_${name} ${type}`);
    for (const [labels, value, suffix] of samples) {
      lines.push(`holdfast_${name}${suffix ?? ''}${renderLabels(labels)} ${value}`);
    }
  };
  family('ready', 'gauge', '1 while S3 requests are served.', [[{}, isReady ? 1 : 0]]);
  family('resident_memory_bytes', 'gauge', 'Resident memory of the process.', [[{}, usage.residentBytes]]);
  family('cpu_seconds_total', 'counter', 'Processor time of the process.', [[{}, usage.cpuSeconds]]);
  const { p50Ms, p99Ms, maximumMs } = usage.eventLoopDelays;
  family('event_loop_delay_seconds', 'gauge', 'Delay of the main thread in the last minute; quantile 1 is the worst.', [
    [{ quantile: 0.5 }, p50Ms / 1000],
    [{ quantile: 0.99 }, p99Ms / 1000],
    [{ quantile: 1 }, maximumMs / 1000],
  ]);
  addRequests(family, requests);
  if (status !== undefined) addStatus(family, status);
  return `${lines.join('\n')}\n`;
}

type Family = (name: string, type: 'counter' | 'gauge' | 'histogram', help: string, samples: Sample[]) => void;

function addCallers(family: Family, callers: CallerCounters): void {
  family(
    'requests_limited_total',
    'counter',
    'Requests answered SlowDown because of the rate of a key or an address.',
    [[{}, callers.limitedCount]],
  );
  family('requests_waiting', 'gauge', 'Requests that wait until other keys have had their share.', [
    [{}, callers.waitingCount],
  ]);
  family('failed_signatures_total', 'counter', 'Requests with an unknown key or a wrong signature.', [
    [{}, callers.failedSignatureCount],
  ]);
  family('audit_dropped_total', 'counter', 'Lines of the audit log that could not be kept.', [
    [{}, callers.auditDroppedCount],
  ]);
}

function addRequests(family: Family, requests: RequestMetrics): void {
  const operations = requests.operations();
  family('requests_in_flight', 'gauge', 'S3 requests being answered.', [[{}, requests.inFlight]]);
  family('connections', 'gauge', 'Open client connections.', [[{}, requests.openConnections]]);
  const callers = requests.callers?.();
  if (callers !== undefined) addCallers(family, callers);
  family(
    'requests_total',
    'counter',
    'S3 requests answered.',
    operations.flatMap(({ operation, statusClasses }) =>
      statusClasses.flatMap((count, statusClass): Sample[] =>
        count === 0 ? [] : [[{ operation, status: `${statusClass}xx` }, count]],
      ),
    ),
  );
  const bytesIn = operations.map(({ operation, bytesIn }): Sample => [{ operation }, bytesIn]);
  const bytesOut = operations.map(({ operation, bytesOut }): Sample => [{ operation }, bytesOut]);
  family('request_bytes_total', 'counter', 'Body bytes received.', bytesIn);
  family('response_bytes_total', 'counter', 'Body bytes sent.', bytesOut);
  family(
    'request_duration_seconds',
    'histogram',
    'Time from the first byte of the headers to the end of the answer.',
    operations.flatMap(({ operation, durationBuckets, durationSumSeconds }) => {
      const samples: Sample[] = [];
      let cumulative = 0;
      durationBuckets.forEach((count, index) => {
        cumulative += count;
        samples.push([{ operation, le: DURATION_BOUNDS_SECONDS[index] ?? '+Inf' }, cumulative, '_bucket']);
      });
      samples.push([{ operation }, durationSumSeconds, '_sum'], [{ operation }, cumulative, '_count']);
      return samples;
    }),
  );
}

function addStatus(family: Family, status: StatusReport): void {
  const { counts, volumes } = status;
  family('margin_disks', 'gauge', 'Disks that may still be lost without losing bytes; -1: some cannot be read.', [
    [{}, status.marginDiskCount],
  ]);
  family(
    'storage_class_margin_disks',
    'gauge',
    'The same for the objects of each storage class that has any.',
    status.storageClasses.flatMap(({ name, marginDiskCount }) => {
      return marginDiskCount === undefined ? [] : [[{ storage_class: name }, marginDiskCount]];
    }),
  );
  family('writable', 'gauge', '1 while writes are accepted.', [[{}, status.writeCode === undefined ? 0 : 1]]);
  family('buckets', 'gauge', 'Buckets.', [[{}, counts.buckets]]);
  family('objects', 'gauge', 'Objects.', [[{}, counts.objects]]);
  family('multipart_uploads', 'gauge', 'Multipart uploads in progress.', [[{}, counts.uploads]]);
  family('volume_stored_bytes', 'gauge', 'Payload bytes in volumes, live and dead.', [[{}, volumes.storedBytes]]);
  family('volume_live_bytes', 'gauge', 'Payload bytes that something names.', [[{}, volumes.liveBytes]]);
  family('volumes', 'gauge', 'Volumes by state.', [
    [{ state: 'open' }, volumes.open],
    [{ state: 'sealed' }, volumes.sealed],
    [{ state: 'dropping' }, volumes.dropping],
  ]);
  family('damaged_shards', 'gauge', 'Damaged shards that wait for repair.', [[{}, status.damagedShardCount]]);
  family('index_bytes', 'gauge', 'Size of the index.', [[{}, status.indexBytes]]);
  family('journal_epoch', 'gauge', 'Epoch of the journal.', [[{}, status.journal.epoch]]);
  family('warnings', 'gauge', 'Warnings and errors that status shows.', [
    [{}, status.warnings.filter(({ severity }) => severity !== 'info').length],
  ]);
  if (status.collector !== undefined) {
    family('collector_moved_bytes_total', 'counter', 'Payload bytes moved by the collector.', [
      [{}, status.collector.movedBytes],
    ]);
    family('collector_dropped_volumes_total', 'counter', 'Volumes dropped by the collector.', [
      [{}, status.collector.droppedVolumeCount],
    ]);
  }
  addHealing(family, status);
  if (status.lifecycle !== undefined) addLifecycle(family, status.lifecycle);
  addDisks(family, status);
}

function addHealing(family: Family, { degraded, healing, scrub, lastCensus }: StatusReport): void {
  family('degraded_volumes', 'gauge', 'Volumes of which a disk is away.', [[{}, degraded.volumeCount]]);
  family('suspect_shard_files', 'gauge', 'Shard files that wait for repair.', [[{}, degraded.suspectFileCount]]);
  if (healing !== undefined) {
    family('heal_left_bytes', 'gauge', 'Bytes of files that wait for repair and can be repaired now.', [
      [{}, healing.leftBytes],
    ]);
    family('heal_written_bytes_total', 'counter', 'Bytes written by repairs.', [[{}, healing.writtenBytes]]);
    family('heal_read_bytes_total', 'counter', 'Bytes read by repairs.', [[{}, healing.readBytes]]);
    family('healed_files_total', 'counter', 'Shard files replaced by repairs.', [[{}, healing.repairedFileCount]]);
    family('lost_shards_total', 'counter', 'Shards that repairs could not rebuild.', [[{}, healing.lostShardCount]]);
    const timeLeft: Sample[] = healing.timeLeftMs === undefined ? [] : [[{}, healing.timeLeftMs / 1000]];
    family('heal_seconds_left', 'gauge', 'Estimated time until healing has caught up.', timeLeft);
  }
  if (scrub !== undefined) {
    const { lastFinishedAtMs, damagedFileCount, fraction, isRunning } = scrub;
    const finished: Sample[] = lastFinishedAtMs === undefined ? [] : [[{}, lastFinishedAtMs / 1000]];
    family('scrub_finished_timestamp_seconds', 'gauge', 'When the last scrub had read everything.', finished);
    family('scrub_progress', 'gauge', 'Part of the scrub under way that is done.', isRunning ? [[{}, fraction]] : []);
    family('scrub_damaged_files', 'gauge', 'Shard files in which the last scrub found damage.', [
      [{}, damagedFileCount],
    ]);
  }
  if (lastCensus !== undefined) {
    family('census_clean', 'gauge', '1 when the last census found everything at full redundancy.', [
      [{}, lastCensus.isClean ? 1 : 0],
    ]);
  }
}

function addLifecycle(family: Family, lifecycle: NonNullable<StatusReport['lifecycle']>): void {
  const { counts, lagMs, lastFinishedAtMs, isFrozen, dayMs, movedBytes } = lifecycle;
  const { lookedAt, ...outcomes } = counts;
  const finished: Sample[] = lastFinishedAtMs === undefined ? [] : [[{}, lastFinishedAtMs / 1000]];
  family('lifecycle_day_seconds', 'gauge', 'Length of a day in lifecycle rules; 86400 but for tests.', [
    [{}, dayMs / 1000],
  ]);
  family('lifecycle_frozen', 'gauge', '1 while nothing expires because the clock has jumped.', [
    [{}, isFrozen ? 1 : 0],
  ]);
  family('lifecycle_finished_timestamp_seconds', 'gauge', 'When the last pass had looked at everything.', finished);
  family('lifecycle_lag_seconds', 'gauge', 'How long the pass that is due or under way has been due.', [
    [{}, lagMs / 1000],
  ]);
  family('lifecycle_moved_bytes_total', 'counter', 'Bytes written into other storage classes.', [[{}, movedBytes]]);
  family('lifecycle_looked_at_total', 'counter', 'Versions and uploads that were looked at.', [[{}, lookedAt]]);
  family(
    'lifecycle_actions_total',
    'counter',
    'What lifecycle rules brought about.',
    Object.entries(outcomes).map(([outcome, count]): Sample => [{ outcome }, count]),
  );
}

function addMoves(family: Family, moves: NonNullable<StatusReport['moves']>): void {
  family('moved_shards_total', 'counter', 'Shard files moved to another disk.', [[{}, moves.movedShardCount]]);
  family('moved_bytes_total', 'counter', 'Bytes of shard files moved to another disk.', [[{}, moves.movedBytes]]);
  family('moves_left_bytes', 'gauge', 'Bytes of shard files that are to be moved.', [[{}, moves.leftBytes]]);
}

function addDisks(family: Family, { disks, homelessShardCount, moves }: StatusReport): void {
  if (moves !== undefined) addMoves(family, moves);
  family('homeless_shards', 'gauge', 'Shard files of replaced disks that wait to be rebuilt.', [
    [{}, homelessShardCount],
  ]);
  const label = ({ index, id }: { index: number; id: string }): Labels => ({ disk: index, id });
  family(
    'disk_usable',
    'gauge',
    '1 while the disk is online.',
    disks.map((disk) => [label(disk), disk.state === 'online' || disk.state === 'draining' ? 1 : 0]),
  );
  family(
    'disk_state',
    'gauge',
    '1 for the state the disk is in.',
    disks.map((disk) => [{ ...label(disk), state: disk.state }, 1]),
  );
  family(
    'disk_state_changes_total',
    'counter',
    'How often the disk has come into a state.',
    disks.flatMap((disk) =>
      Object.entries(disk.stateChanges).map(([state, count]): Sample => [{ ...label(disk), state }, count]),
    ),
  );
  family(
    'disk_shards',
    'gauge',
    'Shard files that the disk has, or should have.',
    disks.map((disk) => [label(disk), disk.shardCount]),
  );
  family(
    'disk_total_bytes',
    'gauge',
    'Size of the file system.',
    disks.map((disk) => [label(disk), disk.totalBytes]),
  );
  family(
    'disk_free_bytes',
    'gauge',
    'Free bytes of the file system.',
    disks.map((disk) => [label(disk), disk.freeBytes]),
  );
  family(
    'disk_used_bytes',
    'gauge',
    'Bytes of files of this server.',
    disks.map((disk) => [label(disk), disk.usedBytes]),
  );
  family(
    'disk_live_bytes',
    'gauge',
    'Estimated live bytes.',
    disks.map((disk) => [label(disk), disk.liveBytes]),
  );
  family(
    'disk_dead_bytes',
    'gauge',
    'Estimated dead bytes.',
    disks.map((disk) => [label(disk), disk.deadBytes]),
  );
  family(
    'disk_journal_bytes',
    'gauge',
    'Bytes of the journal.',
    disks.map((disk) => [label(disk), disk.journalBytes]),
  );
}

function renderLabels(labels: Labels): string {
  const entries = Object.entries(labels);
  if (entries.length === 0) return '';
  const escape = (value: string | number): string =>
    String(value).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
  return `{${entries.map(([name, value]) => `${name}="${escape(value)}"`).join(',')}}`;
}
