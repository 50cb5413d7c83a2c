import { crc32c } from '@node-rs/crc32';
import { assert } from '../../errors/assert.ts';

/**
 * A **stripe** is k′ data and m parity shards of one length, each one write to one file of a volume. A **shard** is a
 * header, then payload. All integers little-endian:
 *
 * | at | size | field |
 * |---|---|---|
 * | 0 | 4 | magic `HFSs` |
 * | 4 | 4 | CRC32C of the header from byte 8 to its end |
 * | 8 | 1 | version (1) |
 * | 9 | 1 | kind: 1 small, 2 large |
 * | 10 | 1 | k′, data shards of this stripe |
 * | 11 | 1 | m |
 * | 12 | 1 | shard index, data first |
 * | 13 | 1 | 0 |
 * | 14 | 2 | header length |
 * | 16 | 8 | volume id |
 * | 24 | 4 | stripe number in the volume, from 0 |
 * | 28 | 4 | shard length, header included, a multiple of 64 |
 * | 32 | 8 | large: blob id, small: 0 |
 * | 40 | 8 | large: position of the stripe's first byte in the blob |
 * | 48 | 4 | large: bytes of the body in this stripe |
 * | 52 | 4 | used payload: small: of this shard; large: of all data shards together (body, then the entry) |
 * | 56 | 8 | 0 |
 * | 64 | 4 (k′+m) | CRC32C of each shard's payload |
 * | … | 4 (k′+m) | offset of each shard in its file ÷ 64 |
 * | … | k′+m | slot of each shard: index in the volume's list of disks |
 * | … | | zeros up to the header length: 512 in large stripes, the next multiple of 64 in small ones |
 *
 * So a shard proves by its own header which volume, offset, index and length it is, and any one shard of a stripe tells
 * where the others are and what their payloads must hash to. Parity is computed over the payloads only; a rebuilt shard
 * gets a new header.
 */
export const STRIPE_MAGIC = 0x73534648;
export const STRIPE_VERSION = 1;
/** Shard lengths and offsets are multiples of this: a scan that lost its place looks at these positions. */
export const SHARD_ALIGNMENT_BYTES = 64;
const FIXED_BYTES = 64;
const KIND_CODES = { small: 1, large: 2 } as const;

export interface ShardPlace {
  /** Index in the volume's `diskIds`. */
  readonly slot: number;
  /** Where the shard begins in its file. */
  readonly offset: number;
}

/** Everything needed to find, verify and rebuild a stripe. */
export interface StripeLocation {
  readonly kind: 'small' | 'large';
  readonly volumeId: number;
  /** Data shards of this stripe: at most the volume's k. */
  readonly k: number;
  readonly m: number;
  readonly shardLengthBytes: number;
  /** By shard index, length k + m. */
  readonly places: readonly ShardPlace[];
}

export interface StripeFacts extends StripeLocation {
  readonly stripeNumber: number;
  readonly blobId: number;
  readonly blobOffset: number;
  readonly dataBytes: number;
}

export interface StripeHeader extends StripeFacts {
  readonly shardIndex: number;
  readonly usedBytes: number;
  readonly headerLengthBytes: number;
  /** CRC32C of each shard's payload, by shard index. */
  readonly payloadCrcs: readonly number[];
}

/**
 * The strips the codec works on are payload ÷ w, halved until they fit the cache, and fast only at multiples of 8 (seven
 * times slower else, measured): 512 keeps them so for every code, and block-aligned shards lose no more than that.
 */
const LARGE_HEADER_BYTES = 512;

export function stripeHeaderLength({ kind, k, m }: Pick<StripeLocation, 'kind' | 'k' | 'm'>): number {
  if (kind === 'large') return LARGE_HEADER_BYTES;
  return Math.ceil((FIXED_BYTES + 9 * (k + m)) / SHARD_ALIGNMENT_BYTES) * SHARD_ALIGNMENT_BYTES;
}

export function stripePayloadLength(location: Pick<StripeLocation, 'kind' | 'k' | 'm' | 'shardLengthBytes'>): number {
  return location.shardLengthBytes - stripeHeaderLength(location);
}

