import { createXXHash128, createXXHash3, createXXHash64, type IHasher } from 'hash-wasm';
import { assert } from '../errors/assert.ts';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import { crc64Engine } from './crc64-nvme.ts';

export type WasmAlgorithm = Extract<ChecksumAlgorithm, 'XXHASH64' | 'XXHASH3' | 'XXHASH128'>;

let hashers: ReadonlyMap<ChecksumAlgorithm, IHasher> | undefined;
let preparation: Promise<void> | undefined;

/**
 * Compiles the WebAssembly hashers of this thread. Await it once before any checksum is asked for; later calls cost
 * nothing.
 */
export function prepareChecksums(): Promise<void> {
  crc64Engine();
  preparation ??= Promise.all([createXXHash64(0, 0), createXXHash3(0, 0), createXXHash128(0, 0)]).then(
    ([xxHash64, xxHash3, xxHash128]) => {
      hashers = new Map([
        ['XXHASH64', xxHash64],
        ['XXHASH3', xxHash3],
        ['XXHASH128', xxHash128],
      ]);
    },
  );
  return preparation;
}

/** One per algorithm and thread: whoever uses it starts with `init` or `load` and is done before anyone else runs. */
export function wasmHasher(algorithm: WasmAlgorithm): IHasher {
  assert(hashers !== undefined, 'prepareChecksums has not finished');
  return hashers.get(algorithm)!;
}
