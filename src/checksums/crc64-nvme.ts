import {
  type Code,
  END,
  getLocal,
  I32,
  I32_ADD,
  I32_SUB,
  i32Const,
  instantiate,
  LOOP,
  MAGIC_AND_VERSION,
  named,
  REPEAT_IF,
  section,
  setLocal,
  sized,
  teeLocal,
  unsigned,
} from '../memory/wasm-code.ts';

/** CRC-64/NVME's polynomial, bits reversed. */
const POLYNOMIAL = 0x9a6c9329ac4bc9b5n;
const ALL_ONES = 0xffff_ffff_ffff_ffffn;

/** Memory: eight tables of 256 words for eight bytes at once, eight that move a CRC on over a run, the state, the bytes. */
const TABLE_BYTES = 256 * 8;
const SHIFTS_OFFSET = 8 * TABLE_BYTES;
const STATE_OFFSET = 16 * TABLE_BYTES;
const DATA_OFFSET = 65_536;
const AREA_BYTES = 65_536;
const MEMORY_UNITS = 2;
/** Two runs of this length side by side: one alone waits for its table lookups, eight bytes after eight bytes. */
const RUN_BYTES = 2048;

interface Crc64Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** `count` > 0 words of eight bytes at `DATA_OFFSET + start`. */
  words(count: number, start: number): void;
  /** `count` > 0 bytes. */
  bytes(count: number, start: number): void;
  /** Two runs, one behind the other; `count` is the words of one. */
  runs(count: number, start: number): void;
}

/**
 * CRC-64/NVME as WebAssembly with tables: 2 runs side by side are twice as fast as one. The state is what `update` took and
 * returned last; it begins as `CRC64_INITIAL`.
 */
class Crc64Engine {
  readonly #crc = instantiate(crc64Module()) as Crc64Exports;
  readonly #state = new BigUint64Array(this.#crc.memory.buffer, STATE_OFFSET, 1);
  readonly #area = new Uint8Array(this.#crc.memory.buffer, DATA_OFFSET, AREA_BYTES);

  constructor() {
    const tables = new BigUint64Array(this.#crc.memory.buffer, 0, 16 * 256);
    for (let byte = 0; byte < 256; byte++) {
      let word = BigInt(byte);
      for (let bit = 0; bit < 8; bit++) word = (word & 1n) === 1n ? (word >> 1n) ^ POLYNOMIAL : word >> 1n;
      tables[byte] = word;
    }
    for (let index = 256; index < 8 * 256; index++) {
      const before = tables[index - 256]!;
      tables[index] = (before >> 8n) ^ tables[Number(before & 0xffn)]!;
    }
    this.#fillShifts(tables.subarray(8 * 256));
  }

  /** What a run of zeros makes of each byte of a state; it is linear, so single bits tell all. */
  #fillShifts(shifts: BigUint64Array): void {
    for (let bit = 0; bit < 64; bit++) {
      this.#state[0] = 1n << BigInt(bit);
      this.#crc.words(RUN_BYTES / 8, 0);
      const table = 256 * (bit >> 3);
      const weight = 1 << (bit & 7);
      for (let low = 0; low < weight; low++) shifts[table + weight + low] = shifts[table + low]! ^ this.#state[0];
    }
  }

  update(state: bigint, bytes: Uint8Array): bigint {
    this.#state[0] = state;
    for (let start = 0; start < bytes.length; start += AREA_BYTES) {
      const piece = bytes.length <= AREA_BYTES ? bytes : bytes.subarray(start, start + AREA_BYTES);
      this.#area.set(piece);
      this.#updateArea(piece.length);
    }
    return this.#state[0];
  }

  #updateArea(lengthBytes: number): void {
    let at = 0;
    for (; at + 2 * RUN_BYTES <= lengthBytes; at += 2 * RUN_BYTES) this.#crc.runs(RUN_BYTES / 8, at);
    const wordCount = (lengthBytes - at) >> 3;
    if (wordCount > 0) this.#crc.words(wordCount, at);
    at += 8 * wordCount;
    if (at < lengthBytes) this.#crc.bytes(lengthBytes - at, at);
  }
}

export const CRC64_INITIAL = ALL_ONES;

let engine: Crc64Engine | undefined;

/** This thread's. */
export function crc64Engine(): Crc64Engine {
  engine ??= new Crc64Engine();
  return engine;
}

/** Big-endian, as S3 wants it. */
export function crc64DigestOf(state: bigint): Buffer {
  const digest = Buffer.allocUnsafe(8);
  digest.writeBigUInt64BE(state ^ ALL_ONES);
  return digest;
}

