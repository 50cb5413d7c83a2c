import { StoreError } from '../../errors/store-error.ts';

/** Reads what `ByteWriter` wrote. @throws StoreError JournalCorrupt when a field reaches beyond the end. */
export class ByteReader {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  /** Of the next byte. */
  get offset(): number {
    return this.#offset;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#buffer.length;
  }

  byte(): number {
    const value = this.#buffer[this.#offset++];
    if (value === undefined) throw corrupt('a record ends too early');
    return value;
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (let length = 1; ; length += 1) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) break;
      if (length === 8) throw corrupt('a number in a record is too long');
      factor *= 128;
    }
    if (!Number.isSafeInteger(value)) throw corrupt('a number in a record is too large');
    return value;
  }

  signedVarint(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** A view into the buffer that is read. */
  bytes(): Buffer {
    const length = this.varint();
    const start = this.#offset;
    if (start + length > this.#buffer.length) throw corrupt('a record ends too early');
    this.#offset = start + length;
    return this.#buffer.subarray(start, start + length);
  }

  string(): string {
    const length = this.varint();
    const start = this.#offset;
    if (start + length > this.#buffer.length) throw corrupt('a record ends too early');
    this.#offset = start + length;
    return this.#buffer.toString('utf8', start, start + length);
  }

  /** Reads a count and then that many items. */
  list<Item>(item: () => Item): Item[] {
    const count = this.varint();
    if (count > this.#buffer.length - this.#offset) throw corrupt('a list in a record is longer than the record');
    const items: Item[] = [];
    for (let index = 0; index < count; index += 1) items.push(item());
    return items;
  }
}

export function corrupt(message: string): StoreError {
  return new StoreError('JournalCorrupt', message, {
    hint: 'A journal payload passed its checksum but does not decode: it was written by another version, or this is a bug.',
  });
}
