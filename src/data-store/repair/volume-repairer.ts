import type { Disk } from '../../disk/disk-set.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { ShardMove, VolumeRecord } from '../../model/blob.ts';
import type {
  InspectionScope,
  ShardDestination,
  ShardFileInspection,
  ShardFileRepair,
  ShardMoveOutcome,
  VolumeInspection,
  VolumeRepair,
  VolumeWork,
} from '../data-store.ts';
import type { DamageLog } from '../reader/damage-log.ts';
import type { ShardFiles } from '../reader/shard-files.ts';
import type { StoreContext } from '../store-context.ts';
import { movedPath, volumePath } from '../volume/volume-file.ts';
import type { VolumeRecovery } from '../volume/volume-recovery.ts';
import type { ExpectedShard } from './live-stripes.ts';
import type { RebuildTarget } from './rebuild-shards.ts';
import { ShardFileMaker, untouched, type VolumePlan } from './shard-file-maker.ts';
import type { ShardFileWriter } from './shard-file-writer.ts';

/**
 * Inspects and repairs volumes. Everything that it relies on was read and verified just now; what must be there comes
 * from the layouts of live blobs, never from the files.
 *
 * Invariants of a repair: the file in place is only ever replaced, by rename, by one that is synced and was read back
 * whole; the volume is pinned, so the collector does not remove it meanwhile; one repair at a time.
 */
export class VolumeRepairer {
  readonly #context: StoreContext;
  readonly #files: ShardFiles;
  readonly #maker: ShardFileMaker;
  /** What a move cannot settle now is left to it. */
  readonly #recovery: Pick<VolumeRecovery, 'inspectLater' | 'isInspecting'>;
  #repairing: Promise<unknown> = Promise.resolve();

  constructor(parts: {
    context: StoreContext;
    files: ShardFiles;
    damage: DamageLog;
    recovery: Pick<VolumeRecovery, 'inspectLater' | 'isInspecting'>;
  }) {
    const { context, files, damage, recovery } = parts;
    this.#context = context;
    this.#files = files;
    this.#maker = new ShardFileMaker(context, files, damage);
    this.#recovery = recovery;
  }

  /** See `VolumeKeeper.repairVolume`. */
  repair(work: VolumeWork & { diskIds: readonly string[] }): Promise<VolumeRepair> {
    const running = this.#repairing.then(() => this.#repair(work));
    this.#repairing = running.catch(() => undefined);
    return running;
  }

  /** See `VolumeKeeper.moveShards`. In a row with repairs. */
  move(work: VolumeWork & { moves: readonly ShardDestination[] }): Promise<ShardMoveOutcome[]> {
    const running = this.#repairing.then(() => this.#move(work));
    this.#repairing = running.catch(() => undefined);
    return running;
  }

  // ——— inspecting ———

  /** See `VolumeKeeper.inspectVolume`. All files at once; several inspections, each at its own pace, may go on beside one another. */
  async inspect(work: VolumeWork & InspectionScope): Promise<VolumeInspection> {
    const { volume, diskIds = volume.diskIds, onlyEnds = false } = work;
    const whole = await this.#maker.plan(work);
    const plan = onlyEnds ? { ...whole, expected: (slot: number) => whole.expected(slot).slice(-1) } : whole;
    const goodShards = new Uint8Array(plan.live.stripes.length);
    const onGood = ({ stripe }: ExpectedShard): void => void (goodShards[stripe] = (goodShards[stripe] ?? 0) + 1);
    let readBytes = 0;
    const files = await Promise.all(
      volume.diskIds.map(async (diskId, slot): Promise<ShardFileInspection | undefined> => {
        if (!diskIds.includes(diskId)) return undefined;
        const found = await this.#maker.inspectFile(work, plan, { slot, onGood });
        readBytes += found.readBytes;
        const { condition, goodCount, damagedCount, damage } = found;
        const shardCount = plan.expected(slot).length;
        return { slot, diskId, condition, shardCount, goodCount, damagedCount, damage: [...damage] };
      }),
    );
    const stripesByMargin = new Map<number, number>();
    if (!onlyEnds && volume.diskIds.every((diskId) => diskIds.includes(diskId))) {
      for (const [index, { location }] of plan.live.stripes.entries()) {
        const margin = (goodShards[index] ?? 0) - location.k;
        stripesByMargin.set(margin, (stripesByMargin.get(margin) ?? 0) + 1);
      }
    }
    return {
      volumeId: volume.volumeId,
      blobCount: plan.live.blobCount,
      stripeCount: plan.live.stripes.length,
      files: files.filter((file) => file !== undefined),
      stripesByMargin,
      readBytes,
    };
  }

  // ——— repairing ———

