import { crc32c } from '@node-rs/crc32';
import { assert } from '../errors/assert.ts';
import { StoreError } from '../errors/store-error.ts';
import type { StripeLocation } from './stripe/stripe-header.ts';

/**
 * The encoding of `BlobRecord.layout`. `v` is an unsigned LEB128 number, `z` the same of a zigzag-signed one, `u8` a
 * byte, `u32` four bytes little-endian.
 *
 * Small blob (type 1): lies within one shard of one stripe.
 *
 *     u8 1 · v volume id · u8 k′ · u8 m · v shard length ÷ 64 · v offset of shard 0 ÷ 64
 *     · u8 slot of shard 0 · then for shards 1 … k′+m−1: u8 slot, z (offset − offset of shard 0) ÷ 64
 *     · u8 index of the shard that holds the blob · v offset of its body in that shard · v body length
 *     · v descriptor length (entry header and descriptor lie right before the body)
 *     · u32 CRC32C of the body, started with a value made from volume id, slot and offset of the body in its file
 *
 * Large blob (type 2): runs of stripes. In a run, stripes follow one another in the files without a gap, all data shards
 * are full except in the last stripe of the run, shard i of stripe s lies in slot (i + s) mod width, and all shards of a
 * stripe have the same offset.
 *
 *     u8 2 · v descriptor length (its entry follows the last byte of the body in the last stripe) · v number of runs
 *     · for each run: v volume id · u8 k′ · u8 m · u8 width (files of the volume) · v number of the first stripe
 *       · v shard length ÷ 4096 · v offset ÷ 4096 · v stripe count · v body bytes in its last stripe
 *       · stripe count × u32 stripe CRC: CRC32C of the payload CRCs of the stripe's data shards
 */
export type BlobLayout = SmallBlobLayout | LargeBlobLayout;

export interface SmallBlobLayout {
  readonly kind: 'small';
  readonly stripe: StripeLocation;
  readonly shardIndex: number;
  /** From the beginning of the shard. */
  readonly bodyOffset: number;
  readonly bodyLengthBytes: number;
  readonly descriptorLengthBytes: number;
  readonly bodyCrc: number;
}

export interface LargeBlobLayout {
  readonly kind: 'large';
  readonly descriptorLengthBytes: number;
  readonly runs: readonly StripeRun[];
}

export interface StripeRun {
  readonly volumeId: number;
  readonly k: number;
  readonly m: number;
  readonly width: number;
  readonly firstStripeNumber: number;
  readonly shardLengthBytes: number;
  readonly offset: number;
  readonly count: number;
  /** Body bytes in the run's last stripe; the others are full. */
  readonly lastDataBytes: number;
  /** `count × 4` bytes. */
  readonly stripeCrcs: Buffer;
}

const UNIT = 64;
const BLOCK = 4096;

/** The start value of a small blob's CRC: the same bytes elsewhere do not pass. */
export function bodyCrcSeed({
  volumeId,
  slot,
  fileOffset,
}: {
  volumeId: number;
  slot: number;
  fileOffset: number;
}): number {
  const high = Math.floor(volumeId / 2 ** 32);
  const mixed = Math.imul(
    (volumeId >>> 0) ^ Math.imul(high + 1, 0x9e3779b1) ^ Math.imul(slot + 1, 0x85ebca6b),
    0xc2b2ae35,
  );
  return ((mixed ^ (mixed >>> 15)) + Math.imul(fileOffset >>> 0, 0x27d4eb2f) + Math.floor(fileOffset / 2 ** 32)) >>> 0;
}

export function bodyCrcOf(body: Buffer, layout: Pick<SmallBlobLayout, 'stripe' | 'shardIndex' | 'bodyOffset'>): number {
  const place = layout.stripe.places[layout.shardIndex];
  assert(place !== undefined, 'shard index out of range');
  const seed = bodyCrcSeed({
    volumeId: layout.stripe.volumeId,
    slot: place.slot,
    fileOffset: place.offset + layout.bodyOffset,
  });
  return crc32c(body, seed) >>> 0;
}

export function encodeBlobLayout(layout: BlobLayout): Buffer {
  const bytes =
    layout.kind === 'small'
      ? Buffer.allocUnsafe(64 + 8 * layout.stripe.places.length)
      : Buffer.allocUnsafe(32 + layout.runs.reduce((sum, run) => sum + 64 + run.stripeCrcs.length, 0));
  const writer = new LayoutWriter(bytes);
  if (layout.kind === 'small') writeSmall(writer, layout);
  else writeLarge(writer, layout);
  return bytes.subarray(0, writer.position);
}

function writeSmall(writer: LayoutWriter, layout: SmallBlobLayout): void {
  const { stripe } = layout;
  const base = stripe.places[0];
  assert(base !== undefined, 'a stripe has shards');
  writer.byte(1);
  writer.number(stripe.volumeId);
  writer.byte(stripe.k);
  writer.byte(stripe.m);
  writer.number(stripe.shardLengthBytes / UNIT);
  writer.number(base.offset / UNIT);
  for (const [index, place] of stripe.places.entries()) {
    writer.byte(place.slot);
    if (index > 0) writer.signed((place.offset - base.offset) / UNIT);
  }
  writer.byte(layout.shardIndex);
  writer.number(layout.bodyOffset);
  writer.number(layout.bodyLengthBytes);
  writer.number(layout.descriptorLengthBytes);
  writer.word(layout.bodyCrc);
}

