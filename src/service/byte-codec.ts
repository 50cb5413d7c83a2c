/** Appends numbers and strings to a growing buffer; `docs/ON-DISK-FORMAT.md` and blob-descriptor.ts name the primitives. */
export class ByteWriter {
  #bytes = Buffer.allocUnsafe(512);
  #length = 0;

  byte(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  /** Unsigned LEB128 of a safe integer ≥ 0. */
  varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
  }

  /** An integer of either sign: the varint of 2n, or of −2n − 1 for a negative n. */
  signedVarint(value: number): void {
    this.varint(value < 0 ? -value * 2 - 1 : value * 2);
  }

  string(value: string): void {
    if (value.length < 0x80 && this.#shortAscii(value)) return;
    const lengthBytes = Buffer.byteLength(value);
    this.varint(lengthBytes);
    this.#reserve(lengthBytes);
    this.#length += this.#bytes.write(value, this.#length);
  }

  /** Byte by byte: for the short names of a descriptor a call into native code costs more. False: not ASCII, nothing written. */
  #shortAscii(value: string): boolean {
    const { length } = value;
    this.#reserve(length + 1);
    const bytes = this.#bytes;
    const start = this.#length + 1;
    for (let index = 0; index < length; index++) {
      const code = value.charCodeAt(index);
      if (code >= 0x80) return false;
      bytes[start + index] = code;
    }
    bytes[start - 1] = length;
    this.#length = start + length;
    return true;
  }

  /** Without their length. */
  raw(bytes: Buffer): void {
    this.#reserve(bytes.length);
    this.#length += bytes.copy(this.#bytes, this.#length);
  }

  bytes(bytes: Buffer): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  pairs(pairs: readonly (readonly [string, string])[]): void {
    this.varint(pairs.length);
    for (const [name, value] of pairs) {
      this.string(name);
      this.string(value);
    }
  }

  /** The bytes so far. The writer must not be used afterwards. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #reserve(lengthBytes: number): void {
    if (this.#length + lengthBytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + lengthBytes));
    this.#bytes.copy(grown, 0, 0, this.#length);
    this.#bytes = grown;
  }
}

/** Reads what ByteWriter wrote. @throws RangeError when the bytes end early. */
export class ByteReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(): number {
    const value = this.#bytes[this.#offset++];
    if (value === undefined) throw new RangeError('encoded bytes end early');
    return value;
  }

  varint(): number {
    let value = 0;
    let weight = 1;
    for (;;) {
      const byte = this.byte();
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) break;
      weight *= 0x80;
    }
    if (!Number.isSafeInteger(value)) throw new RangeError('encoded number out of range');
    return value;
  }

  signedVarint(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  string(): string {
    const end = this.varint() + this.#offset;
    if (end > this.#bytes.length) throw new RangeError('encoded bytes end early');
    const value = this.#bytes.toString('utf8', this.#offset, end);
    this.#offset = end;
    return value;
  }

  /** A copy. */
  raw(lengthBytes: number): Buffer {
    const end = this.#offset + lengthBytes;
    if (end > this.#bytes.length) throw new RangeError('encoded bytes end early');
    const value = Buffer.from(this.#bytes.subarray(this.#offset, end));
    this.#offset = end;
    return value;
  }

  bytes(): Buffer {
    return this.raw(this.varint());
  }

  list<T>(readItem: () => T): T[] {
    const count = this.varint();
    if (count > this.#bytes.length - this.#offset) throw new RangeError('encoded bytes end early');
    const items: T[] = [];
    for (let index = 0; index < count; index++) items.push(readItem());
    return items;
  }

  pairs(): [string, string][] {
    return this.list(() => [this.string(), this.string()]);
  }

  /** Pairs as a record without a prototype, so that `__proto__` is a name like any other. */
  record(): Record<string, string> {
    const record = Object.create(null) as Record<string, string>;
    for (const [name, value] of this.pairs()) record[name] = value;
    return record;
  }
}
