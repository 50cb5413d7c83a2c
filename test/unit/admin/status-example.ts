import type { StatusReport } from '../../../src/admin/status-report.ts';

/** Nothing was counted yet. */
export const NO_CENSUS = { request: () => 1, progress: () => ({}), wait: async () => ({}) };

export const NO_SCRUB = { request: () => {}, report: () => ({}) };

/** A healthy cluster of two disks. */
export function statusExample(change: Partial<StatusReport> = {}): StatusReport {
  const disk = {
    state: 'online',
    stateSinceMs: 0,
    stateReason: undefined,
    totalBytes: 1000,
    freeBytes: 500,
    reserveBytes: 10,
    acceptsData: true,
    usedBytes: 100,
    liveBytes: 60,
    deadBytes: 20,
    reclaimableBytes: 20,
    preallocatedBytes: 0,
    quarantinedBytes: 0,
    journalBytes: 20,
    checkpointBytes: 0,
    isLevel: true,
    lastPath: undefined,
    shardCount: 1,
    stateChanges: { online: 1 },
  };
  return {
    formatVersion: 1,
    clock: { jump: undefined },
    onDiskFormat: { active: 2, newest: 2 },
    mode: 'online',
    version: '0.1.0',
    cluster: { id: 'cluster-1', accountId: '123456789012', region: 'us-east-1' },
    readiness: { isReady: true, phase: 'ready', percent: 100, timeLeftMs: undefined, detail: undefined },
    durability: { sync: 'strict' },
    code: { k: 1, m: 1 },
    storageClasses: [{ name: 'STANDARD', code: { k: 1, m: 1 }, liveBytes: 1, marginDiskCount: 1 }],
    writeCode: { k: 1, m: 1 },
    marginDiskCount: 1,
    counts: { buckets: 2, objects: 3, uploads: 0 },
    disks: [
      { ...disk, index: 0, id: 'disk-a', path: '/a' },
      { ...disk, index: 1, id: 'disk-b', path: '/b' },
    ],
    unusedDirectories: [],
    homelessShardCount: 0,
    moves: undefined,
    volumes: { open: 1, sealed: 1, dropping: 0, storedBytes: 80, liveBytes: 60 },
    journal: { epoch: 1, sequence: 5, lastRecordAtMs: undefined },
    checkpoints: [],
    indexBytes: 4096,
    damagedShardCount: 0,
    collector: undefined,
    degraded: { volumeCount: 0, suspectFileCount: 0, sinceMs: undefined },
    healing: undefined,
    scrub: undefined,
    lastCensus: undefined,
    lifecycle: {
      dayMs: 86_400_000,
      isRunning: false,
      isFrozen: false,
      startedAtMs: 1000,
      lastFinishedAtMs: 2000,
      lagMs: 1500,
      counts: { lookedAt: 9, expired: 3, deleted: 2, aborted: 1, transitioned: 5, skipped: 0, locked: 4, failed: 0 },
      movedBytes: 7000,
      lastError: undefined,
    },
    encryption: {
      keyService: 'local',
      byDefault: 'none',
      keyRingProblem: undefined,
      buckets: [{ name: 'secret', algorithm: 'aws:kms', keyId: 'alias/named' }],
    },
    startedAtMs: 0,
    endpoints: ['http://127.0.0.1:9000'],
    warnings: [],
    ...change,
  };
}
