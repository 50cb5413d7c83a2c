import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import type { VolumeInspection, VolumeRepair } from '../../../src/data-store/data-store.ts';
import { decodeBlobLayout, stripeOfRun } from '../../../src/data-store/blob-layout.ts';
import { stripeHeaderLength, type StripeLocation } from '../../../src/data-store/stripe/stripe-header.ts';
import { repairPath, VOLUME_HEADER_BYTES, volumePath } from '../../../src/data-store/volume/volume-file.ts';
import { makeErrno, toDiskError } from '../../../src/disk/disk-error.ts';
import type { BlobRecord } from '../../../src/model/blob.ts';
import { bodyOf, DataStoreHarness } from '../../support/data-store-harness.ts';
import { beginSweep, expectReadable } from '../../support/sweep-setting.ts';

const SIZES = [0, 1, 100, 5000, 12_000, 3000, 16_384, 70_000, 200_000, 300_000];

interface Stored {
  blob: BlobRecord;
  body: Buffer;
}

async function fill(harness: DataStoreHarness, rounds = 2): Promise<Stored[]> {
  const stored: Stored[] = [];
  const put = async (name: string, size: number): Promise<void> => {
    const body = bodyOf(name, size);
    stored.push({ body, blob: await harness.put(body, Buffer.from(`descriptor of ${name}`)) });
  };
  for (let round = 0; round < rounds; round++) {
    // Lone ones make narrow stripes in some of the files, many at once make full ones.
    for (const size of SIZES) await harness.withTime(put(`lone ${round}/${size}`, size));
    await harness.withTime(Promise.all(SIZES.map((size) => put(`together ${round}/${size}`, size))));
  }
  await harness.sealAll();
  return stored;
}

function volumeIds(harness: DataStoreHarness): number[] {
  return [...harness.journal.volumes.keys()];
}

async function inspectAll(harness: DataStoreHarness): Promise<VolumeInspection[]> {
  const found: VolumeInspection[] = [];
  for (const id of volumeIds(harness)) {
    found.push(await harness.withTime(harness.store.inspectVolume(harness.workOn(id))));
  }
  return found;
}

async function repairAll(harness: DataStoreHarness): Promise<VolumeRepair[]> {
  const done: VolumeRepair[] = [];
  for (const id of volumeIds(harness)) {
    const work = { ...harness.workOn(id), diskIds: harness.cluster.diskIds };
    done.push(await harness.withTime(harness.store.repairVolume(work)));
  }
  return done;
}

function isWhole(inspections: readonly VolumeInspection[]): boolean {
  return inspections.every(({ files }) => files.every(({ condition }) => condition === 'good'));
}

async function expectAllRead(harness: DataStoreHarness, stored: readonly Stored[], message: string): Promise<void> {
  for (const { blob, body } of stored) {
    const live = harness.journal.blobs.get(blob.blobId)!;
    expect((await harness.get(live)).equals(body), `${message}: ${body.length} bytes`).toBe(true);
  }
}

function stripesOf(blob: BlobRecord): StripeLocation[] {
  const layout = decodeBlobLayout(blob.layout);
  if (layout.kind === 'small') return [layout.stripe];
  return layout.runs.flatMap((run) => Array.from({ length: run.count }, (_, i) => stripeOfRun(run, i)));
}

/** A hash of all live shards of one file. */
function hashOfLive(harness: DataStoreHarness, diskIndex: number, volumeId: number): string {
  const file = harness.cluster.disks[diskIndex]!.peek(volumePath(volumeId));
  const slot = harness.journal.volumes.get(volumeId)!.diskIds.indexOf(harness.cluster.diskIds[diskIndex]!);
  const pieces = [file.subarray(0, VOLUME_HEADER_BYTES)];
  for (const blob of harness.journal.blobs.values()) {
    for (const { places, shardLengthBytes, volumeId: id } of stripesOf(blob)) {
      const place = places.find((each) => each.slot === slot);
      if (place && id === volumeId) pieces.push(file.subarray(place.offset, place.offset + shardLengthBytes));
    }
  }
  return createHash('sha256').update(Buffer.concat(pieces)).digest('hex');
}

