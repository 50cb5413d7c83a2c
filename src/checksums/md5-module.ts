import {
  type Code,
  END,
  getLocal,
  I32,
  I32_ADD,
  I32_SUB,
  i32Const,
  i32Load,
  i32Store,
  instantiate,
  LOOP,
  MAGIC_AND_VERSION,
  named,
  REPEAT_IF,
  section,
  setLocal,
  simd,
  sized,
  teeLocal,
  unsigned,
  V128,
  V128_XOR,
  v128Load,
  v128Store,
} from '../memory/wasm-code.ts';

/**
 * MD5's compression function as WebAssembly, for one message and for four at once. MD5 cannot be made parallel within a
 * message: each step waits for the one before, and OpenSSL's assembler is no faster than that wait. Four messages side
 * by side in SIMD registers hide it: 1,900 MiB/s together where one reaches 550, alone here or in OpenSSL; eight reached
 * 2,200. The module is generated, because 64 unrolled steps are shorter as a loop here than as a binary in the tree.
 *
 * Memory of an instance: at 0 word i of the state of stream s at `16 i + 4 s`; at `CONSTANTS_OFFSET` the 64 constants,
 * four times each; at `DATA_OFFSET` one area of `AREA_BYTES` for each stream.
 */
export const STREAM_COUNT = 4;
const CONSTANTS_OFFSET = 1024;
export const AREA_BYTES = 65_536;
export const DATA_OFFSET = 65_536;
const MEMORY_UNITS = 1 + STREAM_COUNT;

export interface Md5Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /** Compresses `blockCount` > 0 blocks of 64 bytes at `DATA_OFFSET + start` into the state of stream 0. */
  compressOne(blockCount: number, start: number): void;
  /** The same for all streams, each from `start` in its own area. */
  compressFour(blockCount: number, start: number): void;
}

const SHIFTS: readonly (readonly number[])[] = [
  [7, 12, 17, 22],
  [5, 9, 14, 20],
  [4, 11, 16, 23],
  [6, 10, 15, 21],
];

const constantOf = (step: number): number => Math.floor(Math.abs(Math.sin(step + 1)) * 2 ** 32);

/** Word of the message that a step takes. */
function wordOf(step: number): number {
  switch (step >> 4) {
    case 0:
      return step;
    case 1:
      return (5 * step + 1) % 16;
    case 2:
      return (3 * step + 5) % 16;
    default:
      return (7 * step) % 16;
  }
}

/** An instance of its own memory, with the constants in place. */
export function instantiateMd5(): Md5Exports {
  const exports = instantiate(md5Module()) as Md5Exports;
  const constants = new Uint32Array(exports.memory.buffer, CONSTANTS_OFFSET, 4 * 64);
  for (let step = 0; step < 64; step++) constants.fill(constantOf(step), 4 * step, 4 * step + 4);
  return exports;
}

/** What differs between one message in integer registers and four in a SIMD register. */
interface Arithmetic {
  readonly type: number;
  readonly load: (offset: number) => Code;
  readonly store: (offset: number) => Code;
  readonly add: Code;
  readonly or: Code;
  readonly xor: Code;
  readonly not: Code;
  /** Of the value on the stack. */
  readonly rotate: (count: number) => Code;
  /** first where the bits of `mask` are set, else second */
  readonly select: (first: Code, second: Code, mask: Code) => Code;
}

const scalar: Arithmetic = {
  type: I32,
  load: i32Load,
  store: i32Store,
  add: [I32_ADD],
  or: [0x72],
  xor: [0x73],
  not: [...i32Const(-1), 0x73],
  rotate: (count) => [...i32Const(count), 0x77],
  select: (first, second, mask) => [...first, ...second, 0x73, ...mask, 0x71, ...second, 0x73],
};

const vector: Arithmetic = {
  type: V128,
  load: v128Load,
  store: v128Store,
  add: simd(174),
  or: simd(80),
  xor: V128_XOR,
  not: simd(77),
  rotate: (count) => [
    ...teeLocal(SCRATCH),
    ...i32Const(count),
    ...simd(171),
    ...getLocal(SCRATCH),
    ...i32Const(32 - count),
    ...simd(173),
    ...simd(80),
  ],
  select: (first, second, mask) => [...first, ...second, ...mask, ...simd(82)],
};

const NO_ADDRESS = i32Const(0);
/** Parameters. */
const BLOCKS_LEFT = 0;
const ADDRESS = 1;
/** Locals: a, b, c, d, the same at the beginning of the block, the 16 words of the block, one to spare. */
const STATE = 2;
const BEFORE = 6;
const WORDS = 10;
const SCRATCH = 26;
const LOCAL_COUNT = 25;
const FOUR = [0, 1, 2, 3];

