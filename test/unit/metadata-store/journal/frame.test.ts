import { crc32c } from '@node-rs/crc32';
import { assert, property, uint8Array } from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  clusterTagOf,
  decodeFrame,
  encodeFrame,
  follows,
  frameBytesFor,
  type FrameContent,
  hashFrame,
  positionOf,
} from '../../../../src/metadata-store/journal/frame.ts';

const TAG = clusterTagOf('cluster');

const content: FrameContent = {
  kind: 'payload',
  epoch: 2 ** 20,
  sequence: 2 ** 40 + 7,
  previous: { epoch: 3, sequence: 2 ** 40 + 6, hash: Buffer.alloc(16, 1) },
  acknowledged: { epoch: 3, sequence: 2 ** 40 + 5, hash: Buffer.alloc(16, 2) },
  writtenAtMs: 1_700_000_000_123.5,
  configurationSequence: 9,
};

function encoded(payload: Buffer, change: Partial<FrameContent> = {}): Buffer {
  const bytes = Buffer.alloc(frameBytesFor(payload.length), 0xaa);
  encodeFrame(bytes, { ...content, ...change }, payload, TAG);
  return bytes;
}

describe('a frame', () => {
  it('comes back as it went in, for payloads of any length', () => {
    assert(
      property(uint8Array({ maxLength: 10_000 }), (payload) => {
        const bytes = encoded(Buffer.from(payload));
        expect(bytes.length % 4096).toBe(0);
        const frame = decodeFrame(bytes, TAG);
        expect(frame).toMatchObject(content);
        expect(frame?.payload.equals(payload)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it('is refused with any one bit flipped, of another cluster, or cut', () => {
    const payload = Buffer.from('payload of a batch');
    const bytes = encoded(payload);
    for (let bit = 0; bit < bytes.length * 8; bit += bit < 2000 ? 1 : 61) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeFrame(bytes, TAG), `bit ${bit}`).toBeUndefined();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(decodeFrame(bytes, TAG)).toBeDefined();
    expect(decodeFrame(bytes, clusterTagOf('another'))).toBeUndefined();
    expect(decodeFrame(encoded(Buffer.alloc(5000)).subarray(0, 4096), TAG)).toBeUndefined();
  });

  it('of another version or kind is refused by name when it is whole, and is damage when it is not', () => {
    for (const [at, what] of [
      [8, /version 7; this server knows version 1/],
      [9, /version 1 and kind 7/],
    ] as const) {
      const bytes = encoded(Buffer.from('from the future'));
      bytes[at] = 7;
      expect(decodeFrame(bytes, TAG)).toBeUndefined();
      bytes.writeUInt32LE(crc32c(bytes.subarray(8)), 4);
      expect(() => decodeFrame(bytes, TAG)).toThrow(what);
      expect(decodeFrame(bytes, clusterTagOf('another'))).toBeUndefined();
    }
  });

  it('has a hash that changes with everything it says, and follows only the frame it names', () => {
    const one = hashFrame(encoded(Buffer.from('a')));
    const others = [
      hashFrame(encoded(Buffer.from('b'))),
      hashFrame(encoded(Buffer.from('a'), { epoch: 4 })),
      hashFrame(encoded(Buffer.from('a'), { kind: 'note' })),
      hashFrame(encoded(Buffer.from('a'), { acknowledged: content.previous })),
    ];
    for (const other of others) expect(other.equals(one)).toBe(false);
    const frame = decodeFrame(encoded(Buffer.from('a')), TAG)!;
    expect(positionOf(frame)).toEqual({ epoch: content.epoch, sequence: content.sequence, hash: one });
    expect(follows(frame, content.previous)).toBe(true);
    expect(follows(frame, { ...content.previous, epoch: 4 })).toBe(false);
    expect(follows(frame, { ...content.previous, sequence: content.sequence })).toBe(false);
    expect(follows(frame, { ...content.previous, hash: Buffer.alloc(16) })).toBe(false);
  });
});