describe('repairing volumes', () => {
  let harness: DataStoreHarness;
  let stored: Stored[];

  beforeEach(async () => {
    harness = await DataStoreHarness.start({ code: { k: 4, m: 2 }, tunables: { handleCheckAfterMs: 0 } });
    stored = await fill(harness);
  });

  test('whole volumes are left as they are', async () => {
    expect(isWhole(await inspectAll(harness))).toBe(true);
    const repairs = await repairAll(harness);
    expect(repairs.flatMap(({ files }) => files).every(({ outcome }) => outcome === 'good')).toBe(true);
    expect(repairs.every(({ writtenBytes }) => writtenBytes === 0)).toBe(true);
  });

  test('files of every pair of lost disks are made again from exactly k, byte for byte', async () => {
    for (let a = 0; a < 6; a++) {
      for (let b = a + 1; b < 6; b++) {
        const before = [a, b].map((index) => volumeIds(harness).map((id) => hashOfLive(harness, index, id)));
        for (const index of [a, b]) harness.cluster.disks[index]!.wipe();
        const damaged = await inspectAll(harness);
        expect(damaged.every(({ stripesByMargin }) => [...stripesByMargin.keys()].every((margin) => margin >= 0))).toBe(
          true,
        );
        const repairs = await repairAll(harness);
        expect(repairs.flatMap(({ files }) => files.map(({ outcome }) => outcome))).not.toContain('failed');
        const whole = await inspectAll(harness);
        expect(isWhole(whole), `${a} and ${b}`).toBe(true);
        expect(whole.flatMap(({ stripesByMargin }) => [...stripesByMargin.keys()])).toEqual(whole.map(() => 2));
        const after = [a, b].map((index) => volumeIds(harness).map((id) => hashOfLive(harness, index, id)));
        expect(after).toEqual(before);
      }
    }
    harness.cluster.detach([0, 5]);
    await expectAllRead(harness, stored, 'after all repairs');
  });

  test('a flipped byte anywhere is found at exactly its shard and repaired', async () => {
    for (const id of volumeIds(harness)) {
      const blobs = [...harness.journal.blobs.values()].filter((blob) =>
        stripesOf(blob).some((s) => s.volumeId === id),
      );
      const stripe = stripesOf(blobs[0]!).find((each) => each.volumeId === id)!;
      const header = stripeHeaderLength(stripe);
      const { shardLengthBytes } = stripe;
      for (const shardIndex of [0, stripe.k, stripe.k + stripe.m - 1]) {
        const { slot, offset } = stripe.places[shardIndex]!;
        const diskId = harness.journal.volumes.get(id)!.diskIds[slot]!;
        const disk = harness.cluster.disks[harness.cluster.diskIds.indexOf(diskId)]!;
        for (const at of [0, 9, header - 1, header, header + (shardLengthBytes - header) / 2, shardLengthBytes - 1]) {
          disk.corrupt(volumePath(id), offset + Math.floor(at), 0x10);
          const { files } = await harness.withTime(harness.store.inspectVolume(harness.workOn(id)));
          const bad = files.filter(({ condition }) => condition !== 'good');
          expect(bad, `byte ${at} of shard ${shardIndex}`).toMatchObject([
            { diskId, condition: 'damaged', damage: [{ offset, shardIndex, kind: 'corrupt' }] },
          ]);
          await repairAll(harness);
          expect(isWhole(await inspectAll(harness)), `byte ${at} of shard ${shardIndex}`).toBe(true);
        }
      }
    }
  });

  test('the first block of a file counts too', async () => {
    for (const [number, id] of volumeIds(harness).entries()) {
      for (const at of [0, 40, VOLUME_HEADER_BYTES - 1]) {
        harness.cluster.disks[number]!.corrupt(volumePath(id), at);
        expect(isWhole(await inspectAll(harness))).toBe(false);
        await repairAll(harness);
        expect(isWhole(await inspectAll(harness)), `byte ${at}`).toBe(true);
      }
    }
  });

  test('files cut by one byte, in half, to nothing and removed are made whole', async () => {
    for (const id of volumeIds(harness)) {
      for (const [index, disk] of harness.cluster.disks.entries()) {
        const end = Math.max(
          VOLUME_HEADER_BYTES,
          ...[...harness.journal.blobs.values()].flatMap((blob) =>
            stripesOf(blob)
              .filter(({ volumeId }) => volumeId === id)
              .map(
                ({ places, shardLengthBytes }) =>
                  (places.find(({ slot }) => slot === index)?.offset ?? 0) + shardLengthBytes,
              ),
          ),
        );
        for (const length of [end - 1, Math.floor(end / 2), 0]) {
          disk.cut(volumePath(id), length);
          expect(isWhole(await inspectAll(harness)), `${length} of ${end} bytes`).toBe(false);
          await repairAll(harness);
          expect(isWhole(await inspectAll(harness)), `${length} of ${end} bytes`).toBe(true);
        }
      }
    }
    await expectAllRead(harness, stored, 'after cuts');
  });

  test('files exchanged between disks and between volumes, and old content, are rejected and made again', async () => {
    const [one, other] = volumeIds(harness).map(volumePath);
    const [first, second] = harness.cluster.disks;
    const exchange = (a: typeof first, pathA: string, b: typeof first, pathB: string): void => {
      const [x, y] = [a!.peek(pathA), b!.peek(pathB)];
      a!.cut(pathA, 0);
      b!.cut(pathB, 0);
      a!.poke(pathA, 0, y);
      b!.poke(pathB, 0, x);
    };
    exchange(first, one!, second, one!);
    await repairAll(harness);
    expect(isWhole(await inspectAll(harness)), 'between disks').toBe(true);
    exchange(first, one!, first, other!);
    await repairAll(harness);
    expect(isWhole(await inspectAll(harness)), 'between volumes').toBe(true);
    const file = first!.peek(one!);
    const half = VOLUME_HEADER_BYTES + Math.floor((file.length - VOLUME_HEADER_BYTES) / 2);
    first!.poke(one!, half, Buffer.alloc(file.length - half));
    await repairAll(harness);
    expect(isWhole(await inspectAll(harness)), 'an old copy, zeros behind').toBe(true);
    await expectAllRead(harness, stored, 'after exchanges');
  });

  test('damage in both of two files at different places leaves each shard readable for the other', async () => {
    const id = volumeIds(harness)[1]!;
    const { size } = { size: harness.cluster.disks[0]!.peek(volumePath(id)).length };
    for (let at = VOLUME_HEADER_BYTES + 700, number = 0; at < size; at += 20_000, number++) {
      for (const index of [number % 6, (number + 1) % 6]) {
        const disk = harness.cluster.disks[index]!;
        if (at < disk.peek(volumePath(id)).length) disk.corrupt(volumePath(id), at);
      }
    }
    await repairAll(harness);
    expect(isWhole(await inspectAll(harness))).toBe(true);
    await expectAllRead(harness, stored, 'after scattered damage');
  });

  test('what has too few good shards is kept as it is, told, and repaired when a disk comes back', async () => {
    const large = stored.find(({ body }) => body.length === 300_000)!;
    const stripe = stripesOf(large.blob)[0]!;
    const hit = [0, 1, 2].map((index) => {
      const { slot, offset } = stripe.places[index]!;
      const disk = harness.cluster.disks[slot]!;
      disk.corrupt(volumePath(stripe.volumeId), offset + 700);
      return { disk, offset };
    });
    const repairs = await repairAll(harness);
    const incomplete = repairs.flatMap(({ files }) => files.filter(({ outcome }) => outcome === 'incomplete'));
    expect(incomplete.map(({ lostCount }) => lostCount)).toEqual([1, 1, 1]);
    const [inspection] = (await inspectAll(harness)).filter(({ volumeId }) => volumeId === stripe.volumeId);
    expect(inspection!.stripesByMargin.get(-1)).toBe(1);
    // The same bytes, still wrong by the same flip.
    for (const { disk, offset } of hit.slice(0, 1)) disk.corrupt(volumePath(stripe.volumeId), offset + 700);
    await repairAll(harness);
    expect(isWhole(await inspectAll(harness))).toBe(true);
    await expectAllRead(harness, stored, 'after the late repair');
  });

  test('a bad shard that a repair meets in another file is told, so that it is healed next', async () => {
    const { blob } = stored.find(({ body }) => body.length === 300_000)!;
    const stripe = stripesOf(blob)[0]!;
    const [lost, bad] = [stripe.places[0]!, stripe.places[1]!];
    const { diskIds } = harness.journal.volumes.get(stripe.volumeId)!;
    await harness.cluster.disks[lost.slot]!.unlink(volumePath(stripe.volumeId));
    harness.cluster.disks[bad.slot]!.corrupt(volumePath(stripe.volumeId), bad.offset + 900);
    const work = { ...harness.workOn(stripe.volumeId), diskIds: [diskIds[lost.slot]!] };
    const { files } = await harness.withTime(harness.store.repairVolume(work));
    expect(files).toMatchObject([{ outcome: 'repaired', lostCount: 0 }]);
    expect(harness.store.takeDamage()).toMatchObject([
      { volumeId: stripe.volumeId, diskId: diskIds[bad.slot], offset: bad.offset, kind: 'corrupt' },
    ]);
  });

  test('inspections go on beside one another, whatever their pace', async () => {
    const [id] = volumeIds(harness);
    let goOn = (): void => {};
    const waiting = new Promise<void>((resolve) => (goOn = resolve));
    const slow = harness.store.inspectVolume({ ...harness.workOn(id!), pace: () => waiting });
    const quick = await harness.withTime(harness.store.inspectVolume(harness.workOn(id!)));
    expect(isWhole([quick])).toBe(true);
    goOn();
    expect(isWhole([await harness.withTime(slow)])).toBe(true);
  });

  test('bytes of dead blobs are not asked for, and a volume that is written to is left alone', async () => {
    const { blob } = stored.find(({ body }) => body.length === 200_000)!;
    await harness.ledger.removeBlob(blob.blobId);
    const stripe = stripesOf(blob)[0]!;
    harness.cluster.disks[2]!.corrupt(volumePath(stripe.volumeId), stripe.places[0]!.offset + 5);
    expect(isWhole(await inspectAll(harness))).toBe(true);
    const fresh = await harness.withTime(harness.put(bodyOf('fresh', 4000)));
    const open = stripesOf(fresh)[0]!.volumeId;
    expect(harness.store.isSettled(open)).toBe(false);
    const work = { ...harness.workOn(open), diskIds: harness.cluster.diskIds };
    await expect(harness.withTime(harness.store.repairVolume(work))).rejects.toMatchObject({ code: 'NotReady' });
    expect(isWhole(await inspectAll(harness)), 'open volumes can be inspected').toBe(true);
    harness.store.retireVolume(open);
    await harness.withTime(new Promise((resolve) => setImmediate(resolve)));
    await harness.cluster.clock.advance(10);
    expect(harness.store.isSettled(open)).toBe(true);
  });

  test('bytes that wait for their commit keep a sealed volume from being repaired', async () => {
    const pinned = await harness.withTime(harness.store.writeSmall(bodyOf('waits', 3000), Buffer.alloc(0)));
    const { volumeId } = pinned.blob.footprint[0]!;
    harness.store.retireVolume(volumeId);
    await harness.cluster.clock.advance(10);
    expect(harness.journal.volumes.get(volumeId)!.state).toBe('sealed');
    expect(harness.store.isSettled(volumeId)).toBe(false);
    pinned.unpin();
    expect(harness.store.isSettled(volumeId)).toBe(true);
  });

  test('a start removes what a repair left', async () => {
    const [id] = volumeIds(harness);
    const path = repairPath(id!);
    await harness.cluster.disks[3]!.createDurable(path);
    await harness.sealAll();
    expect(harness.cluster.disks.flatMap((disk) => disk.filePaths()).filter((each) => each.includes('.heal'))).toEqual(
      [],
    );
    expect(
      harness.cluster.disks.flatMap((disk) => disk.filePaths()).filter((each) => each.startsWith('quarantine')),
    ).toEqual([]);
  });
});

