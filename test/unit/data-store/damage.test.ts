import { crc32c } from '@node-rs/crc32';
import { beforeEach, describe, expect, test } from 'vitest';
import { decodeBlobLayout, stripeOfRun } from '../../../src/data-store/blob-layout.ts';
import { ENTRY_HEADER_BYTES } from '../../../src/data-store/stripe/blob-entry.ts';
import { stripeHeaderLength, type StripeLocation } from '../../../src/data-store/stripe/stripe-header.ts';
import { volumePath } from '../../../src/data-store/volume/volume-file.ts';
import type { BlobRecord } from '../../../src/model/blob.ts';
import { bodyOf, DataStoreHarness } from '../../support/data-store-harness.ts';

const CODE = { k: 4, m: 2 };

/** The first stripe of a blob, whatever its kind. */
function firstStripe(blob: BlobRecord): StripeLocation {
  const layout = decodeBlobLayout(blob.layout);
  return layout.kind === 'small' ? layout.stripe : stripeOfRun(layout.runs[0]!, 0);
}

describe('a long shard', () => {
  test('is checked on another thread, or here when that has no time, and a flipped byte is found either way', async () => {
    const asked: number[] = [];
    let isBusy = false;
    const checksums = {
      crc32c: (bytes: Buffer): Promise<number> | undefined => {
        if (isBusy) return undefined;
        asked.push(bytes.length);
        return Promise.resolve(crc32c(bytes));
      },
    };
    const harness = await DataStoreHarness.start({
      code: CODE,
      checksums,
      tunables: { largeShardSizeBytes: 160 * 1024, stripeBufferBudgetBytes: 16 * 1024 * 1024 },
    });
    const body = bodyOf('damage/long', 1_200_000);
    const blob = await harness.withTime(harness.put(body));
    const stripe = firstStripe(blob);
    const { slot, offset } = stripe.places[2]!;
    const diskId = harness.journal.volumes.get(stripe.volumeId)!.diskIds[slot]!;
    const disk = harness.cluster.disks[harness.cluster.diskIds.indexOf(diskId)]!;
    expect((await harness.get(blob)).equals(body)).toBe(true);
    expect(asked.length).toBeGreaterThanOrEqual(8);
    expect(asked).toContain(stripe.shardLengthBytes - stripeHeaderLength(stripe));
    disk.corrupt(volumePath(stripe.volumeId), offset + stripe.shardLengthBytes - 1);
    expect((await harness.get(blob)).equals(body)).toBe(true);
    expect(harness.store.takeDamage()).toMatchObject([{ diskId, shardIndex: 2, offset, kind: 'corrupt' }]);
    await harness.cluster.clock.advance(700_000);
    isBusy = true;
    expect((await harness.get(blob)).equals(body)).toBe(true);
    expect(harness.store.takeDamage()).toMatchObject([{ diskId, shardIndex: 2, offset, kind: 'corrupt' }]);
    await harness.withTime(harness.store.stop());
  });
});

