/** Memory of simulated files is kept, shared and compared in pages of this size. */
export const PAGE_BYTES = 4096;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/**
 * The bytes of a simulated file: sparse, and made of pages that never change once stored, so that a copy of a file of
 * any size shares all of them. A page in the map takes space on the simulated disk; a hole reads as zeros and takes none.
 */
export class SimulatedContent {
  sizeBytes = 0;
  #pages: Map<number, Buffer>;
  /** The map is that of a copy too: it is copied before the first change. */
  #isShared = false;

  constructor(from?: SimulatedContent) {
    this.#pages = from === undefined ? new Map<number, Buffer>() : from.#pages;
    if (from === undefined) return;
    this.sizeBytes = from.sizeBytes;
    this.#isShared = true;
    from.#isShared = true;
  }

  #ownPages(): Map<number, Buffer> {
    if (this.#isShared) this.#pages = new Map(this.#pages);
    this.#isShared = false;
    return this.#pages;
  }

  get allocatedPages(): number {
    return this.#pages.size;
  }

  /** Pages that a write of this range would add. */
  missingPages(offset: number, lengthBytes: number): number {
    let count = 0;
    const end = Math.ceil((offset + lengthBytes) / PAGE_BYTES);
    for (let page = Math.floor(offset / PAGE_BYTES); page < end; page++) if (!this.#pages.has(page)) count++;
    return count;
  }

  /** Does not move the end of the file: see `sizeBytes`. Keeps views of `bytes`, which must not change any more. */
  write(bytes: Buffer, offset: number): void {
    const pages = this.#ownPages();
    let done = 0;
    while (done < bytes.length) {
      const page = Math.floor((offset + done) / PAGE_BYTES);
      const start = (offset + done) % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - start, bytes.length - done);
      const piece = bytes.subarray(done, done + count);
      if (count === PAGE_BYTES) {
        pages.set(page, piece.equals(ZERO_PAGE) ? ZERO_PAGE : piece);
      } else {
        const copy = Buffer.from(pages.get(page) ?? ZERO_PAGE);
        piece.copy(copy, start);
        pages.set(page, copy);
      }
      done += count;
    }
  }

  /** A copy of a range without regard to the end of the file. */
  slice(offset: number, lengthBytes: number): Buffer {
    const result = Buffer.allocUnsafe(lengthBytes);
    this.readInto(result, offset, lengthBytes);
    return result;
  }

  /** Fills the first `lengthBytes` of `target`, without regard to the end of the file. */
  readInto(target: Uint8Array, offset: number, lengthBytes: number): void {
    const bytes = Buffer.from(target.buffer, target.byteOffset, lengthBytes).fill(0);
    let done = 0;
    while (done < lengthBytes) {
      const start = (offset + done) % PAGE_BYTES;
      const count = Math.min(PAGE_BYTES - start, lengthBytes - done);
      const page = this.#pages.get(Math.floor((offset + done) / PAGE_BYTES));
      if (page !== ZERO_PAGE) page?.copy(bytes, done, start, start + count);
      done += count;
    }
  }

  /** Sets the end of the file; what lies beyond it is zeros should the file grow again. */
  truncate(lengthBytes: number): void {
    if (lengthBytes < this.sizeBytes) {
      const keptPages = Math.ceil(lengthBytes / PAGE_BYTES);
      const pages = this.#ownPages();
      for (const page of pages.keys()) if (page >= keptPages) pages.delete(page);
      const rest = lengthBytes % PAGE_BYTES;
      const last = pages.get(keptPages - 1);
      if (rest !== 0 && last !== undefined) {
        pages.set(keptPages - 1, Buffer.concat([last.subarray(0, rest), ZERO_PAGE.subarray(rest)]));
      }
    }
    this.sizeBytes = lengthBytes;
  }
}