for (const code of [
  { k: 1, m: 1 },
  { k: 2, m: 1 },
  { k: 3, m: 3 },
  { k: 8, m: 4 },
]) {
  test(`${code.k}+${code.m}: m lost disks are made whole from exactly k`, async () => {
    const harness = await DataStoreHarness.start({ code });
    const stored = await fill(harness, 1);
    const { random, disks } = harness.cluster;
    for (let round = 0; round < 3; round++) {
      const lost = random.shuffle(disks.map((_, index) => index)).slice(0, code.m);
      for (const index of lost) harness.cluster.disks[index]!.wipe();
      await repairAll(harness);
      expect(isWhole(await inspectAll(harness)), lost.join()).toBe(true);
    }
    await expectAllRead(harness, stored, 'after repairs');
  });
}

test.each(['EIO', 'EACCES'])(
  'a file that a disk does not give out (%s) is damaged, and made again beside it',
  async (errno) => {
    const setting = await beginSweep({ code: { k: 2, m: 1 }, seed: 1 });
    const at = setting.harness.journal.volumes.values().next().value!;
    const index = setting.harness.cluster.diskIds.indexOf(at.diskIds[1]!);
    const isReplaced = (): boolean => setting.faults[index]!.countOf('publish') > 0;
    const faulty = setting.faults[index]!;
    const open = faulty.open.bind(faulty);
    faulty.open = (path, mode) => {
      const isBad = path === volumePath(at.volumeId) && !isReplaced();
      return isBad ? Promise.reject(toDiskError(makeErrno(errno, 'open', path), 'open', path)) : open(path, mode);
    };
    const inspect = () =>
      setting.harness.withTime(setting.harness.store.inspectVolume(setting.harness.workOn(at.volumeId)));
    const [, file] = (await inspect()).files;
    expect(file).toMatchObject({ condition: 'damaged', goodCount: 0 });
    expect(file?.damage[0]).toMatchObject({ offset: 0, kind: 'unreadable' });
    const work = { ...setting.harness.workOn(at.volumeId), diskIds: setting.harness.cluster.diskIds };
    const { files } = await setting.harness.withTime(setting.harness.store.repairVolume(work));
    expect(files.map(({ outcome }) => outcome).sort()).toEqual(['good', 'good', 'repaired']);
    expect((await inspect()).files.map(({ condition }) => condition)).toEqual(['good', 'good', 'good']);
    await expectReadable(setting, 'repaired');
  },
);