describe('damage on disks', () => {
  let harness: DataStoreHarness;
  let blobs: { blob: BlobRecord; body: Buffer }[];

  beforeEach(async () => {
    harness = await DataStoreHarness.start({ code: CODE, tunables: { handleCheckAfterMs: 0 } });
    const sizes = [100, 5000, 12_000, 3000, 70_000, 200_000];
    blobs = await harness.withTime(
      Promise.all(
        sizes.map(async (size) => {
          const body = bodyOf(`damage/${size}`, size);
          return { blob: await harness.put(body), body };
        }),
      ),
    );
  });

  /** Where a shard lies: the simulated disk, path and offset. */
  function shardAt(stripe: StripeLocation, shardIndex: number) {
    const place = stripe.places[shardIndex]!;
    const diskId = harness.journal.volumes.get(stripe.volumeId)!.diskIds[place.slot]!;
    const disk = harness.cluster.disks[harness.cluster.diskIds.indexOf(diskId)]!;
    return { disk, diskId, path: volumePath(stripe.volumeId), offset: place.offset };
  }

  async function expectAllRead(message: string): Promise<void> {
    for (const { blob, body } of blobs) {
      expect((await harness.get(blob)).equals(body), `${message}: blob of ${body.length}`).toBe(true);
    }
  }

  test('a flipped byte in any region of a data shard of a large blob is read around and recorded', async () => {
    const { blob } = blobs.find(({ body }) => body.length === 200_000)!;
    const stripe = firstStripe(blob);
    const header = stripeHeaderLength(stripe);
    const regions = [0, 4, 8, 10, 12, 16, 24, 28, 64, 64 + 4 * 6, header - 1, header, header + 100];
    for (const at of [...regions, stripe.shardLengthBytes - 1]) {
      const { disk, diskId, path, offset } = shardAt(stripe, 1);
      disk.corrupt(path, offset + at);
      await expectAllRead(`byte ${at}`);
      disk.corrupt(path, offset + at);
      const damage = harness.store.takeDamage();
      if (at === 8) expect(damage).toMatchObject([{ diskId, shardIndex: 1, offset, kind: 'corrupt' }]);
      await harness.cluster.clock.advance(700_000);
      await harness.withTime(harness.store.stop());
      harness.cluster.restart();
      await harness.restart();
      expect(damage.length, `byte ${at} of the shard`).toBe(1);
    }
  });

  test('a flipped byte in the body of a small blob is read around and recorded; elsewhere it does no harm', async () => {
    const { blob, body } = blobs.find(({ body: candidate }) => candidate.length === 5000)!;
    const layout = decodeBlobLayout(blob.layout);
    if (layout.kind !== 'small') throw new Error('5000 bytes are a small blob');
    const { stripe, shardIndex, bodyOffset } = layout;
    const { disk, diskId, path, offset } = shardAt(stripe, shardIndex);
    const entryOffset = bodyOffset - layout.descriptorLengthBytes - ENTRY_HEADER_BYTES;
    for (const at of [0, 8, 64, entryOffset, bodyOffset - 1]) {
      disk.corrupt(path, offset + at);
      expect((await harness.get(blob)).equals(body)).toBe(true);
      disk.corrupt(path, offset + at);
    }
    expect(harness.store.takeDamage()).toEqual([]);
    for (const at of [bodyOffset, bodyOffset + 2500, bodyOffset + 4999]) {
      disk.corrupt(path, offset + at);
      expect((await harness.get(blob)).equals(body), `byte ${at}`).toBe(true);
      disk.corrupt(path, offset + at);
    }
    const damage = harness.store.takeDamage();
    expect(damage).toMatchObject([{ diskId, shardIndex, offset, kind: 'corrupt', volumeId: stripe.volumeId }]);
  });

  test('the same shard is reported once, and not again by the next call', async () => {
    const { blob } = blobs.find(({ body }) => body.length === 5000)!;
    const layout = decodeBlobLayout(blob.layout);
    if (layout.kind !== 'small') throw new Error('5000 bytes are a small blob');
    const { disk, path, offset } = shardAt(layout.stripe, layout.shardIndex);
    disk.corrupt(path, offset + layout.bodyOffset);
    for (let i = 0; i < 5; i++) await harness.get(blob);
    expect(harness.store.takeDamage()).toHaveLength(1);
    await harness.get(blob);
    expect(harness.store.takeDamage()).toEqual([]);
  });

  test('truncated, emptied and removed shard files of two disks are read around', async () => {
    const paths = [...new Set(blobs.map(({ blob }) => volumePath(firstStripe(blob).volumeId)))];
    for (const path of paths) {
      const [first, second] = [harness.cluster.disks[0]!, harness.cluster.disks[3]!];
      const size = first.peek(path).length;
      first.cut(path, Math.floor(size / 2));
      await expectAllRead('half a file');
      await second.unlink(path);
      await harness.cluster.clock.advance(10);
      await expectAllRead('a removed file too');
      first.cut(path, 0);
      await expectAllRead('an empty file');
    }
    const kinds = new Set(harness.store.takeDamage().map(({ kind }) => kind));
    expect([...kinds].sort()).toEqual(['corrupt', 'missing']);
  });

  test('files exchanged between disks and stale copies are rejected, not decoded', async () => {
    for (const path of new Set(blobs.map(({ blob }) => volumePath(firstStripe(blob).volumeId)))) {
      const [first, second] = [harness.cluster.disks[1]!, harness.cluster.disks[2]!];
      const [a, b] = [first.peek(path), second.peek(path)];
      first.poke(path, 0, b);
      second.poke(path, 0, a);
    }
    await expectAllRead('exchanged files');
  });

  test('a file of another volume under the right name is rejected', async () => {
    const volumes = [...new Set(blobs.map(({ blob }) => firstStripe(blob).volumeId))];
    expect(volumes.length).toBe(2);
    const disk = harness.cluster.disks[5]!;
    const [one, other] = [volumePath(volumes[0]!), volumePath(volumes[1]!)];
    const content = disk.peek(other);
    disk.cut(one, 0);
    disk.poke(one, 0, content);
    await expectAllRead('foreign file');
  });

  test('damage beyond m is an honest failure in mid-stream, never wrong bytes', async () => {
    const { blob, body } = blobs.find((candidate) => candidate.body.length === 200_000)!;
    const layout = decodeBlobLayout(blob.layout);
    if (layout.kind !== 'large') throw new Error('200,000 bytes are a large blob');
    const stripes = layout.runs.flatMap((run) => Array.from({ length: run.count }, (_, i) => stripeOfRun(run, i)));
    const second = stripes[1]!;
    for (const shardIndex of [0, 2, 5]) {
      const { disk, path, offset } = shardAt(second, shardIndex);
      disk.corrupt(path, offset + 600);
    }
    const pieces: Buffer[] = [];
    const reading = (async () => {
      for await (const piece of harness.store.read(blob, { start: 0, length: body.length })) {
        pieces.push(Buffer.from(piece.bytes));
        piece.release();
      }
    })();
    await expect(harness.withTime(reading)).rejects.toMatchObject({ code: 'TooFewShards' });
    const seen = Buffer.concat(pieces);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.equals(body.subarray(0, seen.length))).toBe(true);
  });
});