function writeLarge(writer: LayoutWriter, layout: LargeBlobLayout): void {
  writer.byte(2);
  writer.number(layout.descriptorLengthBytes);
  writer.number(layout.runs.length);
  for (const run of layout.runs) {
    writer.number(run.volumeId);
    writer.byte(run.k);
    writer.byte(run.m);
    writer.byte(run.width);
    writer.number(run.firstStripeNumber);
    writer.number(run.shardLengthBytes / BLOCK);
    writer.number(run.offset / BLOCK);
    writer.number(run.count);
    writer.number(run.lastDataBytes);
    writer.bytes(run.stripeCrcs);
  }
}

/** By its first byte. */
export function isSmallLayout(bytes: Buffer): boolean {
  return bytes[0] === 1;
}

/** @throws StoreError ShardCorrupt when the bytes are no layout: the index is damaged. */
export function decodeBlobLayout(bytes: Buffer): BlobLayout {
  const reader = new LayoutReader(bytes);
  const type = reader.byte();
  if (type === 1) return readSmall(reader);
  if (type === 2) return readLarge(reader);
  throw new StoreError('ShardCorrupt', `unknown blob layout ${type}`);
}

/** The stripe alone, and how many bytes tell it: another layout that begins with the same ones names the same stripe. */
export function decodeSmallStripe(bytes: Buffer): { stripe: StripeLocation; stripeBytes: Buffer } {
  const reader = new LayoutReader(bytes);
  reader.byte();
  const stripe = readSmallStripe(reader);
  return { stripe, stripeBytes: bytes.subarray(0, reader.position) };
}

function readSmallStripe(reader: LayoutReader): StripeLocation {
  const volumeId = reader.number();
  const k = reader.byte();
  const m = reader.byte();
  const shardLengthBytes = reader.number() * UNIT;
  const base = reader.number() * UNIT;
  const places = [{ slot: reader.byte(), offset: base }];
  for (let i = 1; i < k + m; i++) places.push({ slot: reader.byte(), offset: base + reader.signed() * UNIT });
  return { kind: 'small', volumeId, k, m, shardLengthBytes, places };
}

function readSmall(reader: LayoutReader): SmallBlobLayout {
  return {
    kind: 'small',
    stripe: readSmallStripe(reader),
    shardIndex: reader.byte(),
    bodyOffset: reader.number(),
    bodyLengthBytes: reader.number(),
    descriptorLengthBytes: reader.number(),
    bodyCrc: reader.word(),
  };
}

function readLarge(reader: LayoutReader): LargeBlobLayout {
  const descriptorLengthBytes = reader.number();
  const runCount = reader.number();
  const runs: StripeRun[] = [];
  for (let i = 0; i < runCount; i++) {
    const run = {
      volumeId: reader.number(),
      k: reader.byte(),
      m: reader.byte(),
      width: reader.byte(),
      firstStripeNumber: reader.number(),
      shardLengthBytes: reader.number() * BLOCK,
      offset: reader.number() * BLOCK,
      count: reader.number(),
      lastDataBytes: reader.number(),
    };
    runs.push({ ...run, stripeCrcs: reader.bytes(run.count * 4) });
  }
  return { kind: 'large', descriptorLengthBytes, runs };
}

/** Where stripe `index` of a run lies. */
export function stripeOfRun(run: StripeRun, index: number): StripeLocation {
  const offset = run.offset + index * run.shardLengthBytes;
  const places = Array.from({ length: run.k + run.m }, (_, i) => ({
    slot: (i + run.firstStripeNumber + index) % run.width,
    offset,
  }));
  return { kind: 'large', volumeId: run.volumeId, k: run.k, m: run.m, shardLengthBytes: run.shardLengthBytes, places };
}

/** Volumes a layout names, each once. */
export function volumesOfLayout(layout: BlobLayout): number[] {
  if (layout.kind === 'small') return [layout.stripe.volumeId];
  return [...new Set(layout.runs.map((run) => run.volumeId))];
}

class LayoutWriter {
  position = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(value: number): void {
    this.#bytes[this.position++] = value;
  }

  number(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, `not a layout number: ${value}`);
    let rest = value;
    while (rest >= 128) {
      this.#bytes[this.position++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#bytes[this.position++] = rest;
  }

  signed(value: number): void {
    this.number(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  word(value: number): void {
    this.position = this.#bytes.writeUInt32LE(value, this.position);
  }

  bytes(value: Buffer): void {
    this.position += value.copy(this.#bytes, this.position);
  }
}

class LayoutReader {
  #position = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get position(): number {
    return this.#position;
  }

  byte(): number {
    const value = this.#bytes[this.#position++];
    if (value === undefined) throw new StoreError('ShardCorrupt', 'blob layout ends early');
    return value;
  }

  number(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  }

  signed(): number {
    const value = this.number();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  word(): number {
    return this.bytes(4).readUInt32LE(0);
  }

  bytes(length: number): Buffer {
    const end = this.#position + length;
    if (end > this.#bytes.length) throw new StoreError('ShardCorrupt', 'blob layout ends early');
    const value = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return value;
  }
}