test('no handle left is no damage', async () => {
  const setting = await beginSweep({ code: { k: 2, m: 1 }, seed: 1 });
  const effect = { kind: 'error', errno: 'EMFILE' } as const;
  setting.faults[1]!.addFault({ operation: 'open', times: Infinity, effect });
  const [volumeId] = setting.harness.journal.volumes.keys();
  const { files } = await setting.harness.withTime(
    setting.harness.store.inspectVolume(setting.harness.workOn(volumeId!)),
  );
  expect(files.map(({ condition }) => condition).sort()).toEqual(['good', 'good', 'unreachable']);
});

test('lone small objects, each with a stripe of its own, are copied from whichever shard of theirs is good', async () => {
  const harness = await DataStoreHarness.start({ code: { k: 4, m: 2 }, tunables: { handleCheckAfterMs: 0 } });
  const stored: Stored[] = [];
  // More than one buffer of the new file.
  for (let n = 0; n < 300; n++) {
    const body = bodyOf(`lone ${n}`, 8000 + n);
    stored.push({ body, blob: await harness.withTime(harness.put(body)) });
  }
  await harness.sealAll();
  const { cluster } = harness;
  const before = volumeIds(harness).map((id) => hashOfLive(harness, 1, id));
  cluster.disks[1]!.wipe();
  // Of some the first copy that is looked at is bad.
  const damaged = new Set<number>();
  for (const [n, { blob }] of stored.entries()) {
    const [{ volumeId, places } = { volumeId: 0, places: [] }] = stripesOf(blob);
    const { diskIds } = harness.journal.volumes.get(volumeId)!;
    const onLost = places.some(({ slot }) => diskIds[slot] === cluster.diskIds[1]);
    const other = places.find(({ slot }) => diskIds[slot] !== cluster.diskIds[1]);
    if (n % 9 !== 0 || !onLost || other === undefined) continue;
    const disk = cluster.disks[cluster.diskIds.indexOf(diskIds[other.slot]!)]!;
    disk.poke(volumePath(volumeId), other.offset + 500, Buffer.from('flipped'));
    damaged.add(n);
  }
  expect(damaged.size).toBeGreaterThan(5);
  for (const id of volumeIds(harness)) {
    const work = { ...harness.workOn(id), diskIds: [cluster.diskIds[1]!] };
    const { files } = await harness.withTime(harness.store.repairVolume(work));
    expect(files.map(({ outcome, lostCount }) => [outcome, lostCount])).toEqual([['repaired', 0]]);
  }
  expect(volumeIds(harness).map((id) => hashOfLive(harness, 1, id))).toEqual(before);
});