function compressFunction(arithmetic: Arithmetic, loadWords: Code): Code {
  const { type, load, store, add } = arithmetic;
  const eachWord = (make: (i: number) => Code): Code => FOUR.flatMap(make);
  const steps = Array.from({ length: 64 }, (_, step) => stepOf(arithmetic, step));
  const body: Code = [
    ...eachWord((i) => [...NO_ADDRESS, ...load(16 * i), ...setLocal(STATE + i)]),
    ...LOOP,
    ...loadWords,
    ...eachWord((i) => [...getLocal(STATE + i), ...setLocal(BEFORE + i)]),
    ...steps.flat(),
    ...eachWord((i) => [...getLocal(STATE + i), ...getLocal(BEFORE + i), ...add, ...setLocal(STATE + i)]),
    ...getLocal(ADDRESS),
    ...i32Const(64),
    I32_ADD,
    ...setLocal(ADDRESS),
    ...getLocal(BLOCKS_LEFT),
    ...i32Const(1),
    I32_SUB,
    ...teeLocal(BLOCKS_LEFT),
    ...REPEAT_IF,
    END,
    ...eachWord((i) => [...NO_ADDRESS, ...getLocal(STATE + i), ...store(16 * i)]),
    END,
  ];
  return sized([1, LOCAL_COUNT, type, ...body]);
}

/** a = b + rotate(a + F(b, c, d) + word + constant); the roles of a, b, c, d move on with each step. */
function stepOf({ type, add, xor, or, not, select, load, rotate }: Arithmetic, step: number): Code {
  const role = (which: number): number => STATE + ((which + 64 - step) & 3);
  const [a, b, c, d] = [role(0), role(1), role(2), role(3)];
  const [valueB, valueC, valueD] = [getLocal(b), getLocal(c), getLocal(d)];
  const mixed = [
    (): Code => select(valueC, valueD, valueB),
    (): Code => select(valueB, valueC, valueD),
    (): Code => [...valueB, ...valueC, ...xor, ...valueD, ...xor],
    (): Code => [...valueC, ...valueB, ...valueD, ...not, ...or, ...xor],
  ][step >> 4]!();
  const constant =
    type === I32 ? i32Const(constantOf(step) | 0) : [...NO_ADDRESS, ...load(CONSTANTS_OFFSET + 16 * step)];
  return [
    ...getLocal(WORDS + wordOf(step)),
    ...constant,
    ...add,
    ...getLocal(a),
    ...add,
    ...mixed,
    ...add,
    ...rotate(SHIFTS[step >> 4]![step & 3]!),
    ...valueB,
    ...add,
    ...setLocal(a),
  ];
}

function loadScalarWords(): Code {
  const load = (i: number): Code => [...getLocal(ADDRESS), ...scalar.load(DATA_OFFSET + 4 * i), ...setLocal(WORDS + i)];
  return Array.from({ length: 16 }, (_, i) => load(i)).flat();
}

const shuffle = (lanes: readonly number[]): Code => [
  ...simd(13),
  ...lanes.flatMap((lane) => [4 * lane, 4 * lane + 1, 4 * lane + 2, 4 * lane + 3]),
];
const LOW_WORDS = shuffle([0, 4, 1, 5]);
const HIGH_WORDS = shuffle([2, 6, 3, 7]);
const LOW_HALVES = shuffle([0, 1, 4, 5]);
const HIGH_HALVES = shuffle([2, 3, 6, 7]);

/** Loads 16 words of four streams and turns them, so that each local holds one word of all four. */
function loadVectorWords(): Code {
  const code: Code = [];
  for (let quarter = 0; quarter < 4; quarter++) {
    const local = (i: number): number => WORDS + 4 * quarter + i;
    const row = (stream: number): Code => [
      ...getLocal(ADDRESS),
      ...vector.load(DATA_OFFSET + AREA_BYTES * stream + 16 * quarter),
    ];
    const pair = (i: number, j: number, how: Code): Code => [...getLocal(i), ...getLocal(j), ...how];
    for (const i of FOUR) code.push(...row(i), ...setLocal(local(i)));
    // All four results are on the stack before the first overwrites a row.
    code.push(...pair(local(0), local(1), LOW_WORDS), ...pair(local(0), local(1), HIGH_WORDS));
    code.push(...pair(local(2), local(3), LOW_WORDS), ...pair(local(2), local(3), HIGH_WORDS));
    for (const i of [3, 2, 1, 0]) code.push(...setLocal(local(i)));
    // Now: 0 low of streams 0 and 1, 1 high of them, 2 low of streams 2 and 3, 3 high of them.
    code.push(...pair(local(0), local(2), LOW_HALVES), ...pair(local(0), local(2), HIGH_HALVES));
    code.push(...pair(local(1), local(3), LOW_HALVES), ...pair(local(1), local(3), HIGH_HALVES));
    for (const i of [3, 2, 1, 0]) code.push(...setLocal(local(i)));
  }
  return code;
}

function md5Module(): Uint8Array {
  return Uint8Array.from([
    ...MAGIC_AND_VERSION,
    ...section(1, [1, 0x60, 2, I32, I32, 0]),
    ...section(3, [2, 0, 0]),
    ...section(5, [1, 0, ...unsigned(MEMORY_UNITS)]),
    ...section(7, [3, ...named('memory'), 2, 0, ...named('compressOne'), 0, 0, ...named('compressFour'), 0, 1]),
    ...section(10, [2, ...compressFunction(scalar, loadScalarWords()), ...compressFunction(vector, loadVectorWords())]),
  ]);
}
