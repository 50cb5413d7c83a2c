import type { Clock } from '../../model/clock.ts';
import type { DamagedShard } from '../data-store.ts';

const PENDING_LIMIT = 10_000;
/** A shard that was reported is not reported again for this long: a hot damaged object is read many times a second. */
const REPEAT_AFTER_MS = 600_000;
const SEEN_LIMIT = 50_000;

/** Damage seen by reads, each shard at most once in a while, bounded in memory. */
export class DamageLog {
  readonly #clock: Clock;
  #pending: DamagedShard[] = [];
  readonly #seenAtMs = new Map<string, number>();
  /** Damage that found no room since the start; it will be seen again. */
  droppedCount = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(damage: Omit<DamagedShard, 'seenAtMs'>): void {
    const now = this.#clock.monotonicMs();
    const key = `${damage.volumeId}/${damage.diskId}/${damage.offset}`;
    const seenAtMs = this.#seenAtMs.get(key);
    if (seenAtMs !== undefined && now - seenAtMs < REPEAT_AFTER_MS) return;
    if (this.#pending.length >= PENDING_LIMIT) {
      this.droppedCount++;
      return;
    }
    if (this.#seenAtMs.size >= SEEN_LIMIT) this.#seenAtMs.clear();
    this.#seenAtMs.set(key, now);
    this.#pending.push({ ...damage, seenAtMs: this.#clock.nowMs() });
  }

  /** The file was replaced: what is seen in it from now on is new. */
  forget(volumeId: number, diskId: string): void {
    const prefix = `${volumeId}/${diskId}/`;
    for (const key of this.#seenAtMs.keys()) if (key.startsWith(prefix)) this.#seenAtMs.delete(key);
  }

  take(): DamagedShard[] {
    const taken = this.#pending;
    this.#pending = [];
    return taken;
  }
}