const I64 = 0x7e;
const I64_XOR = 0x85;
const WRAP = 0xa7;
const I32_AND = 0x71;
const loadWord = (offset: number): Code => [0x29, 0, ...unsigned(offset)];
const LOAD_BYTE: Code = [0x2d, 0, ...unsigned(DATA_OFFSET)];
const STORE_STATE: Code = [0x37, 0, ...unsigned(STATE_OFFSET)];
const shiftRight = (count: number): Code => [0x42, count, 0x88];

/** Parameters. */
const COUNT = 0;
const ADDRESS = 1;
/** Locals of 64 bits: the state of the first run and of the second, and what is looked up. */
const FIRST = 2;
const SECOND = 3;
const LOOKED_UP = 4;
const LOCALS: Code = [1, 3, I64];
const NO_ADDRESS = i32Const(0);

/** The sum of a table's words for each byte of the number in `LOOKED_UP`; `tableOf` gives the offset of a byte's table. */
function sumOfLookUps(tableOf: (byte: number) => number): Code {
  const lookUp = (byte: number): Code => {
    // The byte times eight, the length of a word.
    const place: Code = byte === 0 ? [WRAP, ...i32Const(3), 0x74] : [...shiftRight(8 * byte - 3), WRAP];
    const word = [...getLocal(LOOKED_UP), ...place, ...i32Const(255 * 8), I32_AND, ...loadWord(tableOf(byte))];
    return byte === 0 ? word : [...word, I64_XOR];
  };
  return Array.from({ length: 8 }, (_, byte) => lookUp(byte)).flat();
}

/** Takes the word at `ADDRESS + offset` into the state in local `run`. */
function takeWord(run: number, offset: number): Code {
  return [
    ...getLocal(run),
    ...getLocal(ADDRESS),
    ...loadWord(DATA_OFFSET + offset),
    I64_XOR,
    ...setLocal(LOOKED_UP),
    ...sumOfLookUps((byte) => TABLE_BYTES * (7 - byte)),
    ...setLocal(run),
  ];
}

/** state = table[(state ^ byte) & 255] ^ (state >> 8) */
const TAKE_BYTE: Code = [
  ...getLocal(FIRST),
  WRAP,
  ...getLocal(ADDRESS),
  ...LOAD_BYTE,
  0x73,
  ...i32Const(255),
  I32_AND,
  ...i32Const(3),
  0x74,
  ...loadWord(0),
  ...getLocal(FIRST),
  ...shiftRight(8),
  I64_XOR,
  ...setLocal(FIRST),
];

/** `step` as often as COUNT says, from the state in memory and back to it. */
function loopFunction(step: Code, { stride, atEnd = [] }: { stride: number; atEnd?: Code }): Code {
  return sized([
    ...LOCALS,
    ...NO_ADDRESS,
    ...loadWord(STATE_OFFSET),
    ...setLocal(FIRST),
    ...LOOP,
    ...step,
    ...getLocal(ADDRESS),
    ...i32Const(stride),
    I32_ADD,
    ...setLocal(ADDRESS),
    ...getLocal(COUNT),
    ...i32Const(1),
    I32_SUB,
    ...teeLocal(COUNT),
    ...REPEAT_IF,
    END,
    ...atEnd,
    ...NO_ADDRESS,
    ...getLocal(FIRST),
    ...STORE_STATE,
    END,
  ]);
}

function crc64Module(): Uint8Array {
  /** The first run's state moved on over the second run, plus the second's, which began with 0. */
  const join: Code = [
    ...getLocal(FIRST),
    ...setLocal(LOOKED_UP),
    ...sumOfLookUps((byte) => SHIFTS_OFFSET + TABLE_BYTES * byte),
    ...getLocal(SECOND),
    I64_XOR,
    ...setLocal(FIRST),
  ];
  const both = [...takeWord(FIRST, 0), ...takeWord(SECOND, RUN_BYTES)];
  const functions = [
    loopFunction(takeWord(FIRST, 0), { stride: 8 }),
    loopFunction(TAKE_BYTE, { stride: 1 }),
    loopFunction(both, { stride: 8, atEnd: join }),
  ];
  return Uint8Array.from([
    ...MAGIC_AND_VERSION,
    ...section(1, [1, 0x60, 2, I32, I32, 0]),
    ...section(3, [3, 0, 0, 0]),
    ...section(5, [1, 0, ...unsigned(MEMORY_UNITS)]),
    ...section(7, [
      4,
      ...named('memory'),
      2,
      0,
      ...named('words'),
      0,
      0,
      ...named('bytes'),
      0,
      1,
      ...named('runs'),
      0,
      2,
    ]),
    ...section(10, [3, ...functions.flat()]),
  ]);
}