test('files of several lost disks go to new ones from one reading of the volume', async () => {
  const harness = await DataStoreHarness.start({ code: { k: 4, m: 2 }, diskCount: 8 });
  const body = bodyOf('large', 2_000_000);
  const blob = await harness.withTime(harness.put(body));
  await harness.sealAll();
  const { cluster, journal } = harness;
  const { volumeId } = blob.footprint[0]!;
  const { diskIds } = journal.volumes.get(volumeId)!;
  const lost = [diskIds[1]!, diskIds[4]!];
  const free = cluster.diskIds.filter((id) => !diskIds.includes(id));
  cluster.detach(lost.map((id) => cluster.diskIds.indexOf(id)));
  const shardBytes = journal.volumes.get(volumeId)!.lengthBytes;
  const moves = [1, 4].map((shardIndex, n) => ({ shardIndex, toDiskId: free[n]! }));
  let workedBytes = 0;
  const pace = async (bytes: number): Promise<void> => void (workedBytes += bytes);
  const outcomes = await harness.withTime(harness.store.moveShards({ ...harness.workOn(volumeId), pace, moves }));
  expect(outcomes.map(({ failure }) => failure)).toEqual([undefined, undefined]);
  // Four files read, two written and read back; one after the other it would be twelve.
  expect(workedBytes / shardBytes).toBeLessThan(8.1);
  expect(journal.volumes.get(volumeId)!.diskIds.filter((id) => lost.includes(id))).toEqual([]);
  const { files } = await harness.withTime(harness.store.inspectVolume(harness.workOn(volumeId)));
  expect(files.every(({ condition }) => condition === 'good')).toBe(true);
});

test('a wide volume is repaired after a narrow one was looked at', async () => {
  const storageClasses = [{ name: 'NARROW', code: { k: 1, m: 1 } }];
  const harness = await DataStoreHarness.start({ code: { k: 8, m: 4 }, storageClasses });
  const { store, ledger, cluster } = harness;
  const inClass = { storageClass: 'NARROW' };
  const narrow = await harness.withTime(store.writeSmall(bodyOf('narrow', 1000), Buffer.from('narrow'), inClass));
  await ledger.commitBlob(narrow.blob);
  narrow.unpin();
  const wide = await harness.withTime(harness.put(bodyOf('wide', 2_000_000)));
  await harness.sealAll();
  const volumeIdOf = ({ footprint }: BlobRecord): number => footprint[0]!.volumeId;
  await harness.withTime(harness.store.inspectVolume(harness.workOn(volumeIdOf(narrow.blob))));
  cluster.disks[0]!.wipe();
  const work = { ...harness.workOn(volumeIdOf(wide)), diskIds: [cluster.diskIds[0]!] };
  const { files } = await harness.withTime(harness.store.repairVolume(work));
  expect(files.map(({ outcome }) => outcome)).toEqual(['repaired']);
});