  async #repair(work: VolumeWork & { diskIds: readonly string[] }): Promise<VolumeRepair> {
    const { volume, diskIds } = work;
    const { table } = this.#context;
    await this.#requireAsListed(volume);
    table.pin(volume.volumeId);
    try {
      if (!table.isSettled(volume.volumeId)) {
        throw new StoreError('NotReady', `volume ${volume.volumeId} is still written to`);
      }
      const plan = await this.#maker.plan(work);
      for (const diskId of diskIds) await this.#finishMoveTo(volume, diskId);
      const wanted = [...volume.diskIds.keys()].filter((slot) => diskIds.includes(volume.diskIds[slot] ?? ''));
      const found = await Promise.all(
        wanted.map(async (slot) => ({ slot, ...(await this.#maker.inspectFile(work, plan, { slot })) })),
      );
      const files: ShardFileRepair[] = [];
      const bad: number[] = [];
      for (const { slot, condition } of found) {
        const diskId = volume.diskIds[slot] ?? '';
        if (condition === 'damaged' || condition === 'missing') bad.push(slot);
        else if (condition === 'good') files.push(untouched(diskId, 'good'));
        else files.push(untouched(diskId, 'failed', 'its disk is not online'));
      }
      const inspectedBytes = found.reduce((sum, { readBytes }) => sum + readBytes, 0);
      const rebuilt = await this.#rebuild(work, plan, bad);
      return { ...rebuilt, files: [...files, ...rebuilt.files], readBytes: rebuilt.readBytes + inspectedBytes };
    } finally {
      table.unpin(volume.volumeId);
    }
  }

  /** A file that waits under the name of a move is put in its place before it is called missing. */
  async #finishMoveTo({ volumeId, diskIds }: VolumeRecord, diskId: string): Promise<void> {
    const disk = this.#context.disks.byId(diskId);
    if (disk === undefined || !diskIds.includes(diskId)) return;
    try {
      await this.#putMovedInPlace(volumeId, disk);
    } catch (error) {
      // The inspection that follows says what is there.
      if (!isStoreError(error)) throw error;
    }
  }

  /** Makes the files of these slots anew on their own disks. */
  async #rebuild(work: VolumeWork, plan: VolumePlan, slots: readonly number[]): Promise<VolumeRepair> {
    const { volume } = work;
    const places = slots.map((slot) => ({ slot, diskId: volume.diskIds[slot] ?? '' }));
    const { files, ...counts } = await this.#maker.make(work, plan, { places, shape: volume }, (target) =>
      this.#putInPlace(volume, target),
    );
    return { files, ...counts };
  }

