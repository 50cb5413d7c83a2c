import type { DamagedShard, DataStore } from '../data-store/data-store.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { Clock } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';
import { BackgroundLoop } from './background-loop.ts';

const INTERVAL_MS = 1_000;
const BATCH_LIMIT = 500;
const PENDING_LIMIT = 20_000;

/** Moves the damage that reads have met into the journal, where it waits for repair and survives a restart. */
export class DamageRecorder {
  readonly #dataStore: Pick<DataStore, 'takeDamage'>;
  readonly #metadataStore: Pick<MetadataStore, 'commit'>;
  readonly #log: Log;
  readonly #loop: BackgroundLoop;
  #pending: DamagedShard[] = [];
  #recordedCount = 0;
  #lostCount = 0;
  #lastError: string | undefined;

  constructor(options: {
    dataStore: Pick<DataStore, 'takeDamage'>;
    metadataStore: Pick<MetadataStore, 'commit'>;
    clock: Clock;
    log: Log;
  }) {
    this.#dataStore = options.dataStore;
    this.#metadataStore = options.metadataStore;
    this.#log = options.log;
    this.#loop = new BackgroundLoop({ clock: options.clock, intervalMs: INTERVAL_MS, step: () => this.recordNow() });
  }

  start(): void {
    this.#loop.start();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
    await this.recordNow();
  }

  /** One round; what cannot be committed now is kept for the next, within a bound. */
  async recordNow(): Promise<void> {
    this.#pending.push(...this.#dataStore.takeDamage());
    if (this.#pending.length > PENDING_LIMIT) {
      // The oldest will be met again by the next read of it.
      this.#lostCount += this.#pending.length - PENDING_LIMIT;
      this.#pending = this.#pending.slice(-PENDING_LIMIT);
    }
    while (this.#pending.length > 0) {
      const batch = this.#pending.slice(0, BATCH_LIMIT);
      try {
        await this.#metadataStore.commit({ type: 'RecordDamage', damage: batch });
      } catch (error) {
        this.#lastError = String(error);
        this.#log.warn({ err: error, count: this.#pending.length }, 'damage could not be recorded yet');
        return;
      }
      this.#pending = this.#pending.slice(batch.length);
      this.#recordedCount += batch.length;
      this.#log.warn({ count: batch.length, first: batch[0] }, 'damaged shards wait for repair');
    }
  }

  report(): { recordedCount: number; pendingCount: number; lostCount: number; lastError: string | undefined } {
    return {
      recordedCount: this.#recordedCount,
      pendingCount: this.#pending.length,
      lostCount: this.#lostCount,
      lastError: this.#lastError,
    };
  }
}
