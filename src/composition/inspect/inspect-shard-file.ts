import { crc32c } from '@node-rs/crc32';
import { parseBlobEntry } from '../../data-store/stripe/blob-entry.ts';
import {
  parseStripeHeader,
  SHARD_ALIGNMENT_BYTES,
  STRIPE_MAGIC,
  STRIPE_VERSION,
  type StripeHeader,
} from '../../data-store/stripe/stripe-header.ts';
import { parseVolumeHeader, VOLUME_HEADER_BYTES, volumeIdOfFileName } from '../../data-store/volume/volume-file.ts';
import { DIRECT_IO_ALIGNMENT_BYTES } from '../../disk/disk-fs.ts';
import { type BlobDescriptor, decodeBlobDescriptor } from '../../service/blob-descriptor.ts';
import { isZero, type FileBytes } from './file-bytes.ts';
import { type Findings, inHex, newerThanKnown } from './inspection.ts';

const VOLUME_MAGIC_TEXT = 'HFSv';
const VOLUME_VERSION = 1;
const LONGEST_HEADER_BYTES = 512;

/** What the shards of a file must say of themselves; learnt from the first good one when the first block is bad. */
interface Expected {
  volumeId: number;
  slot: number;
}

/**
 * A shard file: first block, then shards at multiples of 64 (large volumes: 4096). Zeros between them are places that were never
 * written, or that a repair left out because nothing live lies there. Which of the shards are still needed, only the journal knows.
 */
export async function inspectShardFile(file: FileBytes, fileName: string, findings: Findings): Promise<void> {
  const block = Buffer.from(await file.view(0, VOLUME_HEADER_BYTES));
  const header = parseVolumeHeader(block);
  const item = { offset: 0, lengthBytes: block.length, what: 'first block' };
  if (header === undefined) {
    const { problem, state } = whyNoVolumeHeader(block);
    findings.addBad({ ...item, facts: {} }, problem, state);
    if (state === 'newer') return;
  } else {
    findings.add({ ...item, state: 'good', facts: { ...header } });
    Object.assign(findings.facts, header);
    const named = volumeIdOfFileName(fileName);
    if (named !== undefined && named !== header.volumeId) {
      findings.problem(0, 0, `the file is named after volume ${named} and says it is of volume ${header.volumeId}`);
    }
  }
  await new ShardScan(file, findings, header).run(header?.purpose === 'small');
}

function whyNoVolumeHeader(block: Buffer): { problem: string; state: 'bad' | 'newer' } {
  if (block.length < VOLUME_HEADER_BYTES) {
    return { problem: `the file ends after ${block.length} bytes, inside its first block`, state: 'bad' };
  }
  if (block.toString('latin1', 0, 4) !== VOLUME_MAGIC_TEXT) {
    return { problem: `the first block does not begin with ${VOLUME_MAGIC_TEXT}`, state: 'bad' };
  }
  const sum = crc32c(block.subarray(8));
  const kept = block.readUInt32LE(4);
  if (sum !== kept) {
    return { problem: `the checksum of the first block is ${inHex(sum)}, it says ${inHex(kept)}`, state: 'bad' };
  }
  return { problem: newerThanKnown('the shard file', block[8] ?? 0, VOLUME_VERSION), state: 'newer' };
}

class ShardScan {
  readonly #file: FileBytes;
  readonly #findings: Findings;
  #expected: Expected | undefined;
  #gap: { offset: number; endBytes: number; isZero: boolean; why: string } | undefined;
  readonly #counts = { shards: 0, badShards: 0, entries: 0 };

  constructor(file: FileBytes, findings: Findings, expected: Expected | undefined) {
    this.#file = file;
    this.#findings = findings;
    this.#expected = expected;
  }

