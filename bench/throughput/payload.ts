import { createCipheriv, createHash } from 'node:crypto';

/** Every object starts with as much of this as it has room for: magic, seed, size, operation id. */
export const HEADER_BYTES = 32;
const MAGIC = 0x48464231;
const BLOCK_BYTES = 128 * 1024;
const POOL_BYTES = 2 * 1024 * 1024;

/**
 * Bodies that describe themselves: a header with seed, size and operation id, then blocks of 128 KiB, each a slice of one
 * pool of random bytes at an offset that depends on (operation id, block). Whoever knows an object's operation id and
 * size knows every byte of it without keeping it; sending copies nothing, and checking is a comparison of memory.
 */
export class PayloadPool {
  readonly seed: number;
  readonly #pool: Buffer;

  constructor(seed: number) {
    this.seed = seed;
    const key = createHash('sha256').update(`pool ${seed}`).digest();
    this.#pool = createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(POOL_BYTES));
  }

  /** The body in pieces, in order; all but the first are views of the pool: read only. */
  pieces(operationId: number, sizeBytes: number, from = 0, to = sizeBytes): Buffer[] {
    const pieces: Buffer[] = [];
    let position = from;
    if (position < HEADER_BYTES && position < to) {
      const end = Math.min(HEADER_BYTES, to);
      pieces.push(this.header(operationId, sizeBytes).subarray(position, end));
      position = end;
    }
    while (position < to) {
      const end = Math.min(to, endOfBlock(position));
      const offset = poolOffset(operationId, position);
      pieces.push(this.#pool.subarray(offset, offset + end - position));
      position = end;
    }
    return pieces;
  }

  sha256(operationId: number, sizeBytes: number, from = 0, to = sizeBytes): string {
    const hash = createHash('sha256');
    for (const piece of this.pieces(operationId, sizeBytes, from, to)) hash.update(piece);
    return hash.digest('hex');
  }

  header(operationId: number, sizeBytes: number): Buffer {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32BE(MAGIC, 0);
    header.writeUInt32BE(this.seed, 4);
    header.writeDoubleBE(sizeBytes, 8);
    header.writeDoubleBE(operationId, 16);
    header.writeDoubleBE(-operationId, 24);
    return header;
  }

  /** True when `bytes[start, end)` is what the object has from `position` on, `position` ≥ HEADER_BYTES, in one block. */
  matches(operationId: number, position: number, bytes: Buffer, start: number, end: number): boolean {
    const offset = poolOffset(operationId, position);
    return this.#pool.compare(bytes, start, end, offset, offset + end - start) === 0;
  }
}

/** What the header of a body says, for a message about a wrong one. */
export function describeHeader(bytes: Buffer): string {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32BE(0) !== MAGIC) return 'bytes that no operation of a bench wrote';
  const [seed, size, operationId] = [bytes.readUInt32BE(4), bytes.readDoubleBE(8), bytes.readDoubleBE(16)];
  return `the start of operation ${operationId} of seed ${seed}, ${size} bytes`;
}

/** Checks a body that arrives in pieces against what its operation wrote. One is used for many bodies. */
export class PayloadChecker {
  readonly #pool: PayloadPool;
  #operationId = 0;
  #sizeBytes = 0;
  #header: Buffer = Buffer.alloc(0);
  #received = Buffer.alloc(HEADER_BYTES);
  #position = 0;
  /** Where the first wrong byte may be, to a piece; undefined while all are right. */
  #wrongAt: number | undefined;

  constructor(pool: PayloadPool) {
    this.#pool = pool;
  }

  begin(operationId: number, sizeBytes: number): void {
    this.#operationId = operationId;
    this.#sizeBytes = sizeBytes;
    this.#header = this.#pool.header(operationId, sizeBytes);
    this.#position = 0;
    this.#wrongAt = undefined;
  }

  write(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      const position = this.#position;
      if (position < HEADER_BYTES) {
        const take = Math.min(end - at, HEADER_BYTES - position);
        bytes.copy(this.#received, position, at, at + take);
        if (bytes.compare(this.#header, position, position + take, at, at + take) !== 0) this.#wrongAt ??= position;
        this.#position += take;
        at += take;
        continue;
      }
      const take = Math.min(end - at, endOfBlock(position) - position);
      if (!this.#pool.matches(this.#operationId, position, bytes, at, at + take)) this.#wrongAt ??= position;
      this.#position += take;
      at += take;
    }
  }

  /** What is wrong with the whole body, or undefined. */
  finish(): string | undefined {
    if (this.#position !== this.#sizeBytes) {
      return `body of ${this.#position} bytes instead of ${this.#sizeBytes}`;
    }
    if (this.#wrongAt === undefined) return undefined;
    return `wrong bytes from ${this.#wrongAt} on; it starts with ${describeHeader(this.#received)}`;
  }
}

function endOfBlock(position: number): number {
  return (Math.floor(position / BLOCK_BYTES) + 1) * BLOCK_BYTES;
}

/** The same block of two objects, and two blocks of one object, lie at different places of the pool. */
function poolOffset(operationId: number, position: number): number {
  const block = Math.floor(position / BLOCK_BYTES);
  const start = mix(operationId, block) % (POOL_BYTES - BLOCK_BYTES);
  return start + (position % BLOCK_BYTES);
}

/** 32 well-mixed bits of two numbers. */
export function mix(first: number, second: number): number {
  let hash = Math.imul(first | 0, 0x9e3779b1) ^ Math.imul(Math.floor(first / 2 ** 32) | 0, 0x85ebca77);
  hash ^= Math.imul(second + 1, 0xc2b2ae3d);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return (hash ^ (hash >>> 15)) >>> 0;
}
