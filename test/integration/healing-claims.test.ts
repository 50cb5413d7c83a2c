import { afterEach, expect, test } from 'vitest';
import { volumePath } from '../../src/data-store/volume/volume-file.ts';
import type { VolumeKeeper } from '../../src/data-store/data-store.ts';
import { StoreError } from '../../src/errors/store-error.ts';
import { type CensusSources, takeCensus } from '../../src/healing/census.ts';
import { Healer } from '../../src/healing/healer.ts';
import { silentLog } from '../../src/observability/log.ts';
import { ALICE } from '../support/metadata-fixtures.ts';
import { payloadOf } from '../support/payload.ts';
import { SimulatedService } from '../support/simulated-service.ts';

const BUCKET = 'bucket';
let service: SimulatedService;
afterEach(() => service.destroy());

async function begin(): Promise<void> {
  service = await SimulatedService.format({ code: { k: 4, m: 2 }, seed: 1 });
  await service.start();
  const { buckets } = service.process.services;
  await service.withTime(buckets.createBucket({ name: BUCKET, owner: ALICE, locationConstraint: undefined }));
}

async function fill(prefix: string): Promise<void> {
  for (const size of [4096, 70_000, 300_000]) {
    const key = `${prefix}/${size}`;
    await service.withTime(service.call('PutObject', { bucket: BUCKET, key, body: payloadOf(key, size) }));
  }
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 150 && !(await condition()); tries++) {
    await service.withTime(service.cluster.clock.advance(1000));
  }
}

/** Over the running process, with some calls of the data store replaced. */
function healerWith(calls: Partial<VolumeKeeper>): Healer {
  const { data, metadata } = service.process;
  const volumeKeeper: VolumeKeeper = {
    inspectVolume: (work) => data.inspectVolume(work),
    repairVolume: (work) => data.repairVolume(work),
    moveShards: (work) => data.moveShards(work),
    retireVolume: (volumeId) => data.retireVolume(volumeId),
    isSettled: (volumeId) => data.isSettled(volumeId),
    listShardFiles: (diskId) => data.listShardFiles(diskId),
    ...calls,
  };
  return new Healer({
    volumeKeeper,
    metadataStore: metadata,
    disks: () => service.cluster.diskSet.disks,
    onDiskChange: () => () => {},
    clock: service.cluster.clock,
    log: silentLog,
    rateBytesPerSecond: 1e9,
    requestsInFlight: () => 0,
  });
}

test('a stale disk that was level when the server was restarted is still made whole', async () => {
  await begin();
  await until(() => Promise.resolve(service.process.scrubber.report().lastFinishedAtMs !== undefined));
  await fill('old');
  const image = service.cluster.disks[4]!.snapshot();
  await fill('new');
  await service.stop();
  service.cluster.replaceContent(4, image);
  service.cluster.restart();
  await service.start();
  await service.process.healer.stop();
  // It learns what is due and is ended before it has read anything.
  const unread = healerWith({ inspectVolume: () => Promise.reject(new StoreError('NotReady', 'ended')) });
  await expect(service.withTime(unread.healOnce())).rejects.toMatchObject({ code: 'NotReady' });
  const isLevel = async (): Promise<boolean> =>
    (await service.process.metadata.status()).disks.every((disk) => disk.isLevel);
  await until(isLevel);
  expect(await isLevel()).toBe(true);
  await service.stop();
  await service.start();
  let report = await service.census();
  await until(async () => (report = await service.census()).isClean);
  expect(report.findings).toEqual([]);
});

