import type { ErasureCode } from '../../../src/model/erasure-code.ts';
import { describe, expect, test } from 'vitest';
import { Collector } from '../../../src/healing/collector.ts';
import {
  type CodePolicy,
  isCollectible,
  planCollection,
  TINY_VOLUME_COUNT,
} from '../../../src/healing/collection-policy.ts';
import { DamageRecorder } from '../../../src/healing/damage-recorder.ts';
import type { BlobRecord, VolumeRecord } from '../../../src/model/blob.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { bodyOf, DataStoreHarness } from '../../support/data-store-harness.ts';

const CODE = { k: 4, m: 2 };

function collectorOf(harness: DataStoreHarness): Collector {
  return new Collector({
    dataStore: harness.store,
    retireVolume: (volumeId) => harness.store.retireVolume(volumeId),
    metadataStore: harness.ledger,
    clock: harness.cluster.clock,
    log: silentLog,
    rateBytesPerSecond: 2 ** 40,
  });
}

/** Collects until nothing changes any more, as rounds in a quiet server do. */
async function collectAll(harness: DataStoreHarness): Promise<void> {
  const collector = collectorOf(harness);
  for (let round = 0; round < 20; round++) if (!(await harness.withTime(collector.collectOnce()))) return;
  throw new Error('collecting does not come to an end');
}

async function restart(harness: DataStoreHarness): Promise<void> {
  await harness.withTime(harness.store.stop());
  harness.cluster.restart();
  await harness.restart();
}

function volumeFileCount(harness: DataStoreHarness): number {
  return harness.cluster.disks.flatMap((disk) => disk.filePaths()).filter((path) => path.startsWith('volumes/')).length;
}

function usedBytes(harness: DataStoreHarness): number {
  return harness.cluster.disks.reduce((sum, disk) => sum + disk.capacityBytes - disk.freeBytes, 0);
}

/** Every volume was opened under the code that is in force. */
function codesOf(code: ErasureCode): CodePolicy {
  return { now: () => code, isOfEarlierCode: () => false, isDue: () => false };
}

function volume(volumeId: number, change: Partial<VolumeRecord>): VolumeRecord {
  return {
    volumeId,
    k: 4,
    m: 2,
    diskIds: ['a', 'b', 'c', 'd', 'e', 'f'],
    purpose: 'large',
    shardSizeBytes: 266_240,
    state: 'sealed',
    lengthBytes: 2 ** 28,
    liveBytes: 2 ** 30,
    storedBytes: 2 ** 30,
    undroppedDiskIds: [],
    ...change,
  };
}

