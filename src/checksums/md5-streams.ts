import { assert } from '../errors/assert.ts';
import { AREA_BYTES, DATA_OFFSET, instantiateMd5, type Md5Exports, STREAM_COUNT } from './md5-module.ts';

const BLOCK_BYTES = 64;
const NONE: ReadonlySet<Md5Stream> = new Set();
const INITIAL_STATE = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476];

/** One MD5 that grows: bytes are handed over by `push` and hashed by `Md5Engine.run`, together with those of others. */
export class Md5Stream {
  readonly state = Uint32Array.from(INITIAL_STATE);
  readonly #pending: Buffer[] = [];
  #pendingBytes = 0;
  #totalBytes = 0;

  /** The bytes must not change before a `run` has taken them: all but what is less than a block. */
  push(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    this.#totalBytes += bytes.length;
  }

  get pendingBlocks(): number {
    return Math.floor(this.#pendingBytes / BLOCK_BYTES);
  }

  /** Bytes that were pushed and are no longer referred to. */
  get takenBytes(): number {
    return this.pendingBlocks === 0 ? this.#totalBytes : this.#totalBytes - this.#pendingBytes;
  }

  /** Moves whole blocks to the front of `area`; returns how many. */
  takeBlocks(area: Uint8Array): number {
    const wantedBytes = Math.min(area.length, BLOCK_BYTES * this.pendingBlocks);
    let done = 0;
    while (done < wantedBytes) {
      const first = this.#pending[0]!;
      const taken = Math.min(first.length, wantedBytes - done);
      area.set(taken === first.length ? first : first.subarray(0, taken), done);
      done += taken;
      if (taken === first.length) this.#pending.shift();
      else this.#pending[0] = first.subarray(taken);
    }
    this.#pendingBytes -= wantedBytes;
    return wantedBytes / BLOCK_BYTES;
  }

  /** Keeps what is less than a block in memory of its own. */
  detachRest(): void {
    assert(this.#pendingBytes < BLOCK_BYTES, 'blocks are hashed before the rest is kept');
    if (this.#pendingBytes > 0) this.#pending.splice(0, this.#pending.length, Buffer.concat(this.#pending));
  }

  /** Appends the padding that ends an MD5: afterwards the last blocks are pending. */
  pad(): void {
    const lengthBytes = this.#totalBytes;
    const restBytes = (lengthBytes + 1 + 8) % BLOCK_BYTES;
    const padding = Buffer.alloc(1 + (restBytes === 0 ? 0 : BLOCK_BYTES - restBytes) + 8);
    padding[0] = 0x80;
    padding.writeBigUInt64LE(BigInt(lengthBytes) * 8n, padding.length - 8);
    this.push(padding);
  }

  digest(): Buffer {
    assert(this.#pendingBytes === 0, 'an MD5 is asked for when everything is hashed');
    const digest = Buffer.allocUnsafe(16);
    for (const [i, word] of this.state.entries()) digest.writeUInt32LE(word, 4 * i);
    return digest;
  }
}

/** Hashes what several streams have pending, up to four of them at once in SIMD registers. One for each thread. */
export class Md5Engine {
  readonly #md5: Md5Exports = instantiateMd5();
  readonly #states = new Uint32Array(this.#md5.memory.buffer, 0, 4 * STREAM_COUNT);
  readonly #areas = Array.from(
    { length: STREAM_COUNT },
    (_, i) => new Uint8Array(this.#md5.memory.buffer, DATA_OFFSET + i * AREA_BYTES, AREA_BYTES),
  );

  /**
   * Hashes while `leastTogether` of the streams, or one of `wholly`, have a whole block pending. By default to the end: then
   * none of them has one, and none refers to bytes that were pushed. What is left of a longer stream waits for company.
   */
  run(streams: Iterable<Md5Stream>, leastTogether = 1, wholly: ReadonlySet<Md5Stream> = NONE): void {
    const waiting = [...streams];
    const active: Md5Stream[] = [];
    for (;;) {
      while (active.length < STREAM_COUNT && waiting.length > 0) active.push(waiting.shift()!);
      for (let i = active.length - 1; i >= 0; i--) {
        if (active[i]!.pendingBlocks > 0) continue;
        active[i]!.detachRest();
        active.splice(i, 1);
      }
      if (waiting.length > 0 && active.length < STREAM_COUNT) continue;
      if (active.length === 0) return;
      if (active.length < leastTogether && !active.some((stream) => wholly.has(stream))) return;
      this.#hashAreas(active, leastTogether);
    }
  }

  /** One area's worth of each stream; in company, no more than the shortest of them has. */
  #hashAreas(streams: readonly Md5Stream[], leastTogether: number): void {
    const shared = leastTogether > 1 ? Math.min(...streams.map((stream) => stream.pendingBlocks)) : Infinity;
    const lengthBytes = Math.min(AREA_BYTES, BLOCK_BYTES * shared);
    const counts = streams.map((stream, i) => stream.takeBlocks(this.#areas[i]!.subarray(0, lengthBytes)));
    let done = 0;
    for (;;) {
      const left = streams.map((_, i) => i).filter((i) => counts[i]! > done);
      if (left.length === 0) return;
      const count = Math.min(...left.map((i) => counts[i]!)) - done;
      const lone = left.length === 1 ? left[0]! : undefined;
      // A stream alone takes the place of the first in the state; its data stays where it is.
      for (const i of left) this.#loadState(streams[i]!, lone === undefined ? i : 0);
      if (lone === undefined) this.#md5.compressFour(count, BLOCK_BYTES * done);
      else this.#md5.compressOne(count, AREA_BYTES * lone + BLOCK_BYTES * done);
      for (const i of left) this.#storeState(streams[i]!, lone === undefined ? i : 0);
      done += count;
    }
  }

  #loadState({ state }: Md5Stream, place: number): void {
    for (let i = 0; i < 4; i++) this.#states[4 * i + place] = state[i]!;
  }

  #storeState({ state }: Md5Stream, place: number): void {
    for (let i = 0; i < 4; i++) state[i] = this.#states[4 * i + place]!;
  }
}