  async #putInPlace({ volumeId }: VolumeRecord, { writer }: RebuildTarget): Promise<void> {
    await writer.disk.fs.publish(writer.path, volumePath(volumeId));
    await this.#maker.replaced(writer, volumeId);
  }

  /**
   * Is the volume still as the journal has it? What the caller listed may be hours old, and by it a shard would be made where
   * it no longer belongs. Repairs and moves are one at a time, so it stays true. @throws StoreError BlobGone | NotReady
   */
  async #requireAsListed({ volumeId, diskIds }: VolumeRecord): Promise<void> {
    const record = await this.#context.table.lookUp(volumeId);
    if (record === undefined || record.state === 'dropped') {
      throw new StoreError('BlobGone', `volume ${volumeId} was dropped`);
    }
    if (record.diskIds.some((diskId, slot) => diskId !== diskIds[slot])) {
      throw new StoreError('NotReady', `a shard of volume ${volumeId} was moved meanwhile`);
    }
  }

  // ——— moving ———

  async #move(work: VolumeWork & { moves: readonly ShardDestination[] }): Promise<ShardMoveOutcome[]> {
    const { volume, moves } = work;
    const outcomes: ShardMoveOutcome[] = [];
    const open: ShardMove[] = [];
    for (const move of moves) {
      const { shardIndex, toDiskId } = move;
      const fromDiskId = volume.diskIds[shardIndex];
      const isThere = fromDiskId === undefined || fromDiskId === toDiskId;
      if (fromDiskId === toDiskId) await this.#completeMove(volume, this.#context.disks.byId(toDiskId));
      const failure = isThere ? undefined : this.#whyNotTo(volume, toDiskId);
      if (isThere || failure !== undefined) outcomes.push({ ...move, movedBytes: 0, failure });
      else open.push({ volumeId: volume.volumeId, shardIndex, fromDiskId, toDiskId });
    }
    if (open.length > 0) outcomes.push(...(await this.#moveTogether(work, open)));
    return outcomes;
  }

  #whyNotTo({ volumeId, diskIds, undroppedDiskIds }: VolumeRecord, toDiskId: string): StoreError | undefined {
    const to = this.#context.disks.byId(toDiskId);
    // Where an old file waits to be removed, a start or return of the disk would remove the new one.
    const isTaken = diskIds.includes(toDiskId) || undroppedDiskIds.includes(toDiskId);
    if (to?.state === 'online' && !to.isDraining && !isTaken && !this.#recovery.isInspecting(toDiskId))
      return undefined;
    return new StoreError('NotReady', `disk ${toDiskId} takes no shard of volume ${volumeId} now`);
  }

  /** The volume is read once, whatever the number of files. */
  async #moveTogether(work: VolumeWork, moves: readonly ShardMove[]): Promise<ShardMoveOutcome[]> {
    const { volume } = work;
    const { volumeId } = volume;
    const { table } = this.#context;
    await this.#requireAsListed(volume);
    table.pin(volumeId);
    try {
      if (!table.isSettled(volumeId)) throw new StoreError('NotReady', `volume ${volumeId} is still written to`);
      const plan = await this.#maker.plan(work);
      const diskIds = moves.reduce(
        (ids, { shardIndex, toDiskId }) => ids.with(shardIndex, toDiskId),
        [...volume.diskIds],
      );
      const places = moves.map(({ shardIndex: slot, toDiskId: diskId }) => ({ slot, diskId }));
      const writtenBytes = new Map<number, number>();
      const failures = new Map<number, StoreError>();
      const made = await this.#maker.make(work, plan, { places, shape: { ...volume, diskIds } }, async (target) => {
        const move = moves.find(({ shardIndex }) => shardIndex === target.slot)!;
        try {
          await this.#settleMove(move, target.writer);
          writtenBytes.set(target.slot, target.writer.writtenBytes);
        } catch (error) {
          if (isStoreError(error)) failures.set(target.slot, error);
          throw error;
        }
      });
      for (const { shardIndex, fromDiskId } of moves) {
        if (writtenBytes.has(shardIndex)) await this.#removeOld({ volumeId, fromDiskId });
      }
      return moves.map(({ shardIndex, toDiskId }) => {
        const movedBytes = writtenBytes.get(shardIndex);
        if (movedBytes !== undefined) return { shardIndex, toDiskId, movedBytes, failure: undefined };
        const reason = made.files.find(({ diskId }) => diskId === toDiskId)?.reason;
        const message = `volume ${volumeId} could not be written to disk ${toDiskId}: ${reason}`;
        const failure = failures.get(shardIndex) ?? new StoreError('DiskFailed', message);
        return { shardIndex, toDiskId, movedBytes: 0, failure };
      });
    } finally {
      table.unpin(volumeId);
    }
  }

  /** The file gets the name by which a start knows it as whole; then the journal decides; then it gets its own name. */
  async #settleMove(move: ShardMove, writer: ShardFileWriter): Promise<void> {
    const { table, ledger, filesInRepair } = this.#context;
    const { volumeId, shardIndex, toDiskId } = move;
    const { fs, id } = writer.disk;
    const path = movedPath(volumeId);
    const name = `${id}/${path}`;
    filesInRepair.add(name);
    try {
      await fs.publish(writer.path, path);
      if (!(await ledger.moveShard(move))) {
        await fs.unlink(path);
        throw new StoreError('BlobGone', `volume ${volumeId} was dropped or changed while it was moved`);
      }
      await fs.publish(path, volumePath(volumeId));
      table.moved({ volumeId, shardIndex, toDiskId });
      await this.#maker.replaced(writer, volumeId);
    } catch (error) {
      // Undecided, for one: whether the file counts is known when the journal has decided.
      this.#recovery.inspectLater(writer.disk);
      throw error;
    } finally {
      filesInRepair.delete(name);
    }
  }

  /** What a move left undone that learned too late, or never, that the journal has it. */
  async #completeMove({ volumeId, undroppedDiskIds }: VolumeRecord, to: Disk | undefined): Promise<void> {
    if (to !== undefined) await this.#putMovedInPlace(volumeId, to);
    for (const fromDiskId of undroppedDiskIds) await this.#removeOld({ volumeId, fromDiskId });
  }

  /** The journal says that it lies there. What has its name already was made by a repair since, and stays. */
  async #putMovedInPlace(volumeId: number, disk: Disk): Promise<void> {
    const path = movedPath(volumeId);
    if (disk.state !== 'online' || (await disk.fs.stat(path)) === undefined) return;
    if ((await disk.fs.stat(volumePath(volumeId))) === undefined) await disk.fs.publish(path, volumePath(volumeId));
    else await disk.fs.unlink(path);
    this.#files.discard(disk, volumeId);
  }

  /** Best effort: what cannot be removed and confirmed now is later, or when the disk comes online. */
  async #removeOld({ volumeId, fromDiskId }: { volumeId: number; fromDiskId: string }): Promise<void> {
    const { disks, ledger, log } = this.#context;
    const disk = disks.byId(fromDiskId);
    try {
      if (disk !== undefined) {
        this.#files.discard(disk, volumeId);
        if (disk.state !== 'online') return;
        await disk.fs.unlink(volumePath(volumeId));
      }
      await ledger.confirmDrop(volumeId, [fromDiskId]);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      log.warn({ volumeId, diskId: fromDiskId, err: error }, 'the old file of a moved shard stays for now');
      const looking = disk ?? disks.disks.find(({ state }) => state === 'online');
      if (looking !== undefined) this.#recovery.inspectLater(looking);
    }
  }
}
