import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeBlobDescriptor,
  encodeBlobDescriptor,
  type BlobDescriptor,
} from '../../../src/service/blob-descriptor.ts';

const algorithm = fc.constantFrom('CRC32' as const, 'CRC64NVME' as const, 'SHA256' as const, 'XXHASH128' as const);
const safeInteger = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const name = fc.record({
  bucketId: safeInteger,
  bucketName: fc.string(),
  key: fc.string({ unit: 'binary', maxLength: 300 }),
});
const content = fc.record(
  {
    sizeBytes: safeInteger,
    etag: fc.string(),
    lastModifiedMs: fc.integer({ min: -(2 ** 51), max: 2 ** 51 }),
    checksum: fc.record({
      algorithm,
      type: fc.constantFrom('FULL_OBJECT' as const, 'COMPOSITE' as const),
      value: fc.base64String(),
    }),
  },
  { requiredKeys: ['sizeBytes', 'etag', 'lastModifiedMs'] },
);
const strings = fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }));
const attributes = fc.record(
  {
    ownerAccountId: fc.string(),
    storageClass: fc.string(),
    headers: strings,
    userMetadata: strings,
    tags: fc.array(fc.record({ key: fc.string(), value: fc.string() }), { minLength: 1 }),
  },
  { requiredKeys: ['ownerAccountId', 'storageClass', 'headers', 'userMetadata'] },
);
const blobs = fc.array(fc.record({ blobId: safeInteger, sizeBytes: safeInteger }));
const parts = fc
  .uniqueArray(fc.integer({ min: 1, max: 10_000 }))
  .map((numbers) => numbers.toSorted((a, b) => a - b).map((partNumber) => ({ partNumber, sizeBytes: partNumber * 7 })));

const descriptor: fc.Arbitrary<BlobDescriptor> = fc.oneof(
  fc
    .tuple(name, content, attributes)
    .map(([n, c, a]) => ({ ...n, content: c, kind: 'object' as const, attributes: a })),
  fc
    .tuple(name, content, fc.string(), fc.integer({ min: 1, max: 10_000 }))
    .map(([n, c, uploadId, partNumber]) => ({ ...n, content: c, kind: 'part' as const, uploadId, partNumber })),
  fc.tuple(name, content, attributes, fc.string(), blobs, parts).map(([n, c, a, uploadId, b, p]) => ({
    ...n,
    content: c,
    kind: 'manifest' as const,
    attributes: a,
    uploadId,
    blobs: b,
    parts: p,
  })),
);

/** Names without prototypes compare like plain ones. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

describe('blob descriptor', () => {
  it('is read back as it was written, whatever the names', () => {
    fc.assert(
      fc.property(descriptor, (written) => {
        expect(plain(decodeBlobDescriptor(encodeBlobDescriptor(written)))).toEqual(plain(written));
      }),
    );
  });

  it('that ends early is a RangeError, never a wrong name', () => {
    fc.assert(
      fc.property(descriptor, fc.double({ min: 0, max: 0.999, noNaN: true }), (written, fraction) => {
        const bytes = encodeBlobDescriptor(written);
        expect(() => decodeBlobDescriptor(bytes.subarray(0, Math.floor(bytes.length * fraction)))).toThrow(RangeError);
      }),
    );
  });

  it('of an unknown format or kind is refused', () => {
    expect(() => decodeBlobDescriptor(Buffer.from([3, 1]))).toThrow(/format 3/);
    expect(() => decodeBlobDescriptor(Buffer.from([1, 9, 0, 0, 0, 0, 0, 0, 0]))).toThrow(/kind 9/);
  });

  it('of a small object stays under 200 bytes, of 10,000 parts under 150 KiB', () => {
    const base = { bucketId: 2 ** 33, bucketName: 'bucket', key: 'photos/2026/a.jpg' };
    const checksum = { algorithm: 'CRC64NVME', type: 'FULL_OBJECT', value: 'AAAAAAAAAAA=' } as const;
    const facts = { sizeBytes: 4096, etag: 'd'.repeat(32), lastModifiedMs: 1_790_000_000_000, checksum };
    const owned = {
      ownerAccountId: '123456789012',
      storageClass: 'STANDARD',
      headers: { 'content-type': 'image/jpeg' },
      userMetadata: {},
    };
    expect(encodeBlobDescriptor({ ...base, kind: 'object', content: facts, attributes: owned }).length).toBeLessThan(
      200,
    );
    const listed = Array.from({ length: 10_000 }, (_, index) => ({
      partNumber: index + 1,
      blobId: 2 ** 34 + index * 3,
      sizeBytes: 5_242_880,
    }));
    const manifest = encodeBlobDescriptor({
      ...base,
      kind: 'manifest',
      content: facts,
      attributes: owned,
      uploadId: 'u'.repeat(32),
      blobs: listed,
      parts: listed,
    });
    expect(manifest.length).toBeLessThan(150 * 1024);
  });
});
