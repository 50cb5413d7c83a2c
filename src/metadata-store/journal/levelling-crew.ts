import type { Disk } from '../../disk/disk-set.ts';
import { isStoreError } from '../../errors/store-error.ts';
import { levelDisk, type LevellingHost } from './disk-leveller.ts';
import { isPresent, type JournalContext } from './journal-context.ts';
import type { JournalDisk } from './journal-disk.ts';
import type { LostDisks } from './lost-disks.ts';
import type { RunningEpoch } from './running-epoch.ts';

/** Levelling that failed is tried again after this, then after twice as long, up to the limit. */
const RETRY_MS = 1000;
const RETRY_LIMIT_MS = 60_000;

/** Brings every present journal disk without a lane into the running epoch, in the background, again and again. */
export class LevellingCrew {
  readonly #context: JournalContext;
  readonly #lostDisks: LostDisks;
  readonly #running: () => RunningEpoch | undefined;
  /** Disks that are not journal disks yet but shall be. */
  readonly #learners = new Set<string>();
  readonly #work = new Map<string, Promise<void>>();
  #cancelRetry: (() => void) | undefined;
  #retryMs = RETRY_MS;
  #isStopped = false;

  /** `running`: the open epoch, `undefined` while there is none. */
  constructor(context: JournalContext, lostDisks: LostDisks, running: () => RunningEpoch | undefined) {
    this.#context = context;
    this.#lostDisks = lostDisks;
    this.#running = running;
  }

  /** Also levels these. Returns the function that ends it. */
  teach(diskIds: readonly string[]): () => void {
    for (const diskId of diskIds) this.#learners.add(diskId);
    this.levelOthers();
    return () => {
      for (const diskId of diskIds) this.#learners.delete(diskId);
    };
  }

  /** Something changed for the better: no waiting. */
  wake(): void {
    this.#retryMs = RETRY_MS;
    this.levelOthers();
  }

  /** Levels every present journal disk that has no lane; disks without a journal have nothing to level. */
  levelOthers(): void {
    const running = this.#running();
    if (running === undefined || this.#isStopped) return;
    const members = new Set(running.rules.flatMap((rule) => rule.journalDiskIds));
    for (const disk of this.#context.disks.disks) {
      if (!isPresent(disk) || running.hasLane(disk.id) || this.#work.has(disk.id)) continue;
      if (members.has(disk.id) || this.#learners.has(disk.id)) this.#level(running, disk, members.has(disk.id));
      else this.#context.disks.markLevel(disk.id);
    }
  }

  #level(running: RunningEpoch, disk: Disk, isMember: boolean): void {
    const work = this.#levelOne(running, disk)
      .catch((error: unknown) => {
        this.#context.log.warn({ diskId: disk.id, error }, 'journal: levelling failed, it is tried again');
        if (isStoreError(error, 'DiskFailed', 'DiskTimeout', 'DiskMissing')) {
          this.#context.disks.reportFailure(disk.id, { operation: 'journal levelling', error });
        }
        this.retryLater();
      })
      .finally(() => this.#work.delete(disk.id));
    this.#work.set(disk.id, work);
    // Last, because the set tells its listeners at once, and this one must know that it is at work.
    if (isMember) this.#context.disks.markBehind(disk.id, 'the journal there is not level');
  }

  async #levelOne(running: RunningEpoch, disk: Disk): Promise<void> {
    await this.#lostDisks.settled(disk.id);
    const host: LevellingHost = {
      epoch: running.epoch,
      acknowledged: () => running.acknowledged,
      sources: () => running.voters(),
      onBadSource: (diskId, error) => running.badSource(diskId, error),
    };
    const journalDisk = await levelDisk(this.#context, host, disk, this.#lostDisks.isTainted(disk.id));
    if (this.#running() !== running || !isPresent(disk)) return journalDisk.close();
    this.#lostDisks.healed(disk.id);
    this.#retryMs = RETRY_MS;
    await running.join(journalDisk);
    this.tidy(journalDisk);
  }

  /** Removes what crashes left on a level disk, and fills its reserve. */
  tidy(journalDisk: JournalDisk): void {
    void journalDisk.removeLeftovers().then(
      () => journalDisk.prepareAhead(),
      (error: unknown) =>
        this.#context.log.warn({ error, diskId: journalDisk.diskId }, 'journal: leftovers stay until the next start'),
    );
  }

  retryLater(): void {
    if (this.#cancelRetry !== undefined || this.#isStopped) return;
    this.#cancelRetry = this.#context.clock.schedule(this.#retryMs, () => {
      this.#cancelRetry = undefined;
      this.levelOthers();
    });
    this.#retryMs = Math.min(2 * this.#retryMs, RETRY_LIMIT_MS);
  }

  /** Resolves when no levelling is under way. */
  async idle(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work.values());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelRetry?.();
    await this.idle();
  }
}
