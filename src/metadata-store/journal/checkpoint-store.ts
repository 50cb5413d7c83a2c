import { stat } from 'node:fs/promises';
import type { DiskFs } from '../../disk/disk-fs.ts';
import { StoreError } from '../../errors/store-error.ts';
import {
  type BlockReader,
  checkpointFileBytes,
  checkpointIdentity,
  readSnapshotBlocks,
  restoreSnapshot,
  verifyCheckpointFile,
  withCheckpointFile,
  writeCheckpointFile,
} from './checkpoint-file.ts';
import { isWriteQuorum } from './epoch-opening.ts';
import { samePosition } from './frame.ts';
import type { CheckpointFacts, JournalPosition } from './journal.ts';
import { type JournalConfiguration, type JournalRule, writeQuorum } from './journal-configuration.ts';
import type { JournalContext } from './journal-context.ts';
import type { StoredCheckpoint } from './journal-state.ts';
import { checkpointName, inJournal, temporaryName } from './segment-names.ts';
import type { JournalDisk } from './journal-disk.ts';

/** A disk that may hold checkpoints, for reading. */
export interface CheckpointHolder {
  readonly diskId: string;
  readonly fs: DiskFs;
  readonly checkpoints: readonly StoredCheckpoint[];
}

export interface CheckpointHost {
  /** Disks that may take checkpoints and whose journals are cut: the level ones. */
  levelDisks(): readonly JournalDisk[];
  /** Every present disk with checkpoints, level or not. */
  holders(): readonly CheckpointHolder[];
  /** The oldest position from which frames are kept. */
  oldestSequence(): number;
  rules(): readonly JournalRule[];
  configurationAt(position: JournalPosition): JournalConfiguration;
}

const KEPT_CHECKPOINTS = 2;

/**
 * Checkpoints of the index on the disks. One is acknowledged when m + 1 level disks name it in their state, after it was
 * synced and read back there. Two acknowledged ones are kept, and each journal is cut back to the older one only then.
 * Installing, copying after a loss and removing happen one after the other.
 */
export class CheckpointStore {
  readonly #context: JournalContext;
  readonly #host: CheckpointHost;
  #work: Promise<void> = Promise.resolve();

  constructor(context: JournalContext, host: CheckpointHost) {
    this.#context = context;
    this.#host = host;
  }

  /** Those from which the kept journal goes on, newest first, with their present holders. */
  list(): CheckpointFacts[] {
    const oldestSequence = this.#host.oldestSequence();
    const useful = this.#group().filter(({ checkpoint }) => checkpoint.position.sequence >= oldestSequence);
    return useful.map(({ checkpoint, holders }) => ({
      position: checkpoint.position,
      sizeBytes: checkpoint.sizeBytes,
      createdAtMs: checkpoint.createdAtMs,
      holderDiskIds: holders.map((holder) => holder.diskId),
    }));
  }

  bytesOn(disk: JournalDisk): number {
    return disk.state.checkpoints.reduce((sum, checkpoint) => sum + checkpointFileBytes(checkpoint.sizeBytes), 0);
  }

