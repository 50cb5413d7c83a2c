/** The part of WebAssembly's API that is used; it is in the DOM's types only. */
declare const WebAssembly: {
  Memory: new (options: { initial: number; maximum: number; shared: true }) => { readonly buffer: SharedArrayBuffer };
};

const WASM_PAGE_BYTES = 65536;
const SMALLEST_CLASS_BYTES = 4096;
/** Buffers of one class that stay for reuse; more than this many in flight at once are left to the garbage collector. */
const KEPT_PER_CLASS = 80;
const KEPT_BYTES_PER_CLASS = 32 * 1024 * 1024;

/**
 * Page-aligned buffers for O_DIRECT, in classes of powers of two. WebAssembly memories are page-aligned without a native
 * package. A buffer that a stuck call may still read is simply not given back.
 */
export class AlignedBuffers {
  readonly #free = new Map<number, Buffer[]>();

  /** A buffer whose length is the power of two at or above `lengthBytes` (at least 4096); its content is arbitrary. */
  take(lengthBytes: number): Buffer {
    const classBytes = classOf(lengthBytes);
    const free = this.#free.get(classBytes);
    return free?.pop() ?? this.#make(classBytes);
  }

  /** Gives back what `take` returned. */
  release(buffer: Buffer): void {
    const free = this.#free.get(buffer.length);
    const kept = Math.min(KEPT_PER_CLASS, Math.max(1, Math.floor(KEPT_BYTES_PER_CLASS / buffer.length)));
    if (free === undefined) this.#free.set(buffer.length, [buffer]);
    else if (free.length < kept) free.push(buffer);
  }

  #make(classBytes: number): Buffer {
    const pages = Math.ceil(classBytes / WASM_PAGE_BYTES);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    const whole = Buffer.from(memory.buffer, 0, pages * WASM_PAGE_BYTES);
    for (let offset = classBytes; offset + classBytes <= whole.length; offset += classBytes) {
      this.release(whole.subarray(offset, offset + classBytes));
    }
    return whole.subarray(0, classBytes);
  }
}

function classOf(lengthBytes: number): number {
  let classBytes = SMALLEST_CLASS_BYTES;
  while (classBytes < lengthBytes) classBytes *= 2;
  return classBytes;
}
