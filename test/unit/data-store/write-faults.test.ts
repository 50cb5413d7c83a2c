import { describe, expect, test } from 'vitest';
import { FaultDiskFs, type FaultEffect } from '../../../src/disk/fault-disk-fs.ts';
import type { BlobRecord } from '../../../src/model/blob.ts';
import { isStoreError } from '../../../src/errors/store-error.ts';
import { bodyOf, DataStoreHarness, writeLarge } from '../../support/data-store-harness.ts';
import { ManualClock, settle } from '../../support/simulated-clock.ts';

const CODE = { k: 4, m: 2 };
const SIZES = [100, 9000, 60_000, 250_000, 14_000];

async function startWithFaults(): Promise<{ harness: DataStoreHarness; faults: FaultDiskFs[] }> {
  const faults: FaultDiskFs[] = [];
  const clock = new ManualClock();
  const harness = await DataStoreHarness.start({
    code: CODE,
    clock,
    wrap: (fs, index) => (faults[index] = new FaultDiskFs(fs, clock)),
  });
  return { harness, faults };
}

/** Puts several blobs at once; those that were acknowledged. */
async function putAll(harness: DataStoreHarness, label: string): Promise<{ blob: BlobRecord; body: Buffer }[]> {
  const results = await harness.withTime(
    Promise.all(
      SIZES.map(async (size) => {
        const body = bodyOf(`${label}/${size}`, size);
        try {
          return { blob: await harness.put(body), body };
        } catch (error) {
          if (!isStoreError(error)) throw error;
          return undefined;
        }
      }),
    ),
  );
  return results.filter((result) => result !== undefined);
}

async function expectReadable(
  harness: DataStoreHarness,
  written: readonly { blob: BlobRecord; body: Buffer }[],
  label: string,
): Promise<void> {
  for (const { blob, body } of written) {
    expect((await harness.get(blob)).equals(body), `${label}: blob of ${body.length}`).toBe(true);
  }
}

const EFFECTS: { name: string; effect: FaultEffect }[] = [
  { name: 'EIO', effect: { kind: 'error', errno: 'EIO' } },
  { name: 'EIO after it was done', effect: { kind: 'error', errno: 'EIO', isDone: true } },
  { name: 'a short write with ENOSPC', effect: { kind: 'short', errno: 'ENOSPC' } },
];

