import { expect, test } from 'vitest';
import { decodeBlobLayout } from '../../../src/data-store/blob-layout.ts';
import { bodyOf, DataStoreHarness, readAll } from '../../support/data-store-harness.ts';

const CODE = { k: 4, m: 2 };

test('hundreds of trickling uploads share the budget, all finish, and none keeps another one waiting', async () => {
  const harness = await DataStoreHarness.start({ code: CODE });
  const { slotLimit } = harness.bodyBuffers;
  const count = slotLimit - 4;
  const bodies = Array.from({ length: count }, (_, i) => bodyOf(`upload ${i}`, 150_000 + i));
  const writers = await Promise.all(bodies.map((body) => harness.store.openWriter({ sizeBytes: body.length })));
  // All at the same slow pace, so that all hold bytes all the time.
  for (let at = 0; at < 160_000; at += 7000) {
    await harness.withTime(Promise.all(writers.map((writer, i) => writer.write(bodies[i]!.subarray(at, at + 7000)))));
    expect(harness.bodyBuffers.statistics().lentCount).toBeLessThanOrEqual(slotLimit);
  }
  const pinned = await harness.withTime(Promise.all(writers.map((writer) => writer.finish(Buffer.from('d')))));
  for (const [i, written] of pinned.entries()) {
    expect((await harness.withTime(readAll(harness.store, written.blob))).equals(bodies[i]!)).toBe(true);
    written.unpin();
  }
  expect(harness.bodyBuffers.statistics()).toMatchObject({ lentCount: 0, waitingCount: 0 });
});

test('an upload beyond the budget is refused as Overloaded', async () => {
  const harness = await DataStoreHarness.start({ code: CODE });
  for (let i = 0; i < harness.bodyBuffers.slotLimit; i++) await harness.store.openWriter({});
  await expect(harness.store.openWriter({})).rejects.toMatchObject({ code: 'Overloaded' });
});

test('an upload that nobody feeds holds one buffer, and others go on beside it', async () => {
  const harness = await DataStoreHarness.start({ code: CODE });
  const idle = await harness.store.openWriter({});
  await harness.withTime(idle.write(Buffer.alloc(10)));
  const body = bodyOf('busy', 3_000_000);
  const blob = await harness.withTime(harness.put(body));
  expect((await harness.get(blob)).equals(body)).toBe(true);
  expect(harness.bodyBuffers.statistics().lentCount).toBe(1);
  await idle.abort();
});

test('uploads that are given up all at once leave nothing behind: the next one writes stripes of full length', async () => {
  // A full stripe takes four body buffers.
  const harness = await DataStoreHarness.start({ code: CODE, tunables: { largeShardSizeBytes: 64 * 1024 } });
  const body = bodyOf('next', 3_000_000);
  // By stripe: which of two that are encoded at once comes first in the volume, and so where runs end, is chance.
  const shapeOf = ({ layout }: { layout: Buffer }): number[] => {
    const decoded = decodeBlobLayout(layout);
    if (decoded.kind !== 'large') return [];
    return decoded.runs.flatMap(({ shardLengthBytes, count }) => Array.from({ length: count }, () => shardLengthBytes));
  };
  const alone = shapeOf(await harness.withTime(harness.put(body)));
  const count = harness.bodyBuffers.slotLimit - 2;
  const writers = await Promise.all(Array.from({ length: count }, () => harness.store.openWriter({})));
  const piece = Buffer.alloc(100_000);
  await harness.withTime(Promise.all(writers.map((writer) => writer.write(piece))));
  expect(shapeOf(await harness.withTime(harness.put(body)))).not.toEqual(alone);
  await harness.withTime(Promise.all(writers.map((writer) => writer.abort())));
  expect(harness.bodyBuffers.statistics()).toMatchObject({ lentCount: 0, waitingCount: 0 });
  const longest = (shape: readonly number[]): number => Math.max(...shape);
  expect(longest(shapeOf(await harness.withTime(harness.put(body))))).toBeGreaterThanOrEqual(longest(alone));
});

test('readers that stop in the middle give every buffer back', async () => {
  const harness = await DataStoreHarness.start({ code: CODE });
  const body = bodyOf('x', 2_000_000);
  const blob = await harness.withTime(harness.put(body));
  for (let round = 0; round < 200; round++) {
    const iterator = harness.store.read(blob, { start: 0, length: body.length })[Symbol.asyncIterator]();
    const first = await harness.withTime(iterator.next());
    first.value.release();
    await iterator.return?.();
  }
  expect((await harness.get(blob)).equals(body)).toBe(true);
  expect(harness.store.pinnedVolumeIds().size).toBe(
    [...harness.journal.volumes.values()].filter((volume) => volume.state === 'open').length,
  );
});