  async run(isSmall: boolean): Promise<void> {
    // An unknown purpose is looked through in the finer steps.
    const isLarge = this.#expected !== undefined && !isSmall;
    const stepBytes = isLarge ? DIRECT_IO_ALIGNMENT_BYTES : SHARD_ALIGNMENT_BYTES;
    let offset = VOLUME_HEADER_BYTES;
    while (offset < this.#file.sizeBytes) offset += await this.#step(offset, stepBytes);
    this.#endGap();
    Object.assign(this.#findings.facts, this.#counts);
  }

  async #step(offset: number, stepBytes: number): Promise<number> {
    const bytes = await this.#file.view(offset, Math.max(stepBytes, LONGEST_HEADER_BYTES));
    const header = parseStripeHeader(bytes);
    if (header === undefined) {
      const here = bytes.subarray(0, stepBytes);
      const isEmpty = isZero(here);
      this.#extendGap(offset, here.length, isEmpty, isEmpty ? '' : whyNoShard(bytes));
      return here.length;
    }
    const place = header.places[header.shardIndex];
    const isHere = place?.offset === offset && (this.#expected === undefined || place.slot === this.#expected.slot);
    if (!isHere || (this.#expected !== undefined && header.volumeId !== this.#expected.volumeId)) {
      const says = `volume ${header.volumeId}, slot ${place?.slot}, offset ${place?.offset}`;
      this.#extendGap(offset, stepBytes, false, `a shard lies here that belongs to another place: ${says}`);
      return stepBytes;
    }
    this.#expected ??= { volumeId: header.volumeId, slot: place.slot };
    this.#endGap();
    await this.#shard(offset, header);
    return Math.max(stepBytes, header.shardLengthBytes);
  }

  async #shard(offset: number, header: StripeHeader): Promise<void> {
    const { kind, k, m, shardIndex, shardLengthBytes, headerLengthBytes, stripeNumber, blobId, dataBytes } = header;
    const what = shardIndex < k ? 'data shard' : 'parity shard';
    const facts = {
      stripe: stripeNumber,
      kind,
      code: `${k}+${m}`,
      index: shardIndex,
      usedBytes: header.usedBytes,
      ...(kind === 'large' ? { blobId, blobOffset: header.blobOffset, dataBytes } : {}),
      places: header.places.map((place) => `${place.slot}:${place.offset}`),
    };
    const item = { offset, lengthBytes: shardLengthBytes, what, facts };
    this.#counts.shards++;
    const bytes = await this.#file.view(offset, shardLengthBytes);
    const kept = header.payloadCrcs[shardIndex] ?? 0;
    const sum = crc32c(bytes.subarray(headerLengthBytes));
    if (bytes.length < shardLengthBytes || sum !== kept) {
      this.#counts.badShards++;
      const why =
        bytes.length < shardLengthBytes
          ? `the file ends inside this shard, ${shardLengthBytes - bytes.length} bytes are missing`
          : `the header is good, the checksum of the payload is ${inHex(sum)} and must be ${inHex(kept)}`;
      this.#findings.addBad(item, why);
      return;
    }
    this.#findings.add({ ...item, state: 'good' });
    if (shardIndex < k) this.#entries(offset, bytes, header);
  }

  /** Small: the chain of entries of this shard. Large: the one entry, when it lies whole in this shard. */
  #entries(offset: number, shard: Buffer, header: StripeHeader): void {
    const { kind, headerLengthBytes, usedBytes, shardLengthBytes, shardIndex, dataBytes } = header;
    const payloadBytes = shardLengthBytes - headerLengthBytes;
    if (kind === 'large') {
      const start = dataBytes - shardIndex * payloadBytes;
      const end = usedBytes - shardIndex * payloadBytes;
      if (usedBytes > dataBytes && start >= 0 && end <= payloadBytes) {
        this.#entry(offset, shard, headerLengthBytes + start);
      }
      return;
    }
    for (let at = headerLengthBytes; at < headerLengthBytes + usedBytes;) {
      const endOfEntry = this.#entry(offset, shard, at);
      if (endOfEntry === undefined) return;
      at = endOfEntry;
    }
  }

  /** Returns where the next one begins; `undefined`: there is no good one here. */
  #entry(offset: number, shard: Buffer, at: number): number | undefined {
    const entry = parseBlobEntry(shard, at);
    const item = { offset: offset + at, what: 'entry' };
    if (entry === undefined) {
      const rest = { ...item, lengthBytes: shard.length - at, facts: {} };
      this.#findings.addBad(rest, 'the shard is good, but no whole entry begins here');
      return undefined;
    }
    this.#counts.entries++;
    const end = entry.bodyStart + entry.bodyLengthBytes;
    const facts = { blobId: entry.blobId, bodyBytes: entry.bodyLengthBytes, bodyOffset: offset + entry.bodyStart };
    const whole = { ...item, lengthBytes: end - at };
    try {
      const descriptor = printableDescriptor(decodeBlobDescriptor(entry.descriptor));
      this.#findings.add({ ...whole, state: 'good', facts: { ...facts, ...descriptor } });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const isNewer = (entry.descriptor[0] ?? 0) > 1;
      this.#findings.addBad({ ...whole, facts }, `the ${error.message}`, isNewer ? 'newer' : 'bad');
    }
    return end;
  }

  #extendGap(offset: number, lengthBytes: number, isEmpty: boolean, why: string): void {
    if (this.#gap !== undefined && this.#gap.isZero !== isEmpty) this.#endGap();
    this.#gap ??= { offset, endBytes: offset, isZero: isEmpty, why };
    this.#gap.endBytes = offset + lengthBytes;
  }

  #endGap(): void {
    if (this.#gap === undefined) return;
    const { offset, endBytes, isZero: isEmpty, why } = this.#gap;
    this.#gap = undefined;
    const item = { offset, lengthBytes: endBytes - offset, facts: {} };
    if (isEmpty) this.#findings.add({ ...item, what: 'zeros', state: 'empty' });
    else
      this.#findings.addBad(
        { ...item, what: 'no shard' },
        `${why}: damage, or left by a write that was never acknowledged`,
      );
  }
}

function whyNoShard(bytes: Buffer): string {
  if (bytes.length < 16 || bytes.readUInt32LE(0) !== STRIPE_MAGIC) return 'no shard begins here';
  const length = bytes.readUInt16LE(14);
  const sum = crc32c(bytes.subarray(8, Math.max(8, length)));
  const kept = bytes.readUInt32LE(4);
  if (length > bytes.length || sum !== kept) return 'the checksum of the header of a shard does not match';
  return newerThanKnown('a shard', bytes[8] ?? 0, STRIPE_VERSION);
}

function printableDescriptor(descriptor: BlobDescriptor): Record<string, unknown> {
  const { kind, bucketName, key, content } = descriptor;
  const part = kind === 'part' ? { uploadId: descriptor.uploadId, partNumber: descriptor.partNumber } : {};
  const blobs = kind === 'manifest' ? { uploadId: descriptor.uploadId, blobs: descriptor.blobs } : {};
  return {
    describes: kind,
    bucket: bucketName,
    key,
    sizeBytes: content.sizeBytes,
    etag: content.etag,
    ...part,
    ...blobs,
  };
}