describe('Collector', () => {
  test('has an open volume sealed that is mostly dead', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const retired: number[] = [];
    const dying = volume(7, { state: 'open', storedBytes: 2 ** 29, liveBytes: 1000 });
    const collector = new Collector({
      dataStore: harness.store,
      retireVolume: (volumeId) => retired.push(volumeId),
      metadataStore: {
        commit: () => expect.unreachable('nothing is dropped or moved'),
        listBlobsInVolume: () => Promise.resolve([]),
        volumeChanges: () => Promise.resolve({ version: 1, isWhole: true, volumes: [dying], forgottenVolumeIds: [] }),
      },
      clock: harness.cluster.clock,
      log: silentLog,
      rateBytesPerSecond: 2 ** 40,
    });
    await harness.withTime(collector.collectOnce());
    expect(retired).toEqual([7]);
  });

  test('drops volumes in which nothing lives and confirms the drop on every disk', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const blobs: BlobRecord[] = [];
    for (const size of [100, 5000, 100_000, 300_000])
      blobs.push(await harness.withTime(harness.put(bodyOf('x', size))));
    for (const { blobId } of blobs) await harness.ledger.removeBlob(blobId);
    await collectAll(harness);
    expect(volumeFileCount(harness), 'open volumes are not touched').toBe(12);
    await restart(harness);
    await collectAll(harness);
    expect(volumeFileCount(harness)).toBe(0);
    expect(harness.journal.volumes.size).toBe(0);
  });

  test('bytes that nobody committed come back after a restart', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    await harness.withTime(harness.store.writeSmall(bodyOf('never named', 9000), Buffer.alloc(0)));
    const writer = await harness.store.openWriter({});
    await harness.withTime(writer.write(bodyOf('never finished', 400_000)));
    harness.crash('keep-all');
    await harness.restart();
    await collectAll(harness);
    expect(volumeFileCount(harness)).toBe(0);
  });

  test('rewrites what lives in mostly dead volumes and gives the rest back', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const blobs: { blob: BlobRecord; body: Buffer }[] = [];
    for (let i = 0; i < 60; i++) {
      const body = bodyOf(`blob ${i}`, i % 6 === 0 ? 150_000 : 9000);
      blobs.push({ body, blob: await harness.withTime(harness.put(body, Buffer.from(`descriptor ${i}`))) });
    }
    await restart(harness);
    const before = usedBytes(harness);
    const kept = blobs.filter((_, i) => i % 18 === 0 || i % 18 === 1);
    for (const { blob } of blobs) if (!kept.some((k) => k.blob === blob)) await harness.ledger.removeBlob(blob.blobId);
    await collectAll(harness);
    await restart(harness);
    await collectAll(harness);
    expect(usedBytes(harness)).toBeLessThan(before * 0.5);
    harness.cluster.detach([1, 4]);
    for (const { blob, body } of kept) {
      const moved = harness.journal.blobs.get(blob.blobId)!;
      expect(moved.layout.equals(blob.layout)).toBe(false);
      expect((await harness.get(moved)).equals(body)).toBe(true);
    }
  });

  test('a blob deleted while it is moved stays deleted, and a reader keeps the volume it reads from', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const body = bodyOf('read slowly', 300_000);
    const blob = await harness.withTime(harness.put(body));
    for (let i = 0; i < 5; i++) {
      const other = await harness.withTime(harness.put(bodyOf(`other ${i}`, 200_000)));
      await harness.ledger.removeBlob(other.blobId);
    }
    await restart(harness);
    const reading = harness.store.read(blob, { start: 0, length: blob.sizeBytes })[Symbol.asyncIterator]();
    const first = await harness.withTime(reading.next());
    const pieces = [Buffer.from(first.value.bytes)];
    first.value.release();
    await harness.ledger.removeBlob(blob.blobId);
    await collectAll(harness);
    for (let next = await harness.withTime(reading.next()); next.done !== true;) {
      pieces.push(Buffer.from(next.value.bytes));
      next.value.release();
      next = await harness.withTime(reading.next());
    }
    expect(Buffer.concat(pieces).equals(body)).toBe(true);
    await collectAll(harness);
    expect(harness.journal.blobs.size).toBe(0);
    expect(volumeFileCount(harness)).toBe(0);
    await expect(harness.get(blob)).rejects.toMatchObject({ code: 'BlobGone' });
  });

  test('a drop is remembered until a disk that was away has confirmed it', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const blob = await harness.withTime(harness.put(bodyOf('x', 5000)));
    await harness.ledger.removeBlob(blob.blobId);
    await restart(harness);
    harness.cluster.detach([2]);
    await collectAll(harness);
    expect([...harness.journal.volumes.values()]).toMatchObject([{ state: 'dropped' }]);
    expect([...harness.journal.volumes.values()][0]!.undroppedDiskIds).toEqual([harness.cluster.diskIds[2]]);
    harness.cluster.attach([2]);
    harness.cluster.diskSet.markLevel(harness.cluster.diskIds[2]!);
    await collectAll(harness);
    expect(harness.journal.volumes.size).toBe(0);
    expect(volumeFileCount(harness)).toBe(0);
  });

  test('what was written over fewer disks is rewritten over all of them when they are back, and not before', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    harness.cluster.detach([0, 3]);
    const blobs: { blob: BlobRecord; body: Buffer }[] = [];
    for (const size of [100, 5000, 100_000, 300_000]) {
      const body = bodyOf(`narrow ${size}`, size);
      blobs.push({ body, blob: await harness.withTime(harness.put(body)) });
    }
    const widths = (): number[] =>
      [...harness.journal.volumes.values()].filter(({ liveBytes }) => liveBytes > 0).map(({ k }) => k);
    await harness.withTime(harness.store.stop());
    harness.cluster.restart();
    await harness.restart();
    await collectAll(harness);
    expect(new Set(widths())).toEqual(new Set([2]));
    harness.cluster.attach([0, 3]);
    for (const index of [0, 3]) harness.cluster.diskSet.markLevel(harness.cluster.diskIds[index]!);
    await collectAll(harness);
    expect(new Set(widths())).toEqual(new Set([4]));
    harness.cluster.detach([1, 2]);
    for (const { blob, body } of blobs) {
      expect((await harness.get(harness.journal.blobs.get(blob.blobId)!)).equals(body)).toBe(true);
    }
  });

  test('a hundred restarts with one blob each leave a bounded number of files', async () => {
    const harness = await DataStoreHarness.start({ code: { k: 2, m: 1 } });
    for (let i = 0; i < 100; i++) {
      await harness.withTime(harness.put(bodyOf(`restart ${i}`, 500)));
      await restart(harness);
      await collectAll(harness);
    }
    expect(volumeFileCount(harness)).toBeLessThanOrEqual(3 * (TINY_VOLUME_COUNT + 2));
    expect(harness.journal.blobs.size).toBe(100);
    for (const blob of harness.journal.blobs.values()) expect((await harness.get(blob)).length).toBe(500);
  });

  test('works when disks are full up to the reserve', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const kept = await harness.withTime(harness.put(bodyOf('kept', 9000)));
    for (let i = 0; i < 4; i++) {
      const other = await harness.withTime(harness.put(bodyOf(`dead ${i}`, 9000)));
      await harness.ledger.removeBlob(other.blobId);
    }
    await restart(harness);
    for (const diskId of harness.cluster.diskIds) harness.cluster.diskSet.setAcceptsData(diskId, false);
    await collectAll(harness);
    const moved = harness.journal.blobs.get(kept.blobId)!;
    expect(moved.footprint[0]!.volumeId).not.toBe(kept.footprint[0]!.volumeId);
    expect((await harness.get(moved)).equals(bodyOf('kept', 9000))).toBe(true);
  });

  test('runs by itself in rounds and stops', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const blob = await harness.withTime(harness.put(bodyOf('x', 5000)));
    await harness.ledger.removeBlob(blob.blobId);
    await restart(harness);
    const collector = collectorOf(harness);
    collector.start();
    for (let i = 0; i < 50 && harness.journal.volumes.size > 0; i++) await harness.cluster.clock.advance(1000);
    expect(harness.journal.volumes.size).toBe(0);
    expect(collector.report()).toMatchObject({ droppedVolumeCount: 1, lastError: undefined });
    await collector.stop();
  });
});

