import { describe, expect, test } from 'vitest';
import type { BlobRecord } from '../../../src/model/blob.ts';
import { bodyOf, DataStoreHarness } from '../../support/data-store-harness.ts';

/** Without parity, one data shard, two disks, more disks than shards; the last two sizes span several volumes for k = 1. */
const SHAPES = [
  { k: 1, m: 0, diskCount: 1 },
  { k: 3, m: 0, diskCount: 5 },
  { k: 1, m: 1, diskCount: 2 },
  { k: 1, m: 1, diskCount: 5 },
  { k: 4, m: 2, diskCount: 9 },
];
const SIZES = [0, 1, 5000, 16_384, 900_000, 9_500_000];

describe.each(SHAPES)('$k+$m on $diskCount disks', ({ k, m, diskCount }) => {
  test('keeps all sizes through a crash, moves them, and reads on after m losses', { timeout: 30_000 }, async () => {
    const harness = await DataStoreHarness.start({ code: { k, m }, diskCount });
    const written: { blob: BlobRecord; body: Buffer }[] = [];
    for (const size of SIZES) {
      const body = bodyOf(`${size}`, size);
      written.push({ body, blob: await harness.withTime(harness.put(body)) });
    }
    const expectAllReadable = async (): Promise<void> => {
      for (const { blob, body } of written) expect((await harness.get(blob)).equals(body)).toBe(true);
    };
    harness.crash('drop-all');
    await harness.restart();
    await expectAllReadable();
    for (const one of written) {
      const pinned = await harness.withTime(harness.store.rewriteBlob(one.blob));
      one.blob = pinned.blob;
      pinned.unpin();
    }
    await expectAllReadable();
    harness.cluster.detach(Array.from({ length: m }, (_, i) => (i * 2) % diskCount));
    await expectAllReadable();
    const put = harness.withTime(harness.put(bodyOf('after the loss', 300_000)));
    if (diskCount - m >= m + 1) await put;
    else await expect(put).rejects.toMatchObject({ code: 'QuorumLost' });
  });
});
