import { afterEach, expect, test } from 'vitest';
import type { CensusReport } from '../../src/healing/census.ts';
import { ALICE } from '../support/metadata-fixtures.ts';
import { payloadOf } from '../support/payload.ts';
import { SimulatedService } from '../support/simulated-service.ts';

const BUCKET = 'bucket';
const SIZES = [0, 1, 4096, 16 * 1024, 16 * 1024 + 1, 70_000, 300_000];
const CODE = { k: 4, m: 2 };

let service: SimulatedService;

afterEach(async () => {
  await service.destroy();
});

async function begin(code = CODE, seed = 1): Promise<void> {
  service = await SimulatedService.format({ code, seed });
  await service.start();
  const { buckets } = service.process.services;
  await service.withTime(buckets.createBucket({ name: BUCKET, owner: ALICE, locationConstraint: undefined }));
}

async function put(key: string, body: Buffer): Promise<void> {
  await service.withTime(service.call('PutObject', { bucket: BUCKET, key, body }));
}

/** Objects of all kinds, each named by its content; returns their keys. */
async function fill(prefix: string): Promise<string[]> {
  const keys = SIZES.map((size) => `${prefix}/${size}`);
  for (const [index, key] of keys.entries()) await put(key, payloadOf(key, SIZES[index]!));
  return keys;
}

async function expectReadable(keys: readonly string[], message: string): Promise<void> {
  for (const key of keys) {
    const size = Number(key.split('/').at(-1));
    const { body } = await service.withTime(service.call('GetObject', { bucket: BUCKET, key }));
    expect(body.equals(payloadOf(key, size)), `${message}: ${key}`).toBe(true);
  }
}

/** Simulated seconds pass, and as much real time as the threads need, until `condition` holds; gives up after many. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 200 && !(await condition()); tries++) {
    await service.withTime(service.cluster.clock.advance(1000));
  }
}

/** Lets the healer work until a census finds nothing below full redundancy. */
async function untilClean(): Promise<CensusReport> {
  let report = await service.census();
  await until(async () => {
    report = await service.census();
    return report.isClean;
  });
  expect(report.findings).toEqual([]);
  return report;
}

/** A disk whose directory comes back without a single shard file. */
function removeShards(index: number): void {
  const disk = service.cluster.disks[index]!;
  for (const path of disk.filePaths()) if (path.startsWith('volumes/')) void disk.unlink(path);
}

async function restart(): Promise<void> {
  await service.stop();
  await service.start();
}

test('a census of a whole store is clean and counts every object', async () => {
  await begin();
  const keys = [...(await fill('one')), ...(await fill('two'))];
  const report = await untilClean();
  expect(report.worstMargin).toBe(2);
  expect(report.shards.goodCount).toBe(report.shards.expectedCount);
  expect(report.classes.reduce((sum, { blobCount }) => sum + blobCount, 0)).toBeGreaterThanOrEqual(keys.length);
  expect(report.journal).toMatchObject({ copyCount: 6, levelCount: 6 });
  expect(report.disks.map(({ unknownFileCount }) => unknownFileCount)).toEqual([0, 0, 0, 0, 0, 0]);
});

test('every pair of disks that lost their shard files is healed, and any other pair may go then', async () => {
  await begin();
  const keys = await fill('kept');
  for (let a = 0; a < 6; a++) {
    for (let b = a + 1; b < 6; b++) {
      await restart();
      removeShards(a);
      removeShards(b);
      const before = await service.census();
      expect(before.isClean).toBe(false);
      expect(before.worstMargin).toBe(0);
      expect(before.below.flatMap(({ files }) => files.map(({ condition }) => condition))).not.toContain('good');
      await restart();
      await untilClean();
      const others = [0, 1, 2, 3, 4, 5].filter((index) => index !== a && index !== b);
      service.cluster.detach([others[0]!, others[3]!]);
      await expectReadable(keys, `healed ${a} and ${b}`);
      service.cluster.attach([others[0]!, others[3]!]);
    }
  }
});

test('a disk that was away while objects were written, overwritten and deleted comes back level and whole', async () => {
  await begin();
  const first = await fill('first');
  service.cluster.detach([2]);
  const second = await fill('second');
  await service.withTime(service.call('DeleteObject', { bucket: BUCKET, key: first[0]! }));
  await put(first[3]!, payloadOf(first[3]!, SIZES[3]!));
  expect((await service.census()).isClean).toBe(false);
  service.cluster.attach([2]);
  await untilClean();
  await expectReadable([...first.slice(1), ...second], 'after the return');
});

test('a stale copy of a disk put in its place is read whole and made whole', async () => {
  await begin();
  await fill('old');
  const image = service.cluster.disks[4]!.snapshot();
  const keys = await fill('new');
  await service.stop();
  service.cluster.replaceContent(4, image);
  service.cluster.restart();
  await service.start();
  await untilClean();
  service.cluster.detach([0, 1]);
  await expectReadable(keys, 'with the stale disk healed');
});

