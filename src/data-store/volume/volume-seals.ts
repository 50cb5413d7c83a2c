import type { VolumeLedger } from '../../model/blob.ts';
import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';

const RETRY_AFTER_MS = 5_000;

/**
 * Records seals in the journal without holding anybody up: while it takes no writes they are kept and tried again. What
 * is still unrecorded when the process ends is found and sealed by the next start.
 */
export class VolumeSeals {
  readonly #ledger: VolumeLedger;
  readonly #clock: Clock;
  readonly #log: Log;
  /** Volume id → length, not yet acknowledged. */
  readonly #pending = new Map<number, number>();
  readonly #underWay = new Set<Promise<void>>();
  #cancelRetry: (() => void) | undefined;
  #isStopped = false;

  constructor({ ledger, clock, log }: { ledger: VolumeLedger; clock: Clock; log: Log }) {
    this.#ledger = ledger;
    this.#clock = clock;
    this.#log = log;
  }

  seal(volumeId: number, lengthBytes: number): void {
    this.#pending.set(volumeId, lengthBytes);
    this.#try(volumeId, lengthBytes);
  }

  /** Sealed here and not yet in the journal. */
  isPending(volumeId: number): boolean {
    return this.#pending.has(volumeId);
  }

  #try(volumeId: number, lengthBytes: number): void {
    const sealing = this.#ledger
      .sealVolume(volumeId, lengthBytes)
      .then(
        () => void this.#pending.delete(volumeId),
        (error: unknown) => {
          this.#log.warn({ volumeId, err: error }, 'a seal could not be recorded yet');
          this.#scheduleRetry();
        },
      )
      .finally(() => this.#underWay.delete(sealing));
    this.#underWay.add(sealing);
  }

  #scheduleRetry(): void {
    if (this.#isStopped) return;
    this.#cancelRetry ??= this.#clock.schedule(RETRY_AFTER_MS, () => {
      this.#cancelRetry = undefined;
      for (const [volumeId, lengthBytes] of this.#pending) this.#try(volumeId, lengthBytes);
    });
  }

  /** Resolves when the attempts under way have ended. */
  async settle(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry?.();
    await this.settle();
  }
}
