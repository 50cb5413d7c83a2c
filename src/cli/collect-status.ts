import type {
  DiskReport,
  EncryptionReport,
  Finding,
  LastCensus,
  LifecycleReport,
  ReadinessReport,
  StatusReport,
  UnusedDirectory,
} from '../admin/status-report.ts';
import type { CollectorReport, HealingReport, MovesReport, ScrubReport } from '../model/healing-report.ts';
import type { MetadataStatus } from '../metadata-store/metadata-store.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import { STANDARD, type StorageClass } from '../model/storage-class.ts';
import { NEWEST_STORE_FORMAT } from '../model/store-format.ts';
import type { VolumeGroup } from '../model/volume-groups.ts';
import { findSharedDevice, SHARED_DEVICE } from './doctor/shared-device.ts';

/** Facts of the stores at one moment; gathered by `server.ts`, put together here. */
export interface StatusSources {
  mode: StatusReport['mode'];
  version: string;
  clusterId: string;
  accountId: string | undefined;
  region: string;
  sync: StatusReport['durability']['sync'];
  readiness: ReadinessReport;
  code: ErasureCode;
  /** STANDARD first. */
  storageClasses: readonly StorageClass[];
  writeCode: ErasureCode | undefined;
  disks: readonly DiskFacts[];
  unusedDirectories: readonly UnusedDirectory[];
  moves: MovesReport | undefined;
  metadata: MetadataStatus;
  volumeGroups: readonly VolumeGroup[];
  /** As `DataStore.diskUsage` tells. */
  diskUsage: ReadonlyMap<string, { volumeBytes: number; preallocatedBytes: number; quarantinedBytes: number }>;
  reserveBytes: (disk: DiskFacts) => number;
  collector: CollectorReport | undefined;
  healing: HealingReport | undefined;
  scrub: ScrubReport | undefined;
  lastCensus: LastCensus | undefined;
  lifecycle: LifecycleReport | undefined;
  encryption: EncryptionReport | undefined;
  lastRecordAtMs: number | undefined;
  clockJump: StatusReport['clock']['jump'];
  startedAtMs: number | undefined;
  endpoints: readonly string[];
  findings: readonly Finding[];
}

/** The part of `Disk` (src/disk/disk-set.ts) that status shows. */
interface DiskFacts {
  readonly id: string;
  readonly index: number;
  readonly path: string | undefined;
  readonly lastPath: string | undefined;
  readonly device: number | undefined;
  readonly isListed: boolean;
  readonly isDraining: boolean;
  readonly changeCounts: ReadonlyMap<string, number>;
  readonly state: string;
  readonly acceptsData: boolean;
  readonly space: { totalBytes: number; freeBytes: number };
  readonly stateSinceMs: number;
  readonly stateReason: string | undefined;
}

/** Pure: one report from the facts. */
export function collectStatus(sources: StatusSources): StatusReport {
  const { metadata, volumeGroups } = sources;
  const marginDiskCount = margin(sources);
  const report: StatusReport = {
    formatVersion: 1,
    mode: sources.mode,
    version: sources.version,
    cluster: { id: sources.clusterId, accountId: sources.accountId, region: sources.region },
    readiness: sources.readiness,
    durability: { sync: sources.sync },
    code: sources.code,
    storageClasses: storageClasses(sources),
    writeCode: sources.writeCode,
    marginDiskCount,
    counts: { buckets: metadata.bucketCount, objects: metadata.objectCount, uploads: metadata.uploadCount },
    disks: sources.disks.map((disk) => diskReport(disk, sources)),
    unusedDirectories: [...sources.unusedDirectories],
    homelessShardCount: homelessShards(sources),
    moves: sources.moves,
    volumes: {
      open: sum(volumeGroups.map(({ openCount }) => openCount)),
      sealed: sum(volumeGroups.map(({ sealedCount }) => sealedCount)),
      dropping: sum(volumeGroups.map(({ droppingCount }) => droppingCount)),
      storedBytes: sum(volumeGroups.map(({ storedBytes }) => storedBytes)),
      liveBytes: sum(volumeGroups.map(({ liveBytes }) => liveBytes)),
    },
    journal: { epoch: metadata.epoch, sequence: metadata.sequence, lastRecordAtMs: sources.lastRecordAtMs },
    checkpoints: metadata.checkpoints,
    clock: { jump: sources.clockJump },
    onDiskFormat: { active: metadata.formatVersion, newest: NEWEST_STORE_FORMAT },
    indexBytes: metadata.indexBytes,
    damagedShardCount: metadata.damageCount,
    collector: sources.collector,
    degraded: degraded(sources),
    healing: sources.healing,
    scrub: sources.scrub,
    lastCensus: lastCensus(sources.lastCensus),
    lifecycle: sources.lifecycle,
    encryption: sources.encryption,
    startedAtMs: sources.startedAtMs,
    endpoints: [...sources.endpoints],
    warnings: [],
  };
  report.warnings = [
    ...stateFindings(report),
    ...findSharedDevice(
      sources.disks.map(({ device }) => device),
      sources.code,
    ),
    // What the start said of devices may be stale.
    ...sources.findings.filter(({ code }) => code !== SHARED_DEVICE),
  ];
  return report;
}

