import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StoreError } from '../../../src/errors/store-error.ts';
import type { MetadataStore } from '../../../src/metadata-store/metadata-store.ts';
import type { BlobRecord } from '../../../src/model/blob.ts';
import type { ObjectRecord } from '../../../src/model/object-record.ts';
import { ObjectReader } from '../../../src/service/object-reader.ts';
import { MemoryDataStore } from '../../support/memory-data-store.ts';
import { MemoryVolumeLedger } from '../../support/memory-volume-ledger.ts';
import { ALICE } from '../../support/metadata-fixtures.ts';
import { payloadOf } from '../../support/payload.ts';

const CLEAN = { pins: 0, pieces: 0, reads: 0, writers: 0 };

/** An object of blobs of these sizes, and the metadata that a second look finds. */
async function makeObject(sizes: readonly number[], pieceSizeBytes: number) {
  const data = new MemoryDataStore({ ledger: new MemoryVolumeLedger(), smallBlobLimitBytes: 2 ** 24, pieceSizeBytes });
  await data.start();
  const bodies = sizes.map((size, index) => payloadOf(`blob-${index}`, size));
  const blobs: BlobRecord[] = [];
  for (const body of bodies) {
    const pinned = await data.writeSmall(body, Buffer.alloc(0));
    blobs.push(pinned.blob);
    pinned.unpin();
  }
  const body = Buffer.concat(bodies);
  const object: ObjectRecord = {
    bucketId: 1,
    key: 'key',
    versionId: 'null',
    order: 7,
    isDeleteMarker: false,
    lastModifiedMs: 0,
    owner: ALICE,
    etag: 'e',
    sizeBytes: body.length,
    headers: {},
    userMetadata: {},
    storageClass: 'STANDARD',
    blobs,
  };
  const current: { object: ObjectRecord | undefined } = { object };
  const metadataStore = { getObject: async () => current.object } as unknown as MetadataStore;
  const move = (index: number): void => {
    const found = current.object!.blobs;
    const moved = { ...found[index]!, layout: data.move(found[index]!) };
    current.object = { ...current.object!, blobs: found.with(index, moved) };
  };
  return { data, object, body, current, move, reader: new ObjectReader({ dataStore: data, metadataStore }) };
}

describe('ObjectReader', () => {
  it('delivers any range across any blobs, also when they move while it reads', async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 8 });
    const moves = fc.array(fc.nat(7), { maxLength: 12 });
    const edges = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }));
    await fc.assert(
      fc.asyncProperty(
        sizes,
        fc.integer({ min: 1, max: 100 }),
        moves,
        edges,
        async (blobSizes, pieceSize, moved, edge) => {
          const made = await makeObject(blobSizes, pieceSize);
          const [start, end] = edge
            .map((fraction) => Math.round(fraction * made.body.length))
            .toSorted((a, b) => a - b);
          const range = { start: start!, length: end! - start! };
          const opened = await made.reader.open(made.object, range);
          const received: Buffer[] = [];
          if (Buffer.isBuffer(opened)) received.push(opened);
          else {
            for await (const piece of opened) {
              received.push(Buffer.from(piece.bytes));
              piece.release();
              const index = moved.pop();
              if (index !== undefined && index < blobSizes.length && blobSizes[index]! > 0) made.move(index);
            }
          }
          expect(Buffer.concat(received).equals(made.body.subarray(start, end))).toBe(true);
          expect(made.data.check()).toEqual(CLEAN);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('fails, and never mixes versions, when the object is replaced and its blobs go while it reads', async () => {
    const { reader, object, data, current } = await makeObject([100, 100, 100], 50);
    const opened = await reader.open(object, { start: 0, length: 300 });
    current.object = { ...object, order: 8 };
    for (const blob of object.blobs) data.move(blob);
    const reading = (async () => {
      for await (const piece of opened as AsyncIterable<{ release(): void }>) piece.release();
    })();
    await expect(reading).rejects.toMatchObject({ code: 'BlobGone' });
    expect(data.check()).toEqual(CLEAN);
  });

  it('gives up on a blob that is never found', async () => {
    const { reader, object, data } = await makeObject([100], 50);
    for (const blob of object.blobs) data.gone.add(blob.layout.toString());
    await expect(reader.open(object, { start: 0, length: 100 })).rejects.toMatchObject({ code: 'BlobGone' });
    expect(data.check()).toEqual(CLEAN);
  });

  it('does not deliver the rest of what it asked for early when a blob before it fails', async () => {
    const { reader, object, data } = await makeObject([100, 100], 50);
    const opened = await reader.open(object, { start: 0, length: 200 });
    data.failReads.push(new StoreError('TooFewShards', 'lost'), new StoreError('TooFewShards', 'lost'));
    const reading = (async () => {
      for await (const piece of opened as AsyncIterable<{ release(): void }>) piece.release();
    })();
    await expect(reading).rejects.toThrow('lost');
    expect(data.check()).toEqual(CLEAN);
  });
});