/** What a blob's layout keeps of a large stripe: a checksum of the payload checksums of its data shards. */
export function stripeCrcOf({ payloadCrcs, k }: Pick<StripeHeader, 'payloadCrcs' | 'k'>): number {
  const words = Buffer.allocUnsafe(4 * k);
  for (let i = 0; i < k; i++) words.writeUInt32LE(payloadCrcs[i] ?? 0, 4 * i);
  return crc32c(words);
}

/**
 * Makes the headers of all shards of an encoded stripe.
 * @param payloads payload after payload, `(k + m) × stripePayloadLength`.
 * @param usedBytes by shard index, or one number for all.
 * @returns `headers`: header after header, by shard index.
 */
export function makeStripeHeaders(
  payloads: Buffer,
  facts: StripeFacts,
  usedBytes: readonly number[] | number,
): { headers: Buffer; payloadCrcs: number[] } {
  const { k, m, shardLengthBytes, places } = facts;
  const count = k + m;
  const length = stripeHeaderLength(facts);
  const payloadLength = shardLengthBytes - length;
  assert(places.length === count, 'one place for each shard');
  const headers = Buffer.alloc(count * length);
  const first = headers.subarray(0, length);
  first.writeUInt32LE(STRIPE_MAGIC, 0);
  first[8] = STRIPE_VERSION;
  first[9] = KIND_CODES[facts.kind];
  first[10] = k;
  first[11] = m;
  first.writeUInt16LE(length, 14);
  writeSafeInteger(first, facts.volumeId, 16);
  first.writeUInt32LE(facts.stripeNumber, 24);
  first.writeUInt32LE(shardLengthBytes, 28);
  writeSafeInteger(first, facts.blobId, 32);
  writeSafeInteger(first, facts.blobOffset, 40);
  first.writeUInt32LE(facts.dataBytes, 48);
  const payloadCrcs: number[] = [];
  for (const [i, place] of places.entries()) {
    assert(place.offset % SHARD_ALIGNMENT_BYTES === 0, 'misaligned shard');
    const payloadCrc = crc32c(payloads.subarray(i * payloadLength, (i + 1) * payloadLength));
    payloadCrcs.push(payloadCrc);
    first.writeUInt32LE(payloadCrc, FIXED_BYTES + 4 * i);
    first.writeUInt32LE(place.offset / SHARD_ALIGNMENT_BYTES, FIXED_BYTES + 4 * (count + i));
    first[FIXED_BYTES + 8 * count + i] = place.slot;
  }
  // From the last to the first, because the first is the template.
  for (let i = count - 1; i >= 0; i--) {
    const start = i * length;
    if (i > 0) headers.copy(headers, start, 0, length);
    headers[start + 12] = i;
    headers.writeUInt32LE(typeof usedBytes === 'number' ? usedBytes : (usedBytes[i] ?? 0), start + 52);
    headers.writeUInt32LE(crc32c(headers.subarray(start + 8, start + length)), start + 4);
  }
  return { headers, payloadCrcs };
}

/** The header of another shard of the same stripe, made from a good one: all but these two fields are the same in all. */
export function reshapeStripeHeader(
  header: Buffer,
  { index, usedBytes }: { index: number; usedBytes: number },
): Buffer {
  const made = Buffer.from(header);
  made[12] = index;
  made.writeUInt32LE(usedBytes, 52);
  made.writeUInt32LE(crc32c(made.subarray(8)), 4);
  return made;
}

/** What a header says of the payload of one of the stripe's shards. */
export function payloadCrcIn(header: Buffer, shardIndex: number): number {
  return header.readUInt32LE(FIXED_BYTES + 4 * shardIndex);
}

