import type { Randomness } from '../model/clock.ts';

/** Sixteen upper-case hex digits, unique within a run and most likely beyond it: eight random ones, then a count. */
export class RequestIdSource {
  readonly #prefix: string;
  #count: number;

  constructor(randomness: Randomness) {
    const bytes = randomness.bytes(8);
    this.#prefix = bytes.toString('hex', 0, 4).toUpperCase();
    this.#count = bytes.readUInt32BE(4);
  }

  next(): string {
    this.#count = (this.#count + 1) >>> 0;
    return this.#prefix + this.#count.toString(16).toUpperCase().padStart(8, '0');
  }
}