test('damage that a read met is healed and forgotten only when the file reads back', async () => {
  await begin();
  const keys = await fill('read');
  const disk = service.cluster.disks[1]!;
  for (const path of disk.filePaths().filter((each) => each.startsWith('volumes/'))) {
    for (let at = 4200; at < disk.peek(path).length; at += 3000) disk.corrupt(path, at);
  }
  await expectReadable(keys, 'damaged');
  await service.withTime(service.process.damageRecorder.recordNow());
  const damage = await service.process.metadata.listDamagedFiles();
  expect(damage.length).toBeGreaterThan(0);
  await until(async () => (await service.process.metadata.status()).damageCount === 0);
  expect((await service.process.metadata.status()).damageCount).toBe(0);
  expect(service.process.healer.report()).toMatchObject({ suspectFileCount: 0, lostShardCount: 0 });
  const { below } = await service.census();
  expect(below.map(({ volumeId }) => volumeId).filter((id) => damage.some(({ volumeId }) => volumeId === id))).toEqual(
    [],
  );
});

test('nothing is called healed while a disk is away, and its files are suspects again when it comes back without them', async () => {
  await begin();
  await fill('away');
  await restart();
  service.cluster.detach([3]);
  removeShards(5);
  await service.withTime(service.cluster.clock.advance(5000));
  const report = await service.census();
  expect(report.isClean).toBe(false);
  expect(report.below.every(({ files }) => files.some(({ condition }) => condition === 'unreachable'))).toBe(true);
  service.cluster.disks[3]!.attach();
  removeShards(3);
  service.cluster.disks[3]!.detach();
  service.cluster.attach([3]);
  await untilClean();
});

test('shards moved off a disk one by one leave it empty, and everything whole without it', async () => {
  service = await SimulatedService.format({ code: CODE, seed: 3, diskCount: 8 });
  await service.start();
  const { buckets } = service.process.services;
  await service.withTime(buckets.createBucket({ name: BUCKET, owner: ALICE, locationConstraint: undefined }));
  const keys = [...(await fill('one')), ...(await fill('two'))];
  const leaving = service.cluster.diskIds[0]!;
  const { metadata, healer } = service.process;
  const named = async () => (await metadata.listVolumes()).filter(({ diskIds }) => diskIds.includes(leaving));
  await until(async () => {
    for (const { volumeId, diskIds } of await named()) {
      const free = service.cluster.diskIds.find((id) => !diskIds.includes(id))!;
      await service.withTime(
        healer.moveShards(volumeId, [{ shardIndex: diskIds.indexOf(leaving), toDiskId: free }]).catch(() => undefined),
      );
    }
    return (await named()).length === 0;
  });
  expect(await named()).toEqual([]);
  await untilClean();
  expect(service.cluster.disks[0]!.filePaths().filter((path) => path.startsWith('volumes/'))).toEqual([]);
  service.cluster.detach([0, 3]);
  await expectReadable(keys, 'without the disk and another');
});

test('bits flipped in every file of one disk are found by one scrub and healed, open volumes included', async () => {
  await begin();
  const keys = await fill('scrubbed');
  const disk = service.cluster.disks[2]!;
  const paths = disk.filePaths().filter((path) => path.startsWith('volumes/'));
  expect(paths.length).toBeGreaterThan(1);
  for (const path of paths) {
    for (let at = 11; at < disk.peek(path).length; at += 2000) disk.corrupt(path, at, 0x04);
  }
  expect((await service.census()).isClean).toBe(false);
  const { scrubber } = service.process;
  scrubber.request();
  await until(async () => !scrubber.report().isRunning);
  expect(scrubber.report()).toMatchObject({ damagedFileCount: paths.length, lastError: undefined });
  await untilClean();
  service.cluster.detach([0, 5]);
  await expectReadable(keys, 'without two others');
});

test('a pass goes on behind the volumes it has read when the server starts again, and the next one waits for its time', async () => {
  await begin();
  await fill('one');
  await restart();
  await fill('two');
  const { metadata } = service.process;
  await until(async () => (await metadata.getDocument({ collection: 'healing', id: 'scrub' })) !== undefined);
  const body = await metadata.getDocument({ collection: 'healing', id: 'scrub' });
  const state = JSON.parse(body!.toString('utf8')) as { startedAtMs: number; lastVolumeId: number };
  const ids = (await metadata.listVolumes()).map(({ volumeId }) => volumeId).sort((a, b) => a - b);
  const half = { ...state, lastVolumeId: ids[1]!, readBytes: 12_345, finishedAtMs: undefined };
  const address = { collection: 'healing', id: 'scrub' };
  await service.withTime(metadata.commit({ type: 'PutDocument', address, body: Buffer.from(JSON.stringify(half)) }));
  const spoiled = service.cluster.disks[1]!;
  spoiled.corrupt(`volumes/${ids[0]!.toString(16).padStart(14, '0')}.shard`, 5000);
  await restart();
  await until(
    async () => !service.process.scrubber.report().isRunning && service.process.scrubber.report().readBytes > 0,
  );
  const after = service.process.scrubber.report();
  expect(after.startedAtMs).toBe(state.startedAtMs);
  expect(after.damagedFileCount, 'what was read before is not read again').toBe(0);
  expect(after.readBytes).toBeGreaterThan(12_345);
  expect(after.nextDueAtMs).toBe(state.startedAtMs + after.periodMs);
  service.cluster.clock.jumpWallClock(31 * 86_400_000);
  await until(async () => service.process.scrubber.report().damagedFileCount > 0);
  await untilClean();
});
