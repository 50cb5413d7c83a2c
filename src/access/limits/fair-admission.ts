import { assert } from '../../errors/assert.ts';

interface Caller {
  inFlight: number;
  /** Resolvers of requests that wait, the oldest first. */
  readonly waiting: (() => void)[];
}

/**
 * Lets everybody in while there is room. From `fairFrom` requests in flight on, a caller that has its equal share of them
 * waits while others are active: one caller with a thousand connections does not starve one with two. A caller alone
 * never waits.
 */
export class FairAdmission {
  readonly #fairFrom: number;
  readonly #callers = new Map<string, Caller>();
  /** Callers that have requests waiting. */
  readonly #waiting = new Set<Caller>();
  #inFlight = 0;

  constructor({ fairFrom }: { fairFrom: number }) {
    this.#fairFrom = fairFrom;
  }

  /** `undefined`: go on at once; else when it resolves. Every entry is followed by one `leave`, once it was let in. */
  enter(name: string): Promise<void> | undefined {
    let caller = this.#callers.get(name);
    if (caller === undefined) this.#callers.set(name, (caller = { inFlight: 0, waiting: [] }));
    if (caller.waiting.length === 0 && this.#hasRoom(caller)) {
      this.#letIn(caller);
      return undefined;
    }
    this.#waiting.add(caller);
    return new Promise((resolve) => caller.waiting.push(resolve));
  }

  leave(name: string): void {
    const caller = this.#callers.get(name);
    assert(caller !== undefined && caller.inFlight > 0, 'whoever leaves was let in');
    caller.inFlight -= 1;
    this.#inFlight -= 1;
    if (caller.inFlight === 0 && caller.waiting.length === 0) this.#callers.delete(name);
    while (this.#waiting.size > 0 && this.#admitNext());
  }

  get waitingCount(): number {
    let count = 0;
    for (const { waiting } of this.#waiting) count += waiting.length;
    return count;
  }

  #hasRoom(caller: Caller): boolean {
    return (
      this.#inFlight < this.#fairFrom ||
      this.#callers.size === 1 ||
      caller.inFlight < Math.max(1, Math.floor(this.#fairFrom / this.#callers.size))
    );
  }

  /** The one with the least in flight, if there is room for it. */
  #admitNext(): boolean {
    let next: Caller | undefined;
    for (const caller of this.#waiting) if (next === undefined || caller.inFlight < next.inFlight) next = caller;
    if (next === undefined || !this.#hasRoom(next)) return false;
    const resolve = next.waiting.shift()!;
    if (next.waiting.length === 0) this.#waiting.delete(next);
    this.#letIn(next);
    resolve();
    return true;
  }

  #letIn(caller: Caller): void {
    caller.inFlight += 1;
    this.#inFlight += 1;
  }
}
