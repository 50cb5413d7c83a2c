import { assert } from '../../errors/assert.ts';

/** Appends primitive fields to a growing buffer. The encoding of each is described in `journal-record.ts`. */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(initialBytes = 4096) {
    this.#buffer = Buffer.allocUnsafe(initialBytes);
  }

  get lengthBytes(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Forgets everything after `lengthBytes`. */
  cutBack(lengthBytes: number): void {
    assert(lengthBytes <= this.#length, 'cutting back beyond the end');
    this.#length = lengthBytes;
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  /** A non-negative safe integer, little end first, seven bits in each byte. */
  varint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, `not a varint: ${value}`);
    this.#reserve(8);
    const buffer = this.#buffer;
    let offset = this.#length;
    let rest = value;
    while (rest > 0x7fffffff) {
      buffer[offset++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest > 127) {
      buffer[offset++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    buffer[offset++] = rest;
    this.#length = offset;
  }

  /** Zigzag: small numbers of either sign are short. Wall clocks may lie before 1970. */
  signedVarint(value: number): void {
    this.varint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  bytes(value: Uint8Array): void {
    this.varint(value.length);
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  string(value: string): void {
    if (value.length < 0x80 && this.#shortAscii(value)) return;
    const lengthBytes = Buffer.byteLength(value);
    this.varint(lengthBytes);
    this.#reserve(lengthBytes);
    this.#buffer.write(value, this.#length);
    this.#length += lengthBytes;
  }

  /** Byte by byte: for short names a call into native code costs more. False: not ASCII, nothing written. */
  #shortAscii(value: string): boolean {
    const { length } = value;
    this.#reserve(length + 1);
    const buffer = this.#buffer;
    const start = this.#length + 1;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      if (code >= 0x80) return false;
      buffer[start + index] = code;
    }
    buffer[start - 1] = length;
    this.#length = start + length;
    return true;
  }

  /** A copy: the writer may be used again. */
  toBuffer(): Buffer {
    const copy = Buffer.allocUnsafe(this.#length);
    this.#buffer.copy(copy, 0, 0, this.#length);
    return copy;
  }

  #reserve(lengthBytes: number): void {
    const needed = this.#length + lengthBytes;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    larger.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = larger;
  }
}
