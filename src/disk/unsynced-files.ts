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
 * A failed flush poisons its file, as any failed sync: it is not lost that it failed.
 */
export class UnsyncedFiles {
  readonly #bytes = new Map<Flushable, number>();
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

  /** Forgets a file that is being flushed; `false` when there was nothing to flush. */
  take(file: Flushable): boolean {
    this.#total -= this.#bytes.get(file) ?? 0;
    return this.#bytes.delete(file);
  }

  /** Everything written before the call is durable when it resolves. @throws StoreError of a failed sync */
  async flush(): Promise<void> {
    await this.#flushing;
    await Promise.all([...this.#bytes.keys()].map((file) => file.flush()));
  }

  /** One at a time. Its failure is the poisoned file's: the next write to that tells. */
  #flushBehind(): Promise<void> {
    this.#flushing ??= Promise.allSettled([...this.#bytes.keys()].map((file) => file.flush())).then(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }
}
