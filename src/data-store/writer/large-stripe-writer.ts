import { assert } from '../../errors/assert.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import { encodeParity } from '../erasure/erasure-codec.ts';
import { copyBytes } from '../../memory/copy-bytes.ts';
import type { StoreContext } from '../store-context.ts';
import {
  makeStripeHeaders,
  stripeCrcOf,
  type StripeFacts,
  stripeHeaderLength,
  stripePayloadLength,
} from '../stripe/stripe-header.ts';
import { releaseWhenSettled } from '../volume/buffer-return.ts';
import type { LargeVolume } from '../volume/large-volume.ts';
import { acquireWithin } from '../reader/large-read.ts';

const BLOCK_BYTES = 4096;

/** A stripe of a large blob that has been written; durable when its volume has been synced since. */
export interface WrittenStripe {
  readonly open: LargeVolume;
  readonly facts: StripeFacts;
  readonly stripeCrc: number;
  /** Body bytes. */
  readonly dataBytes: number;
  /** Body and entry. */
  readonly streamBytes: number;
}

/** What a stripe is made of: `copyTo` copies stream bytes [from, from + length) into `target` at `targetStart`. */
export interface StreamSource {
  readonly streamBytes: number;
  readonly dataBytes: number;
  /** Position of the first byte in the blob. */
  readonly blobOffset: number;
  copyTo(target: Buffer, targetStart: number, from: number, length: number): void;
}

/** Stream bytes that a full stripe of this volume takes. */
export function stripeCapacity({ k, m, shardSizeBytes }: { k: number; m: number; shardSizeBytes: number }): number {
  return k * (shardSizeBytes - stripeHeaderLength({ kind: 'large', k, m }));
}

/** The cheapest shape for a stripe of `streamBytes`: as few shards as blocks allow, as short as they can be. */
export function stripeShape(
  streamBytes: number,
  { k, m }: { k: number; m: number },
): { k: number; shardLengthBytes: number } {
  const header = stripeHeaderLength({ kind: 'large', k, m });
  const width = Math.max(1, Math.min(k, Math.ceil(streamBytes / (BLOCK_BYTES - header))));
  return {
    k: width,
    shardLengthBytes: Math.ceil((header + Math.ceil(streamBytes / width)) / BLOCK_BYTES) * BLOCK_BYTES,
  };
}

const ATTEMPT_LIMIT = 8;

/**
 * Encodes and writes stripes of one large blob. When a disk fails during a write the stripe goes to another volume, cut
 * in pieces when that one is narrower.
 */
export class LargeStripeWriter {
  readonly #context: StoreContext;
  readonly #blobId: number;
  readonly #nextVolume: () => Promise<LargeVolume>;

  constructor(context: StoreContext, blobId: number, nextVolume: () => Promise<LargeVolume>) {
    this.#context = context;
    this.#blobId = blobId;
    this.#nextVolume = nextVolume;
  }