describe('a failing disk during writes', () => {
  for (const { name, effect } of EFFECTS) {
    test(`${name} at any call: writes go on without the disk, and survive two more losses`, async () => {
      for (let nth = 1; nth < 40; nth += nth < 12 ? 1 : 5) {
        const { harness, faults } = await startWithFaults();
        faults[2]!.addFault({ operation: effect.kind === 'short' ? 'write' : 'mutation', nth, effect });
        const written = [...(await putAll(harness, `first ${nth}`)), ...(await putAll(harness, `second ${nth}`))];
        const isStruck = faults[2]!.struckCount > 0;
        expect(written.length, `${name} at call ${nth}`).toBe(2 * SIZES.length);
        harness.cluster.detach([nth % 6, (nth + 1 + (nth % 5)) % 6]);
        await expectReadable(harness, written, `${name} at call ${nth}`);
        if (!isStruck) return;
      }
    });
  }

  test('a disk that hangs in a write is given up within the deadline', async () => {
    const { harness, faults } = await startWithFaults();
    await putAll(harness, 'before');
    faults[4]!.addFault({ operation: 'write', times: 100, effect: { kind: 'hang' } });
    faults[4]!.addFault({ operation: 'datasync', times: 100, effect: { kind: 'hang' } });
    const written = await putAll(harness, 'hanging');
    expect(written.length).toBe(SIZES.length);
    const { failures } = harness.cluster.diskSet;
    expect(failures.length).toBeGreaterThan(0);
    expect(new Set(failures.map(({ diskId }) => diskId))).toEqual(new Set([harness.cluster.diskIds[4]]));
    harness.cluster.detach([0, 1]);
    await expectReadable(harness, written, 'after a hang');
    faults[4]!.releaseHung();
    await settle();
    await harness.withTime(harness.store.stop());
  });

  test('rm -rf of a directory while writing: nothing is acknowledged on it', async () => {
    const { harness } = await startWithFaults();
    const before = await putAll(harness, 'before');
    harness.cluster.disks[3]!.wipe();
    const after = await putAll(harness, 'after');
    expect(after.length).toBe(SIZES.length);
    expect(harness.cluster.diskSet.failures.some(({ diskId }) => diskId === harness.cluster.diskIds[3])).toBe(true);
    // What was written after the loss survives two more; what was written before one.
    harness.cluster.detach([0]);
    await expectReadable(harness, before, 'before');
    harness.cluster.detach([1]);
    await expectReadable(harness, after, 'after');
  });

  test('with two of six disks lost, volumes are 2+2 and survive two more losses', async () => {
    const { harness } = await startWithFaults();
    harness.cluster.detach([1, 4]);
    expect(harness.store.writeCode()).toEqual({ k: 2, m: 2 });
    const written = await putAll(harness, 'narrow');
    expect(written.length).toBe(SIZES.length);
    for (const lost of [
      [0, 2],
      [0, 3],
      [2, 5],
    ]) {
      harness.cluster.detach(lost);
      await expectReadable(harness, written, `without ${lost.join()}`);
      for (const index of lost) {
        harness.cluster.disks[index]!.attach();
        harness.cluster.diskSet.setState(harness.cluster.diskIds[index]!, 'online');
      }
    }
    harness.cluster.attach([1, 4]);
    for (const index of [1, 4]) harness.cluster.diskSet.markLevel(harness.cluster.diskIds[index]!);
    expect(harness.store.writeCode()).toEqual(CODE);
    const wide = await putAll(harness, 'wide again');
    const volume = harness.journal.volumes.get(wide[0]!.blob.footprint[0]!.volumeId)!;
    expect(volume.diskIds.length).toBe(6);
  });

  test('with m usable disks left, writes are refused as QuorumLost and reads go on', async () => {
    const { harness } = await startWithFaults();
    const before = await putAll(harness, 'before');
    harness.cluster.detach([0, 1]);
    for (const index of [2, 3]) harness.cluster.diskSet.setState(harness.cluster.diskIds[index]!, 'suspect');
    expect(harness.store.writeCode()).toBeUndefined();
    await expect(harness.put(bodyOf('x', 100))).rejects.toMatchObject({ code: 'QuorumLost' });
    await expect(harness.withTime(harness.put(bodyOf('x', 100_000)))).rejects.toMatchObject({ code: 'QuorumLost' });
    await expectReadable(harness, before, 'before');
  });

  test('full disks refuse writes as DiskFull, and writes return with the space', async () => {
    const { harness } = await startWithFaults();
    const before = await putAll(harness, 'before');
    for (const diskId of harness.cluster.diskIds) harness.cluster.diskSet.setAcceptsData(diskId, false);
    await expect(harness.put(bodyOf('x', 100))).rejects.toMatchObject({ code: 'DiskFull' });
    await expectReadable(harness, before, 'while full');
    for (const diskId of harness.cluster.diskIds) harness.cluster.diskSet.setAcceptsData(diskId, true);
    expect((await putAll(harness, 'after')).length).toBe(SIZES.length);
  });

  test('an aborted upload and a failed observe give every buffer back', async () => {
    const { harness } = await startWithFaults();
    const writer = await harness.store.openWriter({});
    await harness.withTime(writer.write(bodyOf('aborted', 300_000)));
    await harness.withTime(writer.abort());
    await writer.abort();
    const failing = writeLarge(harness.store, bodyOf('observed', 300_000), Buffer.alloc(0), {
      observe: () => Promise.reject(new Error('hash worker died')),
    });
    await expect(harness.withTime(failing)).rejects.toThrow('hash worker died');
    expect(harness.bodyBuffers.statistics().lentCount).toBe(0);
    expect(harness.store.pinnedVolumeIds().size).toBe(
      [...harness.journal.volumes.values()].filter((volume) => volume.state === 'open').length,
    );
  });
});
