/** An open file that can make durable what was written to it. */
interface Flushable {
  flush(): Promise<void>;
}

/** From here on a flush begins behind the requests … */
const FLUSH_FROM_BYTES = 32 * 1024 * 1024;
/** … and from here on they wait for it: what a power cut can lose, and what a close has to wait for, stays bounded. */
const WAIT_FROM_BYTES = 64 * 1024 * 1024;

/**
 * What `durability.sync = "relaxed"` leaves un-synced on one disk: the open files of stripes and journal frames that were
 * written since their last sync. Names are still made durable, and `RealDiskFs` flushes all of these before each: a
 * power cut leaves the disk as it was at one of its last changes of a name, or later.
 *
 * A failed flush poisons its file, as any failed sync, and fails every later `flush` of this disk: what it should have
 * made durable may be lost, so no name may be changed as if it were not.
 */
export class UnsyncedFiles {
  readonly #bytes = new Map<Flushable, number>();
  /** Syncs that have not ended well: under way, or failed. */
  readonly #syncs = new Set<Promise<void>>();
  #total = 0;
  #flushing: Promise<void> | undefined;

  noteWrite(file: Flushable, lengthBytes: number): void {
    this.#bytes.set(file, (this.#bytes.get(file) ?? 0) + lengthBytes);
    this.#total += lengthBytes;
    if (this.#total >= FLUSH_FROM_BYTES) void this.#flushBehind();
  }

  /** Instead of a sync: resolves at once unless far too much is un-synced. */
  async whenBounded(): Promise<void> {
    if (this.#total >= WAIT_FROM_BYTES) await this.#flushBehind();
  }

  /** Forgets a file whose sync begins, see `track`; `false` when there was nothing to flush. */
  take(file: Flushable): boolean {
    this.#total -= this.#bytes.get(file) ?? 0;
    return this.#bytes.delete(file);
  }

  /** The sync of a file that was taken: every `flush` waits for it, and fails from then on when it fails. */
  track(sync: Promise<void>): Promise<void> {
    this.#syncs.add(sync);
    sync.then(
      () => this.#syncs.delete(sync),
      () => {}, // It stays: each `flush` tells.
    );
    return sync;
  }

  /** Everything written before the call is durable when it resolves. @throws StoreError of a failed sync */
  async flush(): Promise<void> {
    await this.#flushing;
    void this.#begin();
    await Promise.all(this.#syncs);
  }

  #begin(): Promise<void>[] {
    return [...this.#bytes.keys()].map((file) => this.track(file.flush()));
  }

  /** One at a time. Its failure is told by the next `flush`, and by the next write to the poisoned file. */
  #flushBehind(): Promise<void> {
    this.#flushing ??= Promise.allSettled(this.#begin()).then(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }
}