describe('planCollection', () => {
  test('leaves open, pinned and full volumes alone', () => {
    const plan = planCollection(
      [volume(1, {}), volume(2, { state: 'open', liveBytes: 0, storedBytes: 2 ** 20 }), volume(3, { liveBytes: 0 })],
      new Set([3]),
    );
    expect(plan).toEqual({ toRetire: [], toDrop: [], toRewrite: [], toConfirm: [] });
  });

  test('counts what was never committed as dead', () => {
    const aborted = volume(1, { liveBytes: 2 ** 28, storedBytes: 2 ** 28 });
    expect(planCollection([aborted], new Set()).toRewrite).toEqual([aborted]);
  });

  test('takes the volume with the most space for the least work first', () => {
    const half = volume(1, { liveBytes: 2 ** 29 - 1 });
    const almostEmpty = volume(2, { liveBytes: 1000 });
    expect(planCollection([half, almostEmpty], new Set()).toRewrite).toEqual([almostEmpty, half]);
  });

  test('an open volume is sealed when it holds much that is dead, and more than lives', () => {
    const MIB = 2 ** 20;
    const open = (storedBytes: number, liveBytes: number): VolumeRecord =>
      volume(1, { state: 'open', storedBytes, liveBytes });
    const isRetired = (record: VolumeRecord): boolean =>
      isCollectible(record, codesOf(CODE)) && planCollection([record], new Set()).toRetire.length === 1;
    expect(isRetired(open(300 * MIB, 20 * MIB))).toBe(true);
    expect(isRetired(open(200 * MIB, 0))).toBe(false);
    expect(isRetired(open(1000 * MIB, 600 * MIB))).toBe(false);
    expect(planCollection([volume(1, { storedBytes: 300 * MIB, liveBytes: 0 })], new Set()).toRetire).toEqual([]);
  });
});

describe('DamageRecorder', () => {
  test('keeps what could not be committed for the next round', async () => {
    const harness = await DataStoreHarness.start({ code: CODE });
    const damage = {
      volumeId: 1,
      diskId: 'a',
      shardIndex: 0,
      offset: 64,
      kind: 'corrupt' as const,
      seenAtMs: 5,
    };
    let pending = [damage];
    const recorder = new DamageRecorder({
      dataStore: { takeDamage: () => pending.splice(0) },
      metadataStore: harness.ledger,
      clock: harness.cluster.clock,
      log: silentLog,
    });
    harness.ledger.failure = new Error('no quorum');
    await recorder.recordNow();
    expect(recorder.report()).toMatchObject({ recordedCount: 0, pendingCount: 1 });
    harness.ledger.failure = undefined;
    pending = [{ ...damage, offset: 128 }];
    await recorder.recordNow();
    expect(harness.journal.damage.map(({ offset }) => offset)).toEqual([64, 128]);
    expect(recorder.report()).toMatchObject({ recordedCount: 2, pendingCount: 0 });
  });
});
