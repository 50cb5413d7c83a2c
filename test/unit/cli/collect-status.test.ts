import { expect, test } from 'vitest';
import { collectStatus, type StatusSources } from '../../../src/cli/collect-status.ts';
import { renderStatus } from '../../../src/cli/render-status.ts';
import { storageClassesOf } from '../../../src/model/storage-class.ts';
import type { VolumeRecord } from '../../../src/model/blob.ts';
import { VolumeGroups } from '../../../src/model/volume-groups.ts';

const IDS = ['a', 'b', 'c', 'd', 'e', 'f'];

function volume(change: Partial<VolumeRecord>): VolumeRecord {
  return {
    volumeId: 1,
    k: 4,
    m: 2,
    diskIds: IDS,
    purpose: 'small',
    shardSizeBytes: 4096,
    state: 'sealed',
    lengthBytes: 1000,
    liveBytes: 2000,
    storedBytes: 3000,
    undroppedDiskIds: [],
    ...change,
  };
}

function sources(
  change: { lost?: string[]; behind?: string[]; volumes?: VolumeRecord[]; devices?: number[] } = {},
): StatusSources {
  const { lost = [], behind = [], volumes = [volume({})], devices = [1, 2, 3, 4, 5, 6] } = change;
  return {
    mode: 'online',
    version: '0.1.0',
    clusterId: 'cluster',
    accountId: undefined,
    region: 'us-east-1',
    sync: 'strict',
    readiness: { isReady: true, phase: 'ready', percent: 100, timeLeftMs: undefined, detail: undefined },
    code: { k: 4, m: 2 },
    storageClasses: storageClassesOf({ k: 4, m: 2 }),
    writeCode: { k: 4 - lost.length, m: 2 },
    unusedDirectories: [],
    moves: undefined,
    disks: IDS.map((id, index) => ({
      id,
      index,
      path: lost.includes(id) ? undefined : `/${id}`,
      lastPath: `/${id}`,
      device: lost.includes(id) ? undefined : devices[index],
      isListed: true,
      isDraining: false,
      changeCounts: new Map(),
      state: lost.includes(id) ? 'missing' : behind.includes(id) ? 'returning' : 'online',
      acceptsData: !lost.includes(id),
      space: { totalBytes: 10_000, freeBytes: 5000 },
      stateSinceMs: 0,
      stateReason: undefined,
    })),
    metadata: {
      epoch: 1,
      sequence: 2,
      disks: IDS.map((diskId) => ({
        diskId,
        carriesJournal: true,
        wasBehindAtStart: false,
        isLevel: !lost.includes(diskId) && !behind.includes(diskId),
        journalBytes: 10,
        checkpointBytes: 5,
      })),
      checkpoints: [],
      indexBytes: 100,
      formatVersion: 2,
      bucketCount: 1,
      objectCount: 2,
      uploadCount: 0,
      damageCount: 0,
    },
    volumeGroups: VolumeGroups.of(volumes).values(),
    diskUsage: new Map(IDS.map((id) => [id, { volumeBytes: 1000, preallocatedBytes: 0, quarantinedBytes: 0 }])),
    reserveBytes: () => 100,
    collector: undefined,
    healing: undefined,
    scrub: undefined,
    lastCensus: undefined,
    lifecycle: undefined,
    encryption: undefined,
    lastRecordAtMs: undefined,
    clockJump: undefined,
    startedAtMs: 0,
    endpoints: [],
    findings: [],
  };
}

test('a key ring that does not open is an error with its fix', () => {
  const keyRingProblem = { message: 'it was sealed with another master key', fix: 'Put the key file back.' };
  const encryption = { keyService: 'local', byDefault: 'none', keyRingProblem, buckets: [] } as const;
  const { warnings } = collectStatus({ ...sources(), encryption: { ...encryption, buckets: [] } });
  expect(warnings).toEqual([
    { code: 'key-ring-locked', severity: 'error', message: keyRingProblem.message, fix: keyRingProblem.fix },
  ]);
});

test('a whole cluster of 4+2 may lose two more disks', () => {
  const report = collectStatus(sources());
  expect(report.marginDiskCount).toBe(2);
  expect(report.warnings).toEqual([]);
});

test.each([
  [['a'], 1],
  [['a', 'b'], 0],
  [['a', 'b', 'c'], -1],
])('with %j lost the margin of what was written before is %i', (lost, margin) => {
  expect(collectStatus(sources({ lost })).marginDiskCount).toBe(margin);
});

test('what was written narrow after a loss keeps its own margin', () => {
  const narrow = volume({ volumeId: 2, k: 2, m: 2, diskIds: ['c', 'd', 'e', 'f'] });
  expect(collectStatus(sources({ lost: ['a', 'b'], volumes: [narrow] })).marginDiskCount).toBe(2);
  expect(collectStatus(sources({ lost: ['c', 'd'], volumes: [narrow] })).marginDiskCount).toBe(0);
});

test('empty and dropped volumes do not count', () => {
  const volumes = [volume({ liveBytes: 0 }), volume({ volumeId: 2, state: 'dropped', undroppedDiskIds: ['a'] })];
  const report = collectStatus(sources({ lost: ['a', 'b'], volumes }));
  expect(report.marginDiskCount).toBe(2);
  expect(report.volumes).toMatchObject({ sealed: 1, dropping: 1 });
});

test('disks that are not level do not count for the journal', () => {
  expect(collectStatus(sources({ behind: ['a', 'b', 'c', 'd'], volumes: [] })).marginDiskCount).toBe(1);
});

test('live, dead and reclaimable bytes of a disk add up to its shard files', () => {
  const [disk] = collectStatus(sources()).disks;
  expect(disk).toMatchObject({ liveBytes: 500, deadBytes: 500, reclaimableBytes: 500, usedBytes: 1015 });
});

test('the text names what matters first', () => {
  const text = renderStatus(collectStatus(sources({ lost: ['a', 'b'] })));
  expect(text).toContain('NO further disk may be lost');
  expect(text).toContain('new data 2+2');
  expect(text).toContain('[disk-missing]');
});

test('a missing disk is shown where it was last', () => {
  const report = collectStatus(sources({ lost: ['b'] }));
  const finding = report.warnings.find(({ code }) => code === 'disk-missing');
  expect(finding?.message).toContain('disk 1 (was at /b) is missing');
  expect(renderStatus(report)).toContain('(was at /b)');
});

test('directories on one device are counted at each status, whatever the start has found', () => {
  const stale = [{ code: 'one-device', severity: 'warning' as const, message: 'stale', fix: undefined }];
  const messages = (devices: number[], lost: string[] = []) =>
    collectStatus({ ...sources({ devices, lost }), findings: stale })
      .warnings.filter(({ code }) => code === 'one-device')
      .map(({ message }) => message);
  expect(messages([1, 2, 3, 4, 5, 6])).toEqual([]);
  expect(messages([1, 1, 2, 2, 3, 3])).toEqual([]);
  expect(messages([7, 7, 7, 7, 7, 7])[0]).toMatch(/^all directories lie on one device/);
  expect(messages([7, 7, 7, 7, 7, 7], ['a', 'b'])[0]).toMatch(/^4 directories lie on one device/);
  expect(messages([7, 7, 7, 4, 5, 6])[0]).toMatch(/^3 directories lie on one device/);
  expect(messages([7, 7, 7, 4, 5, 6], ['a'])).toEqual([]);
});
