import type { ErasureCode } from './erasure-code.ts';

/** A name that clients give to objects, and the code of the volumes in which those lie. */
export interface StorageClass {
  readonly name: string;
  readonly code: ErasureCode;
}

/** The class of objects that name none: its code is the cluster's. */
export const STANDARD = 'STANDARD';
export const REDUCED_REDUNDANCY = 'REDUCED_REDUNDANCY';

const MOST_DATA_SHARDS = 24;

/**
 * As many shards as STANDARD, one of parity less, but never none where STANDARD has one: it promises to survive the loss of
 * max(1, m − 1) disks, and where m is 0 no more than STANDARD does.
 */
export function reducedRedundancy({ k, m }: ErasureCode): ErasureCode {
  const fewer = Math.max(Math.min(m, 1), m - 1);
  return { k: Math.min(MOST_DATA_SHARDS, k + m - fewer), m: fewer };
}

/** Those that there are: STANDARD, REDUCED_REDUNDANCY unless it is configured, and the configured ones. */
export function storageClassesOf(code: ErasureCode, configured: readonly StorageClass[] = []): StorageClass[] {
  const classes = new Map([
    [STANDARD, code],
    [REDUCED_REDUNDANCY, reducedRedundancy(code)],
  ]);
  for (const { name, code: own } of configured) classes.set(name, own);
  return [...classes].map(([name, own]) => ({ name, code: own }));
}