/** Volumes with something in them of which a disk is away or a file is thought to be missing or bad. */
function degraded({ disks, volumeGroups, healing }: StatusSources): StatusReport['degraded'] {
  const away = new Map(disks.filter(({ state }) => state !== 'online').map((disk) => [disk.id, disk.stateSinceMs]));
  const listed = new Set(disks.map(({ id }) => id));
  const hit = volumeGroups.filter(
    ({ aliveCount, diskIds }) => aliveCount > 0 && diskIds.some((id) => away.has(id) || !listed.has(id)),
  );
  const since = hit.flatMap(({ diskIds }) => diskIds.flatMap((id) => away.get(id) ?? []));
  if (healing?.suspectSinceMs !== undefined) since.push(healing.suspectSinceMs);
  return {
    volumeCount: sum(hit.map(({ aliveCount }) => aliveCount)),
    suspectFileCount: healing?.suspectFileCount ?? 0,
    sinceMs: since.length === 0 ? undefined : since.reduce((least, ms) => Math.min(least, ms)),
  };
}

function lastCensus(census: LastCensus | undefined): StatusReport['lastCensus'] {
  if (census === undefined) return undefined;
  const { endedAtMs, isClean, worstMargin } = census;
  return { endedAtMs, isClean, worstMargin };
}

/**
 * Disks that may go now without a byte lost: for each volume with live bytes what its own code leaves after its lost
 * shards, and the same for the journal, of which m + 1 level copies are kept. Damaged single shards are not counted.
 */
function margin({ code, disks, metadata, volumeGroups }: Omit<StatusSources, 'storageClasses'>): number {
  const present = new Set(disks.filter(({ state }) => state === 'online' || state === 'suspect').map(({ id }) => id));
  const level = metadata.disks.filter(({ diskId, isLevel }) => isLevel && present.has(diskId)).length;
  const journalMargin = level === 0 ? -1 : Math.min(code.m, level - 1);
  let least = journalMargin;
  for (const { k, diskIds, aliveCount } of volumeGroups) {
    if (aliveCount === 0) continue;
    least = Math.min(least, diskIds.filter((id) => present.has(id)).length - k);
  }
  return Math.max(-1, least);
}

/** What the objects of each class may still lose: their own shards, or the journal, without which nobody knows where they lie. */
function storageClasses(sources: StatusSources): StatusReport['storageClasses'] {
  return sources.storageClasses.map(({ name, code }) => {
    const volumeGroups = sources.volumeGroups.filter(({ storageClass = STANDARD }) => storageClass === name);
    const liveBytes = sum(volumeGroups.map((group) => group.liveBytes));
    const isUsed = volumeGroups.some(({ aliveCount }) => aliveCount > 0);
    return { name, code, liveBytes, marginDiskCount: isUsed ? margin({ ...sources, volumeGroups }) : undefined };
  });
}

/** Of volumes with live bytes: shard files whose disk was replaced or removed. */
function homelessShards({ disks, volumeGroups }: StatusSources): number {
  const listed = new Set(disks.map(({ id }) => id));
  return sum(
    volumeGroups.map(({ aliveCount, diskIds }) => aliveCount * diskIds.filter((id) => !listed.has(id)).length),
  );
}

/** `draining` and `replacing` say more than `online` and `returning`; any other state says more than they do. */
function shownState({ state, isListed, isDraining }: DiskFacts): string {
  if (state === 'online' && isDraining) return 'draining';
  return state === 'returning' && !isListed ? 'replacing' : state;
}

function diskReport(disk: DiskFacts, sources: StatusSources): DiskReport {
  const usage = sources.diskUsage.get(disk.id) ?? { volumeBytes: 0, preallocatedBytes: 0, quarantinedBytes: 0 };
  const journal = sources.metadata.disks.find(({ diskId }) => diskId === disk.id);
  const groups = sources.volumeGroups.filter(({ diskIds }) => diskIds.includes(disk.id));
  // A volume's payload spreads evenly over its k data shards, and parity shards are as long.
  const liveBytes = Math.round(sum(groups.map((group) => group.liveBytes / group.k)));
  const reclaimableBytes = sum(groups.map(({ reclaimableShardBytes }) => reclaimableShardBytes));
  const journalBytes = journal?.journalBytes ?? 0;
  const checkpointBytes = journal?.checkpointBytes ?? 0;
  return {
    index: disk.index,
    id: disk.id,
    path: disk.path,
    lastPath: disk.lastPath,
    state: shownState(disk),
    stateSinceMs: disk.stateSinceMs,
    stateReason: disk.stateReason,
    totalBytes: disk.space.totalBytes,
    freeBytes: disk.space.freeBytes,
    reserveBytes: sources.reserveBytes(disk),
    acceptsData: disk.acceptsData,
    usedBytes: usage.volumeBytes + usage.preallocatedBytes + usage.quarantinedBytes + journalBytes + checkpointBytes,
    liveBytes: Math.min(liveBytes, usage.volumeBytes),
    deadBytes: Math.max(0, usage.volumeBytes - liveBytes),
    reclaimableBytes: Math.min(reclaimableBytes, Math.max(0, usage.volumeBytes - liveBytes)),
    preallocatedBytes: usage.preallocatedBytes,
    quarantinedBytes: usage.quarantinedBytes,
    journalBytes,
    checkpointBytes,
    isLevel: journal?.isLevel ?? false,
    shardCount: sum(groups.map(({ volumeCount }) => volumeCount)),
    stateChanges: Object.fromEntries(disk.changeCounts),
  };
}