/** A header that is whole by its own checksum, or `undefined`. Says nothing about the payload. */
export function parseStripeHeader(bytes: Buffer): StripeHeader | undefined {
  if (bytes.length < FIXED_BYTES || bytes.readUInt32LE(0) !== STRIPE_MAGIC) return undefined;
  const length = bytes.readUInt16LE(14);
  const kind = bytes[9] === KIND_CODES.small ? 'small' : 'large';
  const k = bytes[10] ?? 0;
  const m = bytes[11] ?? 0;
  const count = k + m;
  if (length > bytes.length || length !== stripeHeaderLength({ kind, k, m })) return undefined;
  if (bytes.readUInt32LE(4) !== crc32c(bytes.subarray(8, length))) return undefined;
  const shardIndex = bytes[12] ?? 0;
  if (bytes[8] !== STRIPE_VERSION || k < 1 || shardIndex >= count) return undefined;
  const places: ShardPlace[] = [];
  const payloadCrcs: number[] = [];
  for (let i = 0; i < count; i++) {
    payloadCrcs.push(bytes.readUInt32LE(FIXED_BYTES + 4 * i));
    places.push({
      slot: bytes[FIXED_BYTES + 8 * count + i] ?? 0,
      offset: bytes.readUInt32LE(FIXED_BYTES + 4 * (count + i)) * SHARD_ALIGNMENT_BYTES,
    });
  }
  return {
    kind,
    k,
    m,
    shardIndex,
    volumeId: readSafeInteger(bytes, 16),
    stripeNumber: bytes.readUInt32LE(24),
    shardLengthBytes: bytes.readUInt32LE(28),
    blobId: readSafeInteger(bytes, 32),
    blobOffset: readSafeInteger(bytes, 40),
    dataBytes: bytes.readUInt32LE(48),
    usedBytes: bytes.readUInt32LE(52),
    headerLengthBytes: length,
    places,
    payloadCrcs,
  };
}

/**
 * Is `shard` exactly shard `shardIndex` of the stripe at `location`, header and payload? A shard of another volume,
 * offset, index, length or age, a torn or flipped one: `undefined`.
 */
export function verifyShard(shard: Buffer, location: StripeLocation, shardIndex: number): StripeHeader | undefined {
  return isShardOf(shard, location, shardIndex) ? parseStripeHeader(shard) : undefined;
}

/** The first half of `verifyShard`: the payload must still be compared with `payloadCrcs`. */
export function headerOfShard(shard: Buffer, location: StripeLocation, shardIndex: number): StripeHeader | undefined {
  return isHeaderOf(shard, location, shardIndex) ? parseStripeHeader(shard) : undefined;
}

/** As `verifyShard`; makes nothing, for those who look at a hundred thousand shards. */
export function isShardOf(shard: Buffer, location: StripeLocation, shardIndex: number): boolean {
  if (!isHeaderOf(shard, location, shardIndex)) return false;
  return payloadCrcIn(shard, shardIndex) === crc32c(shard.subarray(stripeHeaderLength(location)));
}

function isHeaderOf(shard: Buffer, location: StripeLocation, shardIndex: number): boolean {
  const { kind, k, m, volumeId, shardLengthBytes, places } = location;
  const headerLength = stripeHeaderLength(location);
  if (shard.length !== shardLengthBytes || headerLength > shard.length) return false;
  const place = places[shardIndex];
  const count = k + m;
  const isNamed =
    shard.readUInt32LE(0) === STRIPE_MAGIC &&
    shard[8] === STRIPE_VERSION &&
    shard[9] === KIND_CODES[kind] &&
    shard[10] === k &&
    shard[11] === m &&
    shard[12] === shardIndex &&
    shard.readUInt16LE(14) === headerLength &&
    readSafeInteger(shard, 16) === volumeId &&
    shard.readUInt32LE(28) === shardLengthBytes &&
    shard[FIXED_BYTES + 8 * count + shardIndex] === place?.slot &&
    shard.readUInt32LE(FIXED_BYTES + 4 * (count + shardIndex)) * SHARD_ALIGNMENT_BYTES === place?.offset;
  return isNamed && shard.readUInt32LE(4) === crc32c(shard.subarray(8, headerLength));
}

/** Safe integers as two 32-bit words: much faster than BigInt. */
export function writeSafeInteger(bytes: Buffer, value: number, offset: number): void {
  bytes.writeUInt32LE(value % 2 ** 32, offset);
  bytes.writeUInt32LE(Math.floor(value / 2 ** 32), offset + 4);
}

export function readSafeInteger(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset + 4) * 2 ** 32 + bytes.readUInt32LE(offset);
}
