import { isStoreError } from '../../errors/store-error.ts';
import type { JournalConfiguration } from './journal-configuration.ts';
import { isPresent, type JournalContext } from './journal-context.ts';

const LOOK_EVERY_MS = 60_000;

/**
 * With more disks than carry the journal, one that stays lost is replaced by another, so that the journal survives the
 * next losses too. Looks once a minute while something is lost.
 */
export class JournalDiskKeeper {
  readonly #context: JournalContext;
  readonly #replaceAfterMs: number;
  /** The configuration in force; `undefined` while none is or one is changing. */
  readonly #configuration: () => JournalConfiguration | undefined;
  readonly #change: (next: JournalConfiguration) => Promise<void>;
  /** Monotonic time at which it was first seen to be lost. */
  readonly #lostSinceMs = new Map<string, number>();
  #cancel: (() => void) | undefined;
  #isStopped = false;

  constructor(options: {
    context: JournalContext;
    replaceAfterMs: number;
    configuration: () => JournalConfiguration | undefined;
    change: (next: JournalConfiguration) => Promise<void>;
  }) {
    this.#context = options.context;
    this.#replaceAfterMs = options.replaceAfterMs;
    this.#configuration = options.configuration;
    this.#change = options.change;
  }

  /** Notes which journal disks are lost now; called whenever a disk changes. */
  look(): void {
    const configuration = this.#configuration();
    if (configuration === undefined || this.#isStopped) return;
    if (configuration.journalDiskIds.length === configuration.diskIds.length) return;
    const nowMs = this.#context.clock.monotonicMs();
    for (const diskId of configuration.journalDiskIds) {
      if (this.#isPresent(diskId)) this.#lostSinceMs.delete(diskId);
      else if (!this.#lostSinceMs.has(diskId)) this.#lostSinceMs.set(diskId, nowMs);
    }
    if (this.#lostSinceMs.size === 0 || this.#cancel !== undefined) return;
    this.#cancel = this.#context.clock.schedule(Math.min(LOOK_EVERY_MS, this.#replaceAfterMs), () => {
      this.#cancel = undefined;
      this.#replaceOverdue()
        .catch((error: unknown) => {
          if (!isStoreError(error)) throw error;
          this.#context.log.warn({ error }, 'journal: a lost journal disk could not be replaced, it is tried again');
        })
        .finally(() => this.look());
    });
  }

  async #replaceOverdue(): Promise<void> {
    const configuration = this.#configuration();
    if (configuration === undefined || this.#isStopped) return;
    const nowMs = this.#context.clock.monotonicMs();
    const lost = configuration.journalDiskIds.find((diskId) => {
      const sinceMs = this.#lostSinceMs.get(diskId);
      return sinceMs !== undefined && nowMs - sinceMs >= this.#replaceAfterMs && !this.#isPresent(diskId);
    });
    const substitute = configuration.diskIds.find(
      (diskId) =>
        !configuration.journalDiskIds.includes(diskId) && this.#context.disks.byId(diskId)?.state === 'online',
    );
    if (lost === undefined || substitute === undefined) return;
    const journalDiskIds = configuration.journalDiskIds.map((diskId) => (diskId === lost ? substitute : diskId));
    await this.#change({ ...configuration, journalDiskIds });
    this.#lostSinceMs.delete(lost);
    this.#context.log.warn({ lost, substitute }, 'journal: a disk that stays lost was replaced as a journal disk');
  }

  #isPresent(diskId: string): boolean {
    const disk = this.#context.disks.byId(diskId);
    return disk !== undefined && isPresent(disk);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel?.();
  }
}
