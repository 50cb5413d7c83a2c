import type { ErasureCode } from '../model/erasure-code.ts';

/** Ascending by disks; a count between two rows takes the row below it. */
const DEFAULT_CODES: readonly { disks: number; code: ErasureCode }[] = [
  { disks: 1, code: { k: 1, m: 0 } },
  { disks: 2, code: { k: 1, m: 1 } },
  { disks: 3, code: { k: 2, m: 1 } },
  { disks: 4, code: { k: 2, m: 2 } },
  { disks: 6, code: { k: 4, m: 2 } },
  { disks: 8, code: { k: 5, m: 3 } },
  { disks: 12, code: { k: 8, m: 4 } },
  { disks: 16, code: { k: 12, m: 4 } },
];

/** The code that `auto` stands for; `diskCount` ≥ 1. */
export function defaultCode(diskCount: number): ErasureCode {
  return DEFAULT_CODES.findLast(({ disks }) => disks <= diskCount)?.code ?? { k: 1, m: 0 };
}
