import { expect, test } from 'vitest';
import { decodeBlobLayout, type LargeBlobLayout } from '../../../../src/data-store/blob-layout.ts';
import { assembleBlob } from '../../../../src/data-store/recover/assemble-blob.ts';
import type { FoundStripe } from '../../../../src/data-store/recover/scan-volume.ts';

const SHARD_BYTES = 8192;
/** Of a full stripe with two data shards. */
const FULL_BYTES = 2 * (SHARD_BYTES - 512);
const DESCRIPTOR = Buffer.from('descriptor');

function stripe(
  facts: Partial<FoundStripe> & Pick<FoundStripe, 'blobOffset' | 'volumeId' | 'stripeNumber'>,
): FoundStripe {
  return {
    blobId: 7,
    k: 2,
    m: 1,
    width: 3,
    shardLengthBytes: SHARD_BYTES,
    offset: 4096 + facts.stripeNumber * SHARD_BYTES,
    dataBytes: FULL_BYTES,
    usedBytes: FULL_BYTES,
    stripeCrc: facts.volumeId * 100 + facts.stripeNumber,
    isReadable: true,
    descriptor: undefined,
    ...facts,
  };
}

const last = (facts: Parameters<typeof stripe>[0]): FoundStripe =>
  stripe({ dataBytes: 10, usedBytes: 50, descriptor: DESCRIPTOR, ...facts });

function runsOf(stripes: readonly FoundStripe[], sizeBytes: number): unknown {
  const blob = assembleBlob(stripes, sizeBytes);
  if (blob === undefined) return undefined;
  const { runs } = decodeBlobLayout(blob.layout) as LargeBlobLayout;
  return runs.map(({ volumeId, firstStripeNumber, count, lastDataBytes }) => [
    volumeId,
    firstStripeNumber,
    count,
    lastDataBytes,
  ]);
}

test('stripes that follow one another in their volume are one run, whatever order they are found in', () => {
  const stripes = [0, 1, 2].map((index) =>
    stripe({ blobOffset: index * FULL_BYTES, volumeId: 1, stripeNumber: index }),
  );
  const end = last({ blobOffset: 3 * FULL_BYTES, volumeId: 1, stripeNumber: 3 });
  expect(runsOf([end, ...stripes.toReversed()], 3 * FULL_BYTES + 10)).toEqual([[1, 0, 4, 10]]);
  const blob = assembleBlob([...stripes, end], 3 * FULL_BYTES + 10);
  expect(blob).toMatchObject({ blobId: 7, footprint: [{ volumeId: 1, storedBytes: 3 * FULL_BYTES + 50 }] });
});

test('stripes of others between them, and another volume, begin new runs', () => {
  const stripes = [
    stripe({ blobOffset: 0, volumeId: 1, stripeNumber: 0 }),
    stripe({ blobOffset: FULL_BYTES, volumeId: 1, stripeNumber: 4 }),
    last({ blobOffset: 2 * FULL_BYTES, volumeId: 2, stripeNumber: 0 }),
  ];
  expect(runsOf(stripes, 2 * FULL_BYTES + 10)).toEqual([
    [1, 0, 1, FULL_BYTES],
    [1, 4, 1, FULL_BYTES],
    [2, 0, 1, 10],
  ]);
});

test('what was written again in a later volume is taken from there, but only where that leads to the end', () => {
  const first = stripe({ blobOffset: 0, volumeId: 1, stripeNumber: 0 });
  const end = last({ blobOffset: FULL_BYTES, volumeId: 1, stripeNumber: 1 });
  const again = [
    stripe({ blobOffset: 0, volumeId: 2, stripeNumber: 0 }),
    last({ blobOffset: FULL_BYTES, volumeId: 2, stripeNumber: 1 }),
  ];
  expect(runsOf([first, end, ...again], FULL_BYTES + 10)).toEqual([[2, 0, 2, 10]]);
  // Cut at other places, and cut off.
  const shorter = stripe({ blobOffset: 0, volumeId: 3, stripeNumber: 0, dataBytes: 100, usedBytes: 100 });
  expect(runsOf([first, end, shorter], FULL_BYTES + 10)).toEqual([[1, 0, 2, 10]]);
});

test('with a stripe missing or unreadable there is no blob', () => {
  const first = stripe({ blobOffset: 0, volumeId: 1, stripeNumber: 0 });
  const end = last({ blobOffset: FULL_BYTES, volumeId: 1, stripeNumber: 1 });
  expect(runsOf([end], FULL_BYTES + 10)).toBeUndefined();
  expect(runsOf([first], FULL_BYTES + 10)).toBeUndefined();
  expect(runsOf([{ ...first, isReadable: false }, end], FULL_BYTES + 10)).toBeUndefined();
});

test('a body that fills its stripes ends with one that holds the entry alone', () => {
  const first = stripe({ blobOffset: 0, volumeId: 1, stripeNumber: 0 });
  const end = last({ blobOffset: FULL_BYTES, volumeId: 1, stripeNumber: 1, dataBytes: 0, usedBytes: 40 });
  expect(runsOf([first, end], FULL_BYTES)).toEqual([[1, 0, 2, 0]]);
});
