import { expect, test } from 'vitest';
import { VolumeCatalog } from '../../../../src/metadata-store/sqlite/volume-catalog.ts';
import type { VolumeRecord } from '../../../../src/model/blob.ts';
import { Collector } from '../../../../src/healing/collector.ts';
import { silentLog } from '../../../../src/observability/log.ts';
import { MemoryDataStore } from '../../../support/memory-data-store.ts';
import { MemoryVolumeLedger } from '../../../support/memory-volume-ledger.ts';
import { seededRandom } from '../../../support/metadata-workload.ts';
import { ManualClock } from '../../../support/simulated-clock.ts';

function volumeOf(volumeId: number, liveBytes: number): VolumeRecord {
  return {
    volumeId,
    k: 4,
    m: 2,
    diskIds: ['a', 'b', 'c', 'd', 'e', 'f'],
    purpose: 'large',
    shardSizeBytes: 266_240,
    state: 'sealed',
    lengthBytes: 2 ** 28,
    liveBytes,
    storedBytes: 2 ** 30,
    undroppedDiskIds: [],
  };
}

/** Rows of an index, and how many of them were read. */
class Rows {
  readonly rows = new Map<number, VolumeRecord>();
  readCount = 0;
  batchNumber = 0;
  readonly catalog = new VolumeCatalog(this, () => this.batchNumber);

  volumes(): VolumeRecord[] {
    this.readCount += this.rows.size;
    return [...this.rows.values()].sort((a, b) => a.volumeId - b.volumeId);
  }

  volume(volumeId: number): VolumeRecord | undefined {
    this.readCount += 1;
    return this.rows.get(volumeId);
  }

  /** One batch. */
  commit(change: { put?: readonly VolumeRecord[]; forget?: readonly number[] }): void {
    const { put = [], forget = [] } = change;
    for (const volume of put) this.rows.set(volume.volumeId, volume);
    for (const volumeId of forget) this.rows.delete(volumeId);
    this.batchNumber += 1;
    this.catalog.noteCommitted([...put.map(({ volumeId }) => volumeId), ...forget]);
  }
}

test('a round of the collector over 10,000 unchanged volumes reads none of them', async () => {
  const rows = new Rows();
  rows.commit({ put: Array.from({ length: 10_000 }, (_, id) => volumeOf(id, 2 ** 30)) });
  let toldCount = 0;
  const commits: unknown[] = [];
  const collector = new Collector({
    dataStore: new MemoryDataStore({ ledger: new MemoryVolumeLedger() }),
    retireVolume: (volumeId) => expect.unreachable(`volume ${volumeId} is sealed`),
    metadataStore: {
      volumeChanges: (version) => {
        const changes = rows.catalog.changesSince(version);
        toldCount += changes.volumes.length;
        return Promise.resolve(changes);
      },
      listBlobsInVolume: () => Promise.resolve([]),
      commit: (mutation) => {
        commits.push(mutation);
        return Promise.resolve(false as never);
      },
    },
    clock: new ManualClock(),
    log: silentLog,
    rateBytesPerSecond: 2 ** 40,
  });
  await collector.collectOnce();
  expect([rows.readCount, toldCount]).toEqual([10_000, 10_000]);
  for (let round = 0; round < 5; round += 1) await collector.collectOnce();
  // Commits that touch no volume, too.
  rows.commit({});
  await collector.collectOnce();
  expect([rows.readCount, toldCount, commits.length]).toEqual([10_000, 10_000, 0]);
  rows.commit({ put: [volumeOf(77, 0)] });
  await collector.collectOnce();
  expect([rows.readCount, toldCount]).toEqual([10_001, 10_001]);
  expect(commits).toEqual([{ type: 'DropVolume', volumeId: 77 }]);
  // What is left to do is not forgotten because it does not change.
  await collector.collectOnce();
  expect([rows.readCount, toldCount, commits.length]).toEqual([10_001, 10_001, 2]);
});

test('whoever follows the changes, at whatever pace, knows the volumes as they are', () => {
  const random = seededRandom(5);
  const rows = new Rows();
  const followers = Array.from({ length: 4 }, () => ({
    version: undefined as number | undefined,
    known: new Map<number, VolumeRecord>(),
    wholeCount: 0,
  }));
  let nextId = 0;
  for (let step = 0; step < 3000; step += 1) {
    const put: VolumeRecord[] = [];
    for (let count = random(3); count > 0; count -= 1) {
      // Ids that were handed out earlier may be committed later.
      const volumeId = random(4) === 0 ? 3 * nextId++ + 3 : random(3 * nextId + 1);
      put.push(volumeOf(volumeId, random(1000)));
    }
    const ids = [...rows.rows.keys()];
    rows.commit({ put, forget: ids.length > 50 ? ids.filter(() => random(10) === 0) : [] });
    for (const [index, follower] of followers.entries()) {
      // The last one is asked rarely, so that the log is folded between.
      if (random([1, 3, 20, 900][index]!) !== 0) continue;
      const changes = rows.catalog.changesSince(follower.version);
      if (changes.isWhole) {
        follower.known.clear();
        follower.wholeCount += 1;
      }
      for (const volumeId of changes.forgottenVolumeIds) follower.known.delete(volumeId);
      for (const volume of changes.volumes) follower.known.set(volume.volumeId, volume);
      follower.version = changes.version;
      const byId = (a: VolumeRecord, b: VolumeRecord): number => a.volumeId - b.volumeId;
      expect([...follower.known.values()].sort(byId)).toEqual([...rows.rows.values()].sort(byId));
      expect(rows.catalog.all()).toEqual([...rows.rows.values()].sort(byId));
    }
  }
  expect(followers[0]!.wholeCount, 'one that asks each time is told everything once').toBe(1);
});

test('an index that was opened anew goes on with the same versions', () => {
  const rows = new Rows();
  rows.commit({ put: [volumeOf(1, 5)] });
  const { version } = rows.catalog.changesSince(undefined);
  const reopened = new VolumeCatalog(rows, () => rows.batchNumber);
  expect(reopened.changesSince(version)).toEqual({ version, isWhole: false, volumes: [], forgottenVolumeIds: [] });
  rows.commit({ put: [volumeOf(2, 5)] });
  const late = new VolumeCatalog(rows, () => rows.batchNumber);
  expect(late.changesSince(version)).toMatchObject({ isWhole: true, volumes: [{ volumeId: 1 }, { volumeId: 2 }] });
});
