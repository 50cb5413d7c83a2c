import { crc32c } from '@node-rs/crc32';

/**
 * How the last version of Holdfast that knows only format 1 reads what lies on a disk, kept here for ever: state, frames,
 * payloads. It must not follow the code. What it refuses, that version refuses, in its words.
 */
export class FormerVersionRefuses extends Error {}

export interface FormerFrame {
  epoch: number;
  sequence: number;
  /** 0 payload, 1 opening, 2 configuration, 3 note. */
  kind: number;
  batchNumber: number | undefined;
  /** Numbers of the types, 1 to 19. */
  recordTypes: number[];
}

/** @throws FormerVersionRefuses; Error: damage */
export function readStateAsFormerVersion(bytes: Buffer): { generation: number; firstSegment: number } {
  const [body = '', sum = '', rest] = bytes.toString('utf8').split('\n');
  if (rest !== '' || sum !== crc32c(Buffer.from(body)).toString(16).padStart(8, '0')) throw new Error('damaged state');
  const state = JSON.parse(body) as { format: number; generation: number; firstSegment: number };
  if (state.format !== 1) {
    throw new FormerVersionRefuses(`journal/state has version ${state.format}; this server knows version 1`);
  }
  return state;
}

/** Every good frame of the segments of one disk, in their order. @throws FormerVersionRefuses */
export function readFramesAsFormerVersion(segments: readonly Buffer[]): FormerFrame[] {
  const frames: FormerFrame[] = [];
  for (const segment of segments) {
    for (let offset = 0; offset + 4096 <= segment.length;) {
      const frame = decodeFrame(segment.subarray(offset));
      if (frame !== undefined) frames.push(frame.frame);
      offset += frame?.lengthBytes ?? 4096;
    }
  }
  return frames;
}

function decodeFrame(bytes: Buffer): { frame: FormerFrame; lengthBytes: number } | undefined {
  const lengthBytes = bytes.readUInt32LE(12);
  if (bytes.toString('latin1', 0, 4) !== 'HFJ1' || lengthBytes < 4096 || lengthBytes > bytes.length) return undefined;
  if (crc32c(bytes.subarray(8, lengthBytes)) !== bytes.readUInt32LE(4)) return undefined;
  const [version = 0, kind = 0] = bytes.subarray(8, 10);
  if (version !== 1 || kind > 3) {
    throw new FormerVersionRefuses(
      `a journal frame has version ${version} and kind ${kind}; this server knows version 1`,
    );
  }
  const frame = {
    epoch: Number(bytes.readBigUInt64LE(24)),
    sequence: Number(bytes.readBigUInt64LE(32)),
    kind,
    batchNumber: undefined,
    recordTypes: [],
  };
  const payload = bytes.subarray(128, 128 + bytes.readUInt32LE(16));
  return { frame: kind === 0 ? { ...frame, ...decodePayload(payload) } : frame, lengthBytes };
}

/**
 * Fields of each record type: n varint, s string or bytes, y byte; (…) a list; A attributes,
 * B blob, U blob use, ?x optional; D details, L layout and C collection are looked into.
 */
const FIELDS: readonly string[] = [
  '',
  'nsss',
  'nsnsn',
  'n',
  'nsnnnA(U)',
  'ns',
  'nsnsnnnsnD',
  'nnsnnns(U)',
  'nnnnA(n)?B',
  'n',
  'Css',
  'ss',
  'nnn(s)yn',
  'nn',
  'n',
  'n(s)',
  '(nL(nn))',
  '(nsnnyn)',
  '(nsn)',
  'nnss',
];
const GROUPS: Readonly<Record<string, string>> = { A: 'snsnDs', B: 'nnL(nn)' };
const KNOWN_DETAILS_FLAGS = 15;

function decodePayload(payload: Buffer): { batchNumber: number; recordTypes: number[] } {
  const reader = new Reader(payload);
  const version = reader.byte();
  if (version !== 1) throw new FormerVersionRefuses(`unknown format version ${version} of a journal payload`);
  const batchNumber = reader.varint();
  const recordTypes: number[] = [];
  for (let left = reader.varint(); left > 0; left -= 1) {
    const type = reader.byte();
    const fields = type === 0 ? undefined : FIELDS[type];
    if (fields === undefined) throw new FormerVersionRefuses(`unknown type ${type} of a journal record`);
    readFields(reader, fields);
    recordTypes.push(type);
  }
  if (reader.offset !== payload.length) throw new Error('a journal payload is longer than its records');
  return { batchNumber, recordTypes };
}

function readFields(reader: Reader, fields: string): void {
  for (let at = 0; at < fields.length; at += 1) {
    const field = fields[at]!;
    if (field === 'n') reader.varint();
    else if (field === 's') reader.bytes();
    else if (field === 'y') reader.byte();
    else if (field === 'D') checkDetails(reader.bytes());
    else if (field === 'C') checkCollection(reader.bytes().toString());
    else if (field === 'L') checkLayout(reader.bytes());
    else if (field === 'U') readFields(reader, reader.byte() === 0 ? 'B' : 'n');
    else if (field === '?') at += reader.byte() === 1 ? 0 : 1;
    else if (field === '(') {
      const end = closing(fields, at);
      for (let left = reader.varint(); left > 0; left -= 1) readFields(reader, fields.slice(at + 1, end));
      at = end;
    } else readFields(reader, GROUPS[field]!);
  }
}

function closing(fields: string, open: number): number {
  let depth = 0;
  for (let at = open; ; at += 1) {
    if (fields[at] === '(') depth += 1;
    if (fields[at] === ')') depth -= 1;
    if (depth === 0) return at;
  }
}

/** What it would skip without a word is as bad as what it cannot read. */
function checkDetails(details: Buffer): void {
  const flags = details[0] ?? 0;
  if ((flags & ~KNOWN_DETAILS_FLAGS) !== 0) throw new FormerVersionRefuses(`details with flags ${flags}`);
}

/** No configuration of a bucket was there in its days: it would keep it and not obey it. */
function checkCollection(collection: string): void {
  if (collection.startsWith('bucket-')) throw new FormerVersionRefuses(`documents ${collection}`);
}

function checkLayout(layout: Buffer): void {
  if (layout[0] !== 1 && layout[0] !== 2) throw new FormerVersionRefuses(`a layout of type ${layout[0]}`);
}

class Reader {
  offset = 0;
  readonly #buffer: Buffer;

  constructor(buffer: Buffer) {
    this.#buffer = buffer;
  }

  byte(): number {
    const value = this.#buffer[this.offset++];
    if (value === undefined) throw new Error('a record ends too early');
    return value;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  bytes(): Buffer {
    const length = this.varint();
    this.offset += length;
    if (this.offset > this.#buffer.length) throw new Error('a record ends too early');
    return this.#buffer.subarray(this.offset - length, this.offset);
  }
}