/** What the state itself says, worst first. */
function stateFindings(report: StatusReport): Finding[] {
  const findings: Finding[] = [];
  const add = (code: string, severity: Finding['severity'], message: string, fix?: string): void => {
    findings.push({ code, severity, message, fix });
  };
  if (report.marginDiskCount < 0) {
    add(
      'data-unreadable',
      'error',
      'too many disks are lost: some objects cannot be read now',
      'Bring a lost disk back; nothing is deleted meanwhile.',
    );
  }
  if (report.writeCode === undefined && report.mode === 'online') {
    add(
      'writes-refused',
      'error',
      'writes are refused: too few disks are usable',
      'Bring a lost disk back, or free space on the disks.',
    );
  }
  const locked = report.encryption?.keyRingProblem;
  if (locked !== undefined) add('key-ring-locked', 'error', locked.message, locked.fix);
  if (report.marginDiskCount === 0 && report.code.m > 0) {
    add('no-margin', 'error', 'no further disk may be lost', 'Bring the lost disks back.');
  }
  for (const disk of report.disks) {
    if (disk.state === 'online' && !disk.acceptsData) {
      add(
        'disk-full',
        'warning',
        `disk ${disk.index} (${disk.path}) is below its reserve and takes no new objects`,
        'Delete objects or other files on it.',
      );
    } else if (disk.state === 'draining') {
      const what = `disk ${disk.index} (${disk.path}) is draining: ${disk.shardCount} shard files are left`;
      const fix = disk.shardCount === 0 ? `holdfast disk remove ${disk.path}` : undefined;
      add('disk-draining', 'info', what, fix);
    } else if (disk.state !== 'online') {
      const where = disk.path ?? (disk.lastPath === undefined ? 'in no given directory' : `was at ${disk.lastPath}`);
      add(
        `disk-${disk.state}`,
        'warning',
        `disk ${disk.index} (${where}) is ${disk.state}${disk.stateReason === undefined ? '' : `: ${disk.stateReason}`}`,
        disk.state === 'missing' ? missingFix(disk, report.unusedDirectories) : undefined,
      );
    }
  }
  if (report.homelessShardCount > 0) {
    const { homelessShardCount } = report;
    add('shards-homeless', 'warning', `${homelessShardCount} shard files of replaced disks wait to be rebuilt`);
  }
  if ((report.moves?.stuckShardCount ?? 0) > 0) {
    const message = `${report.moves?.stuckShardCount} shard files ought to move, but no disk has room for them`;
    add('shards-stuck', 'warning', message, 'Add a disk: holdfast disk add PATH');
  }
  if (report.damagedShardCount > 0) {
    add(
      'damaged-shards',
      'warning',
      `${report.damagedShardCount} damaged shards wait for repair; reads rebuild them from the others`,
    );
  }
  const { jump } = report.clock;
  if (jump !== undefined) {
    const [expected, found] = [jump.expectedAtMs, jump.foundAtMs].map((ms) => new Date(ms).toISOString());
    const message = `the clock has jumped: it should have shown ${expected} and showed ${found}; nothing expires meanwhile`;
    add('clock-jumped', 'warning', message, 'Set the clock right, or if it is right: holdfast clock accept');
  }
  const { active, newest } = report.onDiskFormat;
  if (active < newest) {
    const message = `the disks are kept in format ${active}, so that the former version can open them; this version knows format ${newest}`;
    add('upgrade-not-finalized', 'info', message, 'When nothing goes back any more: holdfast upgrade --finalize');
  }
  return findings;
}

/** An empty directory in its place may be an unmounted one: the operator has to say. */
function missingFix({ id, lastPath }: DiskReport, unused: readonly UnusedDirectory[]): string {
  if (lastPath === undefined) {
    return `Give its directory in --disks. If it is gone for good: holdfast disk replace ${id} --with EMPTY_DIRECTORY`;
  }
  const isEmpty = unused.some((directory) => directory.path === lastPath && directory.isEmpty);
  return isEmpty
    ? `Mount it again, or if the empty directory there is a new disk: holdfast disk replace ${lastPath}`
    : `Bring it back. If it is gone for good: holdfast disk replace ${lastPath} --with EMPTY_DIRECTORY`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
