import { describe, expect, test } from 'vitest';
import { volumePath } from '../../../src/data-store/volume/volume-file.ts';
import { StoreError } from '../../../src/errors/store-error.ts';
import { DiskMover } from '../../../src/healing/disk-mover.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { bodyOf, DataStoreHarness, moveOneShard } from '../../support/data-store-harness.ts';

const CODE = { k: 2, m: 1 };
const BODY = bodyOf('x', 100_000);

async function oneVolume(diskCount: number) {
  const harness = await DataStoreHarness.start({ code: CODE, diskCount, tunables: { handleCheckAfterMs: 0 } });
  const blob = await harness.withTime(harness.put(BODY));
  await harness.sealAll();
  const { volumeId, diskIds } = harness.journal.volumes.get(blob.footprint[0]!.volumeId)!;
  const ids = harness.cluster.diskIds;
  return { harness, blob, volumeId, diskIds, ids, free: ids.find((id) => !diskIds.includes(id)) ?? '' };
}

function comeBack(harness: DataStoreHarness, diskIds: readonly string[]): Promise<void> {
  harness.cluster.attach(diskIds.map((id) => harness.cluster.diskIds.indexOf(id)));
  for (const id of diskIds) harness.cluster.diskSet.markLevel(id);
  return harness.withTime(harness.cluster.clock.advance(10_000));
}

describe('the last good copy', () => {
  test('survives a move from a disk that is away, with too few others', async () => {
    const { harness, blob, volumeId, diskIds, ids, free } = await oneVolume(7);
    harness.cluster.detach([ids.indexOf(diskIds[0]!), ids.indexOf(diskIds[1]!)]);
    const move = moveOneShard(harness.store, { ...harness.workOn(volumeId), shardIndex: 0, toDiskId: free });
    await expect(harness.withTime(move)).rejects.toMatchObject({ code: 'DiskFailed' });
    await comeBack(harness, [diskIds[0]!]);
    expect((await harness.get(blob)).equals(BODY)).toBe(true);
  });

  test.each(['draining', 'fuller than the others'])('survives a mover while m + 1 disks (%s) are away', async (how) => {
    const { harness, blob, volumeId, diskIds, ids } = await oneVolume(7);
    const away = diskIds.slice(0, 2);
    harness.cluster.detach(away.map((id) => ids.indexOf(id)));
    const mover = new DiskMover({
      mover: {
        moveShards: (_, moves) => harness.store.moveShards({ ...harness.workOn(volumeId), moves }),
      },
      metadataStore: harness.ledger,
      disks: () =>
        harness.cluster.diskSet.disks.map(({ id, state }) => ({
          id,
          acceptsData: state === 'online',
          isDraining: how === 'draining' && away.includes(id),
          isOnline: state === 'online',
          roomBytes: how !== 'draining' && away.includes(id) ? 60_000 : 1e6,
        })),
      groupsOf: () => [[...ids]],
      onDrained: () => Promise.resolve(),
      clock: harness.cluster.clock,
      log: silentLog,
      balanceRateBytesPerSecond: 1e9,
    });
    for (let round = 0; round < 4; round++) await harness.withTime(mover.moveOnce());
    await comeBack(harness, away);
    expect((await harness.get(blob)).equals(BODY)).toBe(true);
  });

  test('survives a repair that cannot open the damaged file for a moment', async () => {
    const { harness, blob, volumeId, diskIds, ids } = await oneVolume(3);
    const damaged = ids.indexOf(diskIds[0]!);
    // One byte of the first block is bad: no shard is.
    harness.cluster.disks[damaged]!.corrupt(volumePath(volumeId), 100);
    harness.cluster.detach([ids.indexOf(diskIds[1]!)]);
    const { fs } = harness.cluster.diskSet.disks[damaged]!;
    const open = fs.open.bind(fs);
    let opened = 0;
    // The first look finds the damage; the second, for what to copy from it, fails.
    fs.open = (path, mode) =>
      path === volumePath(volumeId) && ++opened === 2
        ? Promise.reject(new StoreError('DiskFailed', 'EIO once'))
        : open(path, mode);
    await harness.withTime(harness.store.repairVolume({ ...harness.workOn(volumeId), diskIds: [diskIds[0]!] }));
    expect(opened).toBeGreaterThan(1);
    expect((await harness.get(blob)).equals(BODY)).toBe(true);
  });
});

describe('a list of volumes that is older than a move', () => {
  test('does not make a repair write where the shard was, nor the store look for it there', async () => {
    const { harness, blob, volumeId, diskIds, ids, free } = await oneVolume(5);
    const stale = harness.workOn(volumeId);
    await harness.withTime(moveOneShard(harness.store, { ...stale, shardIndex: 0, toDiskId: free }));
    for (const diskId of [diskIds[0]!, diskIds[1]!]) {
      const repair = harness.withTime(harness.store.repairVolume({ ...stale, diskIds: [diskId] }));
      await expect(repair).rejects.toMatchObject({ code: 'NotReady' });
    }
    expect(harness.cluster.disks[ids.indexOf(diskIds[0]!)]!.filePaths()).toEqual([]);
    harness.cluster.detach([ids.indexOf(diskIds[2]!)]);
    expect((await harness.get(blob)).equals(BODY)).toBe(true);
  });

  test('does not make a returning disk remove a shard that came back to it', async () => {
    const { harness, volumeId, diskIds, ids, free } = await oneVolume(5);
    const home = diskIds[0]!;
    harness.cluster.detach([ids.indexOf(home)]);
    await harness.withTime(moveOneShard(harness.store, { ...harness.workOn(volumeId), shardIndex: 0, toDiskId: free }));
    harness.cluster.attach([ids.indexOf(home)]);
    harness.cluster.diskSet.setState(home, 'online');
    // Its old file waits to be removed: until that is confirmed nothing is moved there.
    const back = moveOneShard(harness.store, { ...harness.workOn(volumeId), shardIndex: 0, toDiskId: home });
    await expect(harness.withTime(back)).rejects.toMatchObject({ code: 'NotReady' });
  });
});
