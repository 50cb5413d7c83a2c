import {
  type Code,
  END,
  getLocal,
  I32,
  I32_ADD,
  I32_LESS,
  i32Const,
  i32Load,
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
  V128,
  V128_XOR,
  v128Load,
  v128Store,
} from '../../memory/wasm-code.ts';

/** Steps of the loop; the last one of a strip may read and write beyond its end. */
export const STEP_BYTES = 128;
const MEMORY_UNIT_BYTES = 65_536;

export interface XorExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  /**
   * XORs strips of `lengthBytes` > 0. Their addresses, two or more, are 32-bit words from `list` to `listEnd`. What is
   * written at `target` is `lengthBytes` rounded up to STEP_BYTES: the result, and behind it bytes that mean nothing.
   */
  xorStrips(list: number, listEnd: number, target: number, lengthBytes: number): void;
}

/** An instance with at least `memoryBytes` of its own. */
export function instantiateXor(memoryBytes: number): XorExports {
  const units = Math.ceil(memoryBytes / MEMORY_UNIT_BYTES);
  return instantiate(
    Uint8Array.from([
      ...MAGIC_AND_VERSION,
      ...section(1, [1, 0x60, 4, I32, I32, I32, I32, 0]),
      ...section(3, [1, 0]),
      ...section(5, [1, 0, ...unsigned(units)]),
      ...section(7, [2, ...named('memory'), 2, 0, ...named('xorStrips'), 0, 0]),
      ...section(10, [1, ...xorFunction()]),
    ]),
  ) as XorExports;
}

/** Parameters. */
const LIST = 0;
const LIST_END = 1;
const TARGET = 2;
const LENGTH = 3;
/** Locals: integers, then one register for each 16 bytes of a step. */
const CURSOR = 4;
const SOURCE = 5;
const OFFSET = 6;
const SUM = 7;
const SUMS = Array.from({ length: STEP_BYTES / 16 }, (_, i) => i);

function xorFunction(): Code {
  const addTo = (local: number, bytes: number): Code => [
    ...getLocal(local),
    ...i32Const(bytes),
    I32_ADD,
    ...teeLocal(local),
  ];
  const nextSource: Code = [...getLocal(CURSOR), ...i32Load(0), ...getLocal(OFFSET), I32_ADD, ...setLocal(SOURCE)];
  const load = (i: number): Code => [...getLocal(SOURCE), ...v128Load(16 * i)];
  const body: Code = [
    ...LOOP,
    ...getLocal(LIST),
    ...setLocal(CURSOR),
    ...nextSource,
    ...SUMS.flatMap((i) => [...load(i), ...setLocal(SUM + i)]),
    ...addTo(CURSOR, 4),
    ...setLocal(CURSOR),
    ...LOOP,
    ...nextSource,
    ...SUMS.flatMap((i) => [...getLocal(SUM + i), ...load(i), ...V128_XOR, ...setLocal(SUM + i)]),
    ...addTo(CURSOR, 4),
    ...getLocal(LIST_END),
    I32_LESS,
    ...REPEAT_IF,
    END,
    ...SUMS.flatMap((i) => [...getLocal(TARGET), ...getLocal(SUM + i), ...v128Store(16 * i)]),
    ...addTo(TARGET, STEP_BYTES),
    ...setLocal(TARGET),
    ...addTo(OFFSET, STEP_BYTES),
    ...getLocal(LENGTH),
    I32_LESS,
    ...REPEAT_IF,
    END,
    END,
  ];
  return sized([2, 3, I32, SUMS.length, V128, ...body]);
}
