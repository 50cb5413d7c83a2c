import { BufferPool, type BufferPoolStatistics, type Slot } from '../../memory/buffer-pool.ts';

/**
 * A `BufferPool` that survives hung disks: a buffer that a call may still use cannot be lent again, and a handful of
 * hung calls would otherwise stop all writes or reads. When half of the slots are stuck, a new generation of slots
 * begins; the memory of the old one goes when its last call has returned. Calls in flight are capped for each disk, so
 * the number of generations is bounded by the number of hung disks.
 */
export class RenewableBuffers {
  #budgetBytes: number;
  #current: BufferPool;
  readonly #owners = new Map<Slot, BufferPool>();
  #waiters: ((slot: Slot) => void)[] = [];
  #stuckCount = 0;

  constructor({ slotSizeBytes, budgetBytes }: { slotSizeBytes: number; budgetBytes: number }) {
    this.#budgetBytes = budgetBytes;
    this.#current = new BufferPool({ slotSizeBytes, budgetBytes, growthSlots: 1 });
  }

  get slotSizeBytes(): number {
    return this.#current.slotSizeBytes;
  }

  get slotLimit(): number {
    return this.#current.slotLimit;
  }

  /** From now on slots have this size at the least; those that are lent go back to where they came from. */
  ensure(options: { slotSizeBytes: number; budgetBytes: number }): void {
    if (options.slotSizeBytes <= this.slotSizeBytes) return;
    this.#budgetBytes = options.budgetBytes;
    this.#current = new BufferPool({ ...options, growthSlots: 1 });
    this.#stuckCount = 0;
    this.#serve();
  }

  tryAcquire(): Slot | undefined {
    const slot = this.#current.tryAcquire();
    if (slot !== undefined) this.#owners.set(slot, this.#current);
    return slot;
  }

  /** Resolves when a slot is free, in the order of the calls. */
  acquire(): Promise<Slot> {
    const slot = this.tryAcquire();
    if (slot !== undefined) return Promise.resolve(slot);
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Exactly once for each loan. */
  release(slot: Slot): void {
    const owner = this.#owners.get(slot) ?? this.#current;
    this.#owners.delete(slot);
    owner.release(slot);
    this.#serve();
  }

  /** Instead of `release`: calls use the slot until `returned` resolves, which may be never. */
  abandon(slot: Slot, returned: Promise<unknown>): void {
    const owner = this.#owners.get(slot);
    if (owner === this.#current && ++this.#stuckCount * 2 >= this.slotLimit) {
      this.#stuckCount = 0;
      this.#current = new BufferPool({
        slotSizeBytes: this.slotSizeBytes,
        budgetBytes: this.#budgetBytes,
        growthSlots: 1,
      });
      this.#serve();
    }
    void returned.then(() => {
      if (owner === this.#current) this.#stuckCount--;
      this.release(slot);
    });
  }

  statistics(): BufferPoolStatistics {
    return { ...this.#current.statistics(), waitingCount: this.#waiters.length };
  }

  #serve(): void {
    while (this.#waiters.length > 0) {
      const slot = this.tryAcquire();
      if (slot === undefined) return;
      this.#waiters.shift()?.(slot);
    }
  }
}