test('a census looks at every blob that lived when it began, also when the collector moves it meanwhile', async () => {
  await begin();
  await fill('one');
  await service.stop();
  await service.start();
  const { data, metadata, collector, healer } = service.process;
  await collector.stop();
  await healer.stop();
  const moveEverything = async (): Promise<void> => {
    const before = new Set((await metadata.listVolumes()).map(({ volumeId }) => volumeId));
    for (const volumeId of before) {
      for (const blob of await metadata.listBlobsInVolume({ volumeId, afterBlobId: -1, limit: 100 })) {
        const pinned = await data.rewriteBlob(blob);
        const { layout: toLayout, footprint: toFootprint } = pinned.blob;
        const move = { blobId: blob.blobId, fromLayout: blob.layout, toLayout, toFootprint };
        await metadata.commit({ type: 'MoveBlobs', moves: [move] });
        pinned.unpin();
      }
    }
    for (const { volumeId } of await metadata.listVolumes()) {
      if (before.has(volumeId)) continue;
      for (const disk of service.cluster.disks.slice(0, 2)) await disk.unlink(volumePath(volumeId));
    }
  };
  let listings = 0;
  const metadataStore: CensusSources['metadataStore'] = {
    listBlobsInVolume: (query) => metadata.listBlobsInVolume(query),
    status: () => metadata.status(),
    scrubJournal: () => metadata.scrubJournal(),
    listVolumes: async () => {
      const volumes = await metadata.listVolumes();
      if (listings++ === 0) await moveEverything();
      return volumes;
    },
  };
  const { clock, diskSet } = service.cluster;
  const sources = {
    volumeKeeper: data,
    metadataStore,
    disks: () => diskSet.disks,
    clock,
    storageClasses: () => data.storageClasses(),
  };
  const report = await service.withTime(takeCensus({ ...sources, pace: () => Promise.resolve() }));
  expect(report.isClean).toBe(false);
  expect(report.worstMargin).toBe(0);
});

test('one disk whose directory cannot be listed does not keep the others from being healed', async () => {
  await begin();
  await fill('one');
  await service.stop();
  await service.start();
  const { data, metadata, collector, healer } = service.process;
  await healer.stop();
  await collector.stop();
  const volume = (await metadata.listVolumes()).find(({ liveBytes }) => liveBytes > 0)!;
  const other = service.cluster.diskIds.indexOf(volume.diskIds[3]!);
  await service.cluster.disks[other]!.unlink(volumePath(volume.volumeId));
  const unlisted = service.cluster.diskIds.find((id) => id !== volume.diskIds[3])!;
  const partial = healerWith({
    listShardFiles: (diskId) =>
      diskId === unlisted ? Promise.reject(new StoreError('DiskFailed', 'EIO')) : data.listShardFiles(diskId),
  });
  for (let round = 0; round < 5; round++) await service.withTime(partial.healOnce());
  expect((await service.census()).findings).toEqual([]);
});

test('more recorded damage than is looked at in one round, on a disk that is away, hides no other', async () => {
  await begin();
  await fill('one');
  await service.stop();
  await service.start();
  const { metadata, healer } = service.process;
  await healer.stop();
  const [first, last] = (await metadata.listVolumes()).filter(({ liveBytes }) => liveBytes > 0);
  const away = service.cluster.diskIds.indexOf(first!.diskIds[0]!);
  service.cluster.detach([away]);
  const damageOf = (volumeId: number, diskId: string, count: number) =>
    Array.from({ length: count }, (_, n) => {
      return { volumeId, diskId, shardIndex: 0, offset: n * 4096, kind: 'corrupt' as const, seenAtMs: 1 };
    });
  const many = damageOf(first!.volumeId, service.cluster.diskIds[away]!, 10_001);
  for (let at = 0; at < many.length; at += 500) {
    await service.withTime(metadata.commit({ type: 'RecordDamage', damage: many.slice(at, at + 500) }));
  }
  const bad = last!.diskIds.find((id) => id !== service.cluster.diskIds[away])!;
  const disk = service.cluster.disks[service.cluster.diskIds.indexOf(bad)]!;
  for (let at = 0; at < disk.peek(volumePath(last!.volumeId)).length; at += 3000) {
    disk.corrupt(volumePath(last!.volumeId), at);
  }
  await service.withTime(metadata.commit({ type: 'RecordDamage', damage: damageOf(last!.volumeId, bad, 1) }));
  const another = healerWith({});
  await service.withTime(another.healOnce());
  expect(another.report()).toMatchObject({ repairedFileCount: 1, suspectFileCount: 1 });
  const left = await metadata.listDamagedFiles();
  expect(left.map(({ volumeId }) => volumeId)).toEqual([first!.volumeId]);
});

test('a census counts what repairs and moves have left behind', async () => {
  await begin();
  await fill('one');
  await service.stop();
  await service.start();
  await service.cluster.disks[2]!.createDurable(`${volumePath(12_345)}.heal`);
  await service.cluster.disks[2]!.createDurable(`${volumePath(12_345)}.moved`);
  const { disks } = await service.census();
  expect(disks.map(({ leftoverFileCount }) => leftoverFileCount)).toEqual([0, 0, 2, 0, 0, 0]);
  await service.stop();
  await service.start();
  expect((await service.census()).disks.map(({ leftoverFileCount }) => leftoverFileCount)).toEqual([0, 0, 0, 0, 0, 0]);
});