  install(sourceFile: string, position: JournalPosition): Promise<void> {
    return this.#inTurn(async () => {
      const { size } = await stat(sourceFile);
      const createdAtMs = this.#context.clock.nowMs();
      const configuration = this.#host.configurationAt(position);
      const checkpoint: StoredCheckpoint = { position, configuration, name: '', sizeBytes: size, createdAtMs };
      await readSnapshotBlocks(sourceFile, size, (readBlock) => this.#copyUntilQuorum(checkpoint, readBlock));
      await this.#retire();
    });
  }

  /** Tries every holder for every block. @throws StoreError JournalCorrupt when a block is readable on none. */
  async restore(facts: CheckpointFacts, targetFile: string, progress: (fraction: number) => void): Promise<void> {
    const group = this.#group().find((one) => isOf(one.checkpoint, facts));
    if (group === undefined) throw new StoreError('JournalCorrupt', 'the checkpoint is on no present disk');
    const { checkpoint, holders } = group;
    await this.#withReaders(checkpoint, holders, [], (readers) =>
      restoreSnapshot(targetFile, checkpoint, readers, progress),
    );
  }

  /** After a loss: copies each of the kept ones until m + 1 level disks hold it. In the background. */
  ensureHolders(): void {
    void this.#inTurn(async () => {
      for (const { checkpoint, holders } of this.#group().slice(0, KEPT_CHECKPOINTS)) {
        if (this.#isAcknowledged(checkpoint) || this.#host.levelDisks().length === 0) continue;
        await this.#withReaders(checkpoint, holders, [], (readers) =>
          this.#copyUntilQuorum(checkpoint, (index) => firstGood(readers, index)),
        );
      }
    }).catch((error: unknown) => this.#context.log.warn({ error }, 'journal: a checkpoint has too few copies'));
  }

  /** Reads every checkpoint on every level disk; a damaged one is dropped there and copied anew. Nothing is cut meanwhile. */
  async scrub(scrubJournals: () => Promise<void>): Promise<void> {
    await this.#inTurn(async () => {
      await scrubJournals();
      for (const disk of this.#host.levelDisks()) {
        for (const checkpoint of disk.state.checkpoints) await this.#verify(disk, checkpoint);
      }
    });
    this.ensureHolders();
    await this.settled();
  }

  async #verify(disk: JournalDisk, checkpoint: StoredCheckpoint): Promise<void> {
    const path = inJournal(checkpoint.name);
    const identity = checkpointIdentity(checkpoint, this.#context.clusterTag);
    try {
      await verifyCheckpointFile(disk.fs, path, checkpoint, identity);
    } catch (error) {
      this.#context.log.error({ error, diskId: disk.diskId, path }, 'journal: a checkpoint is damaged');
      await disk.publish((state) => ({
        ...state,
        checkpoints: state.checkpoints.filter((one) => one.name !== checkpoint.name),
      }));
      await disk.fs.unlink(path);
    }
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    return this.#work;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#work.then(work);
    this.#work = turn.catch(() => undefined);
    return turn;
  }

  #group(): { checkpoint: StoredCheckpoint; holders: CheckpointHolder[] }[] {
    const groups: { checkpoint: StoredCheckpoint; holders: CheckpointHolder[] }[] = [];
    for (const holder of this.#host.holders()) {
      for (const checkpoint of holder.checkpoints) {
        const group = groups.find((one) => isOf(one.checkpoint, checkpoint));
        if (group === undefined) groups.push({ checkpoint, holders: [holder] });
        else group.holders.push(holder);
      }
    }
    return groups.sort(
      (a, b) =>
        b.checkpoint.position.sequence - a.checkpoint.position.sequence ||
        b.checkpoint.createdAtMs - a.checkpoint.createdAtMs,
    );
  }

  #levelHolders(checkpoint: StoredCheckpoint): Set<string> {
    const level = this.#host.levelDisks();
    return new Set(
      level.filter((disk) => disk.state.checkpoints.some((one) => isOf(one, checkpoint))).map((d) => d.diskId),
    );
  }

  #isAcknowledged(checkpoint: StoredCheckpoint): boolean {
    return isWriteQuorum(this.#host.rules(), this.#levelHolders(checkpoint));
  }

  async #copyUntilQuorum(checkpoint: StoredCheckpoint, readBlock: BlockReader): Promise<void> {
    const candidates = [...this.#host.levelDisks()].sort((a, b) => this.#freeBytes(b) - this.#freeBytes(a));
    for (const disk of candidates) {
      if (this.#isAcknowledged(checkpoint)) return;
      if (this.#levelHolders(checkpoint).has(disk.diskId)) continue;
      try {
        await this.#copyTo(disk, checkpoint, readBlock);
      } catch (error) {
        this.#context.log.warn({ error, diskId: disk.diskId }, 'journal: a checkpoint could not be copied to a disk');
      }
    }
    if (this.#isAcknowledged(checkpoint)) return;
    const needed = Math.max(...this.#host.rules().map(writeQuorum));
    throw new StoreError(
      'QuorumLost',
      `the checkpoint is on ${this.#levelHolders(checkpoint).size} of ${needed} disks`,
      {
        hint: 'Free space on the disks or bring back missing ones; the journal is kept until then.',
      },
    );
  }

  #freeBytes(disk: JournalDisk): number {
    return this.#context.disks.byId(disk.diskId)?.space.freeBytes ?? 0;
  }

  async #copyTo(disk: JournalDisk, checkpoint: StoredCheckpoint, readBlock: BlockReader): Promise<void> {
    const { fs } = disk;
    const temporary = inJournal(temporaryName(disk.nextCounter()));
    const name = checkpointName(checkpoint.position, disk.nextCounter());
    const identity = checkpointIdentity(checkpoint, this.#context.clusterTag);
    try {
      await writeCheckpointFile(fs, temporary, checkpoint, identity, readBlock);
      await fs.publish(temporary, inJournal(name));
    } catch (error) {
      await fs.unlink(temporary).catch(() => undefined); // the first failure is the one to tell
      throw error;
    }
    await disk.publish((state) => ({ ...state, checkpoints: [{ ...checkpoint, name }, ...state.checkpoints] }));
  }

  /** Removes what is older than the second newest acknowledged one, and cuts the journals back to that. */
  async #retire(): Promise<void> {
    const kept = this.#group().filter(({ checkpoint }) => this.#isAcknowledged(checkpoint));
    const oldest = kept[KEPT_CHECKPOINTS - 1]?.checkpoint;
    if (oldest === undefined) return;
    for (const disk of this.#host.levelDisks()) {
      const isKept = (one: StoredCheckpoint): boolean =>
        one.position.sequence > oldest.position.sequence || isOf(one, oldest);
      const removed = disk.state.checkpoints.filter((one) => !isKept(one));
      try {
        await disk.cut(oldest.position, oldest.configuration);
        if (removed.length === 0) continue;
        await disk.publish((state) => ({ ...state, checkpoints: state.checkpoints.filter(isKept) }));
        for (const one of removed) await disk.fs.unlink(inJournal(one.name));
      } catch (error) {
        this.#context.log.warn({ error, diskId: disk.diskId }, 'journal: an old checkpoint or journal part stays');
      }
    }
  }

  async #withReaders(
    checkpoint: StoredCheckpoint,
    holders: readonly CheckpointHolder[],
    readers: BlockReader[],
    use: (readers: readonly BlockReader[]) => Promise<void>,
  ): Promise<void> {
    const [holder, ...others] = holders;
    if (holder === undefined) return use(readers);
    const stored = holder.checkpoints.find((one) => isOf(one, checkpoint)) ?? checkpoint;
    const identity = checkpointIdentity(stored, this.#context.clusterTag);
    const attempt = { isOpen: false };
    try {
      await withCheckpointFile(holder.fs, inJournal(stored.name), stored, identity, (readBlock) => {
        attempt.isOpen = true;
        return this.#withReaders(checkpoint, others, [...readers, readBlock], use);
      });
    } catch (error) {
      if (attempt.isOpen) throw error;
      await this.#withReaders(checkpoint, others, readers, use);
    }
  }
}

async function firstGood(readers: readonly BlockReader[], index: number): Promise<Buffer | undefined> {
  for (const readBlock of readers) {
    const data = await readBlock(index).catch(() => undefined);
    if (data !== undefined) return data;
  }
  return undefined;
}

/** Holders of one installation have the same position, size and time. */
function isOf(
  one: Pick<StoredCheckpoint, 'position' | 'sizeBytes' | 'createdAtMs'>,
  other: Pick<StoredCheckpoint, 'position' | 'sizeBytes' | 'createdAtMs'>,
): boolean {
  return (
    samePosition(one.position, other.position) &&
    one.sizeBytes === other.sizeBytes &&
    one.createdAtMs === other.createdAtMs
  );
}
