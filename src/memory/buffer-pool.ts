import { assert } from '../errors/assert.ts';

/** The unit in which WebAssembly memory grows; slots are whole units, so each begins on a page of memory. */
const MEMORY_UNIT_BYTES = 65_536;
/** A WebAssembly memory cannot be larger. */
const MEMORY_LIMIT_BYTES = 65_536 * MEMORY_UNIT_BYTES;

/** The part of WebAssembly's API that is used; it is in the DOM's types only. */
interface SharedMemory {
  readonly buffer: SharedArrayBuffer;
  grow(units: number): number;
}
declare const WebAssembly: {
  Memory: new (options: { initial: number; maximum: number; shared: true }) => SharedMemory;
};

/** A lent buffer. Its content is what the last user left there. */
export interface Slot {
  /**
   * `slotSizeBytes` long, begins on a page boundary of memory: accepted by O_DIRECT. `bytes.buffer` is a
   * SharedArrayBuffer that can be posted to a worker together with `bytes.byteOffset`, without a copy.
   */
  readonly bytes: Buffer;
}

export interface BufferPoolOptions {
  /** Rounded up to a multiple of 65,536. */
  slotSizeBytes: number;
  /** The most the pool ever holds; it holds at least one slot. */
  budgetBytes: number;
  /** Added at once when all slots are lent; default 16 slots. */
  growthSlots?: number;
}

export interface BufferPoolStatistics {
  slotSizeBytes: number;
  slotLimit: number;
  /** Slots that exist; their memory becomes resident when first written. */
  slotCount: number;
  lentCount: number;
  waitingCount: number;
  /** Acquisitions since the start that had to wait. */
  waitedCount: number;
}

/**
 * Page-aligned buffers of one size within a fixed budget: the bound of memory for bodies in flight. Grows in steps
 * instead of reserving its budget at the start, never shrinks, and lends the slot used last first, so that the resident
 * part stays as small as the load needed so far. Waiters are served in the order they came.
 */
export class BufferPool {
  readonly slotSizeBytes: number;
  readonly slotLimit: number;
  readonly #memory: SharedMemory;
  readonly #growthSlots: number;
  readonly #free: Buffer[] = [];
  readonly #lent = new Set<Slot>();
  /** A queue with a moving head: `shift` of a long array copies it. */
  #waiters: ((slot: Slot) => void)[] = [];
  #waitersHead = 0;
  #slotCount = 0;
  #waitedCount = 0;

  constructor({ slotSizeBytes, budgetBytes, growthSlots = 16 }: BufferPoolOptions) {
    assert(slotSizeBytes > 0 && growthSlots > 0, 'slot size and growth must be positive');
    const units = Math.ceil(slotSizeBytes / MEMORY_UNIT_BYTES);
    this.slotSizeBytes = units * MEMORY_UNIT_BYTES;
    this.slotLimit = Math.max(1, Math.floor(Math.min(budgetBytes, MEMORY_LIMIT_BYTES) / this.slotSizeBytes));
    this.#growthSlots = growthSlots;
    this.#memory = new WebAssembly.Memory({ initial: 0, maximum: this.slotLimit * units, shared: true });
  }

  /** Resolves when a slot is free, in the order of the calls. Every slot goes back by `release`. */
  acquire(): Promise<Slot> {
    const slot = this.tryAcquire();
    if (slot !== undefined) return Promise.resolve(slot);
    this.#waitedCount++;
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** A slot if one is free or may be added now and nobody waits for it. */
  tryAcquire(): Slot | undefined {
    if (this.#free.length === 0 && this.#slotCount < this.slotLimit) this.#grow();
    const bytes = this.#free.pop();
    return bytes === undefined ? undefined : this.#lend(bytes);
  }

  /** Gives a slot back, exactly once; neither its bytes nor views of them are touched afterwards. */
  release(slot: Slot): void {
    assert(this.#lent.delete(slot), 'a slot was released twice or belongs to another pool');
    const next = this.#waiters[this.#waitersHead];
    if (next === undefined) {
      this.#free.push(slot.bytes);
      return;
    }
    this.#waitersHead++;
    if (this.#waitersHead === this.#waiters.length || this.#waitersHead >= 1024) {
      this.#waiters = this.#waiters.slice(this.#waitersHead);
      this.#waitersHead = 0;
    }
    next(this.#lend(slot.bytes));
  }

  /** Each loan is an object of its own, so that a former holder's second release cannot take the bytes from the next. */
  #lend(bytes: Buffer): Slot {
    const slot: Slot = { bytes };
    this.#lent.add(slot);
    return slot;
  }

  statistics(): BufferPoolStatistics {
    return {
      slotSizeBytes: this.slotSizeBytes,
      slotLimit: this.slotLimit,
      slotCount: this.#slotCount,
      lentCount: this.#lent.size,
      waitingCount: this.#waiters.length - this.#waitersHead,
      waitedCount: this.#waitedCount,
    };
  }

  #grow(): void {
    const count = Math.min(this.#growthSlots, this.slotLimit - this.#slotCount);
    const start = this.#slotCount * this.slotSizeBytes;
    this.#memory.grow((count * this.slotSizeBytes) / MEMORY_UNIT_BYTES);
    // Lowest address on top of the stack: the first to be lent.
    for (let i = count - 1; i >= 0; i--) {
      this.#free.push(Buffer.from(this.#memory.buffer, start + i * this.slotSizeBytes, this.slotSizeBytes));
    }
    this.#slotCount += count;
  }
}