  /**
   * Writes a stream as one stripe if the volume's stripes are long enough, else as several. `onCopied` is called once,
   * as soon as nothing more is read from `source`.
   * @returns in the order of the stream.
   */
  async write(source: StreamSource, onCopied: () => void): Promise<WrittenStripe[]> {
    const written: WrittenStripe[] = [];
    let rest: StreamSource = source;
    let isCopied = false;
    for (let attempt = 0; attempt < ATTEMPT_LIMIT;) {
      const open = await this.#nextVolume();
      const taken = takeFront(rest, stripeCapacity(open.volume));
      const slot = await acquireWithin(this.#context, this.#context.stripeBuffers);
      const calls: Promise<unknown>[] = [];
      try {
        const { facts, payloads } = this.#fill(open, taken, slot.bytes);
        if (!isCopied) {
          // What does not fit any more is kept apart: the source is only lent for the first copy.
          const remaining = rest.streamBytes - taken.streamBytes;
          if (remaining > 0) rest = detached(rest);
          isCopied = true;
          onCopied();
        }
        await encodeParity({ code: facts, shardSizeBytes: stripePayloadLength(facts), shards: payloads });
        const stripe = await this.#append(open, facts, { payloads, buffer: slot.bytes, taken, calls });
        if (stripe === undefined) {
          attempt++;
          if (rest === source) rest = sourceOf(Buffer.from(payloads.subarray(0, taken.streamBytes)), taken);
          continue;
        }
        written.push(stripe);
        if (taken.streamBytes === rest.streamBytes) return written;
        rest = afterFront(rest, taken);
        attempt = 0;
      } finally {
        releaseWhenSettled(this.#context.stripeBuffers, slot, calls);
      }
    }
    throw new StoreError('QuorumLost', 'a stripe could not be written: disks fail one after another');
  }

  #fill(open: LargeVolume, taken: StreamSource, buffer: Buffer): { facts: StripeFacts; payloads: Buffer } {
    const { volume } = open;
    const { k, shardLengthBytes } = stripeShape(taken.streamBytes, volume);
    const { m } = volume;
    const facts: StripeFacts = {
      kind: 'large',
      volumeId: volume.volumeId,
      k,
      m,
      shardLengthBytes,
      places: [],
      stripeNumber: 0,
      blobId: this.#blobId,
      blobOffset: taken.blobOffset,
      dataBytes: taken.dataBytes,
    };
    const payloadLength = stripePayloadLength(facts);
    const payloads = buffer.subarray(0, (k + m) * payloadLength);
    taken.copyTo(payloads, 0, 0, taken.streamBytes);
    payloads.fill(0, taken.streamBytes, k * payloadLength);
    return { facts, payloads };
  }

  /** `undefined` when the volume can no longer be used. */
  async #append(
    open: LargeVolume,
    draft: StripeFacts,
    {
      payloads,
      buffer,
      taken,
      calls,
    }: { payloads: Buffer; buffer: Buffer; taken: StreamSource; calls: Promise<unknown>[] },
  ): Promise<WrittenStripe | undefined> {
    const { k, m, shardLengthBytes } = draft;
    if (!open.canTake(shardLengthBytes)) return undefined;
    const facts = { ...draft, ...open.reserve({ shardCount: k + m, shardLengthBytes }) };
    const { headers, payloadCrcs } = makeStripeHeaders(payloads, facts, taken.streamBytes);
    // Each shard is one aligned write, header and payload together.
    const length = (k + m) * shardLengthBytes;
    const shards = buffer.subarray(length, 2 * length);
    const headerLength = stripeHeaderLength(facts);
    const payloadLength = shardLengthBytes - headerLength;
    for (let i = 0; i < k + m; i++) {
      headers.copy(shards, i * shardLengthBytes, i * headerLength, (i + 1) * headerLength);
      payloads.copy(shards, i * shardLengthBytes + headerLength, i * payloadLength, (i + 1) * payloadLength);
    }
    const appended = open.write(shards, facts.places, shardLengthBytes);
    calls.push(...appended.calls);
    try {
      await appended.outcome;
    } catch (error) {
      if (isStoreError(error)) return undefined;
      throw error;
    }
    return {
      open,
      facts,
      stripeCrc: stripeCrcOf({ payloadCrcs, k }),
      dataBytes: taken.dataBytes,
      streamBytes: taken.streamBytes,
    };
  }
}

/** The part of a stream that the next stripe takes. An entry is not cut in two. */
function takeFront(source: StreamSource, capacityBytes: number): StreamSource {
  if (source.streamBytes <= capacityBytes) return source;
  const entryBytes = source.streamBytes - source.dataBytes;
  assert(entryBytes <= capacityBytes, 'an entry fits a stripe');
  const streamBytes = Math.min(source.dataBytes, capacityBytes);
  if (streamBytes === 0) return source;
  return { ...source, streamBytes, dataBytes: streamBytes };
}

function afterFront(source: StreamSource, front: StreamSource): StreamSource {
  return {
    streamBytes: source.streamBytes - front.streamBytes,
    dataBytes: source.dataBytes - front.dataBytes,
    blobOffset: source.blobOffset + front.dataBytes,
    copyTo: (target, targetStart, from, length) => source.copyTo(target, targetStart, from + front.streamBytes, length),
  };
}

/** The same stream in memory of its own. */
function detached(source: StreamSource): StreamSource {
  const bytes = Buffer.allocUnsafe(source.streamBytes);
  source.copyTo(bytes, 0, 0, source.streamBytes);
  return sourceOf(bytes, source);
}

/** A stream that lies in one buffer. */
export function sourceOf(
  bytes: Buffer,
  { dataBytes, blobOffset }: { dataBytes: number; blobOffset: number },
): StreamSource {
  return {
    streamBytes: bytes.length,
    dataBytes,
    blobOffset,
    copyTo: (target, at, from, length) => copyBytes(bytes.subarray(from, from + length), { target, at }),
  };
}
