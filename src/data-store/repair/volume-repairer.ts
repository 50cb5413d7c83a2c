import type { Disk } from '../../disk/disk-set.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { ShardMove, VolumeRecord } from '../../model/blob.ts';
import type {
  InspectionScope,
  Pace,
  ShardFileInspection,
  ShardFileRepair,
  VolumeInspection,
  VolumeRepair,
  VolumeWork,
} from '../data-store.ts';
import type { ShardFiles } from '../reader/shard-files.ts';
import type { StoreContext } from '../store-context.ts';
import { RenewableBuffers } from '../volume/renewable-buffers.ts';
import { movedPath, repairPath, volumePath, type VolumeShape } from '../volume/volume-file.ts';
import type { FileWindow } from './file-window.ts';
import { type InspectedFile, inspectFile, openForInspection } from './inspect-file.ts';
import { collectLiveStripes, type ExpectedShard, expectedShards, type LiveStripes } from './live-stripes.ts';
import { type RebuildTarget, rebuildShards } from './rebuild-shards.ts';
import { ShardFileWriter } from './shard-file-writer.ts';

/** Of one read or write; raised where shards are longer. */
const BUFFER_BYTES = 1024 * 1024;
const BLOCK_BYTES = 4096;

/** What must be in each file of a volume. */
interface VolumePlan {
  readonly live: LiveStripes;
  readonly expected: readonly (readonly ExpectedShard[])[];
}

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
  #inspecting: Promise<unknown> = Promise.resolve();
  #repairing: Promise<unknown> = Promise.resolve();
  readonly #buffers = new Map<number, RenewableBuffers>();

  constructor(context: StoreContext, files: ShardFiles) {
    this.#context = context;
    this.#files = files;
  }

  /** See `VolumeKeeper.inspectVolume`. One volume at a time, its files at once. */
  inspect(work: VolumeWork & InspectionScope): Promise<VolumeInspection> {
    const running = this.#inspecting.then(() => this.#inspect(work));
    this.#inspecting = running.catch(() => undefined);
    return running;
  }

  /** See `VolumeKeeper.repairVolume`. */
  repair(work: VolumeWork & { diskIds: readonly string[] }): Promise<VolumeRepair> {
    const running = this.#repairing.then(() => this.#repair(work));
    this.#repairing = running.catch(() => undefined);
    return running;
  }

  /** See `VolumeKeeper.moveShard`. In a row with repairs. */
  move(work: VolumeWork & { shardIndex: number; toDiskId: string }): Promise<{ movedBytes: number }> {
    const running = this.#repairing.then(() => this.#move(work));
    this.#repairing = running.catch(() => undefined);
    return running;
  }

  async #plan({ volume, blobs }: VolumeWork): Promise<VolumePlan> {
    const live = await collectLiveStripes(volume.volumeId, blobs);
    return { live, expected: expectedShards(live, volume.diskIds.length) };
  }

  /** Enough for one work of each kind and, since hung calls may keep some for ever, as much again. */
  #buffersFor(volume: VolumeRecord): RenewableBuffers {
    const needed = Math.ceil(volume.shardSizeBytes / BLOCK_BYTES + 1) * BLOCK_BYTES;
    const slotSizeBytes = Math.max(BUFFER_BYTES, needed);
    let buffers = this.#buffers.get(slotSizeBytes);
    if (buffers === undefined) {
      const count = 2 * (4 * volume.diskIds.length + 2);
      buffers = new RenewableBuffers({ slotSizeBytes, budgetBytes: count * (slotSizeBytes + 65_536) });
      this.#buffers.set(slotSizeBytes, buffers);
    }
    return buffers;
  }

  // ——— inspecting ———

  async #inspect(work: VolumeWork & InspectionScope): Promise<VolumeInspection> {
    const { volume, diskIds = volume.diskIds, onlyEnds = false } = work;
    const whole = await this.#plan(work);
    const plan = onlyEnds ? { ...whole, expected: whole.expected.map((file) => file.slice(-1)) } : whole;
    const goodShards = new Uint8Array(plan.live.stripes.length);
    const onGood = ({ stripe }: ExpectedShard): void => void (goodShards[stripe] = (goodShards[stripe] ?? 0) + 1);
    let readBytes = 0;
    const files = await Promise.all(
      volume.diskIds.map(async (diskId, slot): Promise<ShardFileInspection | undefined> => {
        if (!diskIds.includes(diskId)) return undefined;
        const found = await this.#inspectFile(work, plan, { slot, onGood });
        readBytes += found.readBytes;
        const { condition, goodCount, damagedCount, damage } = found;
        const shardCount = plan.expected[slot]?.length ?? 0;
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

  #inspectFile(
    { volume, pace }: { volume: VolumeRecord; pace: Pace },
    plan: VolumePlan,
    {
      slot,
      path = volumePath(volume.volumeId),
      disk = this.#context.disks.byId(volume.diskIds[slot] ?? ''),
      onGood = () => {},
    }: { slot: number; path?: string; disk?: Disk | undefined; onGood?: (shard: ExpectedShard) => void },
  ): Promise<InspectedFile> {
    if (disk === undefined) {
      return Promise.resolve({ condition: 'unreachable', goodCount: 0, damagedCount: 0, damage: [], readBytes: 0 });
    }
    const { stripes } = plan.live;
    const expected = plan.expected[slot] ?? [];
    const buffers = this.#buffersFor(volume);
    return inspectFile({ disk, path, volume, slot, stripes, expected, buffers, pace, onGood });
  }

  // ——— repairing ———

  async #repair(work: VolumeWork & { diskIds: readonly string[] }): Promise<VolumeRepair> {
    const { volume, diskIds } = work;
    const { table } = this.#context;
    table.merge([volume]);
    table.pin(volume.volumeId);
    try {
      if (!table.isSettled(volume.volumeId)) {
        throw new StoreError('NotReady', `volume ${volume.volumeId} is still written to`);
      }
      const plan = await this.#plan(work);
      const wanted = [...volume.diskIds.keys()].filter((slot) => diskIds.includes(volume.diskIds[slot] ?? ''));
      const found = await Promise.all(
        wanted.map(async (slot) => ({ slot, ...(await this.#inspectFile(work, plan, { slot })) })),
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

  /** Makes the files of these slots anew on their own disks. */
  async #rebuild(work: VolumeWork, plan: VolumePlan, slots: readonly number[]): Promise<VolumeRepair> {
    const { volume } = work;
    const places = slots.map((slot) => ({ slot, diskId: volume.diskIds[slot] ?? '' }));
    const { files, ...counts } = await this.#make(work, plan, { places, shape: volume }, (target) =>
      this.#putInPlace(volume, target),
    );
    return { files, ...counts };
  }

  /**
   * Writes files beside those in place and reads them back; `publish` makes each count. What is not published is removed.
   * @throws what `pace` and `publish` throw, unless it is a StoreError other than NotReady: that is the file's outcome
   */
  async #make(
    work: VolumeWork,
    plan: VolumePlan,
    { places, shape }: { places: readonly { slot: number; diskId: string }[]; shape: VolumeShape },
    publish: (target: RebuildTarget) => Promise<void>,
  ): Promise<VolumeRepair> {
    const { volume, pace } = work;
    const path = repairPath(volume.volumeId);
    const files: ShardFileRepair[] = [];
    const targets: RebuildTarget[] = [];
    const sources = new Map<number, FileWindow>();
    const { filesInRepair, disks } = this.#context;
    const closing: (() => Promise<void>)[] = [];
    try {
      for (const { slot, diskId } of places) {
        const disk = disks.byId(diskId);
        if (disk === undefined) continue;
        const name = `${disk.id}/${path}`;
        filesInRepair.add(name);
        closing.push(async () => void filesInRepair.delete(name));
        try {
          const pool = this.#buffersFor(volume);
          const writer = await ShardFileWriter.create({ disk, path, shape, slot, pool });
          targets.push({ slot, writer, lostOffsets: [], rebuiltCount: 0, failure: undefined });
          closing.push(() => writer.close());
        } catch (error) {
          if (!isStoreError(error)) throw error;
          files.push(untouched(disk.id, 'failed', error.message));
          await this.#discard(disk, path);
        }
      }
      if (targets.length > 0) {
        await this.#openSources(volume, sources);
        await rebuildShards({ stripes: plan.live.stripes, sources, targets, pace });
      }
      for (const target of targets) files.push(await this.#finish(work, plan, target, publish));
    } finally {
      for (const source of sources.values()) await source.close();
      for (const target of targets) await this.#discardUnlessPublished(target, files);
      for (const close of closing) await close();
    }
    return {
      files,
      readBytes: [...sources.values()].reduce((sum, { totalBytes }) => sum + totalBytes, 0),
      writtenBytes: targets.reduce((sum, { writer }) => sum + writer.writtenBytes, 0),
    };
  }

  async #openSources(volume: VolumeRecord, sources: Map<number, FileWindow>): Promise<void> {
    await Promise.all(
      volume.diskIds.map(async (diskId, slot) => {
        const disk = this.#context.disks.byId(diskId);
        if (disk?.state !== 'online') return;
        try {
          sources.set(slot, await openForInspection(disk, volumePath(volume.volumeId), this.#buffersFor(volume)));
        } catch (error) {
          if (!isStoreError(error)) throw error;
          // Missing: one of those that are made anew, or one more that will be.
        }
      }),
    );
  }

  /** Syncs the new file, reads all of it back and publishes it. */
  async #finish(
    work: VolumeWork,
    plan: VolumePlan,
    target: RebuildTarget,
    publish: (target: RebuildTarget) => Promise<void>,
  ): Promise<ShardFileRepair> {
    const { volume } = work;
    const { writer, slot, lostOffsets, rebuiltCount } = target;
    const { disk, path } = writer;
    const counts = { rebuiltCount, lostCount: lostOffsets.length };
    try {
      if (target.failure !== undefined) throw target.failure;
      await writer.finish();
      const readBack = await this.#inspectFile(work, plan, { slot, path, disk });
      const isAsWritten = readBack.condition !== 'unreachable' && readBack.damagedCount <= lostOffsets.length;
      if (!isAsWritten || readBack.damage.some(({ offset }) => !lostOffsets.includes(offset))) {
        throw new StoreError('ShardCorrupt', `what was written to ${path} on disk ${disk.id} does not read back`);
      }
      if ((await this.#stateOf(volume)) !== 'sealed') throw new StoreError('BlobGone', 'the volume was dropped');
      await publish(target);
      return {
        diskId: disk.id,
        outcome: lostOffsets.length > 0 ? 'incomplete' : 'repaired',
        ...counts,
        reason: undefined,
      };
    } catch (error) {
      if (!isStoreError(error) || error.code === 'NotReady') throw error;
      this.#context.log.warn({ volumeId: volume.volumeId, diskId: disk.id, err: error }, 'a repair failed');
      return { diskId: disk.id, outcome: 'failed', ...counts, reason: error.message };
    }
  }

  async #putInPlace({ volumeId }: VolumeRecord, { writer }: RebuildTarget): Promise<void> {
    await writer.disk.fs.publish(writer.path, volumePath(volumeId));
    await this.#replaced(writer, volumeId);
  }

  /** @throws StoreError DiskMissing when the path does not name the new file */
  async #replaced({ disk, inode }: ShardFileWriter, volumeId: number): Promise<void> {
    this.#files.discard(disk, volumeId);
    if ((await disk.fs.stat(volumePath(volumeId)))?.inode === inode) return;
    throw new StoreError('DiskMissing', `the repaired file of volume ${volumeId} is gone already`);
  }

  // ——— moving ———

  async #move(work: VolumeWork & { shardIndex: number; toDiskId: string }): Promise<{ movedBytes: number }> {
    const { volume, shardIndex: slot, toDiskId } = work;
    const { table, disks } = this.#context;
    const { volumeId } = volume;
    const fromDiskId = volume.diskIds[slot];
    const to = disks.byId(toDiskId);
    if (fromDiskId === undefined) return { movedBytes: 0 };
    if (fromDiskId === toDiskId) {
      await this.#completeMove(volume, to);
      return { movedBytes: 0 };
    }
    if (to?.state !== 'online' || to.isDraining || volume.diskIds.includes(toDiskId)) {
      throw new StoreError('NotReady', `disk ${toDiskId} takes no shard of volume ${volumeId} now`);
    }
    table.merge([volume]);
    table.pin(volumeId);
    try {
      if (!table.isSettled(volumeId)) throw new StoreError('NotReady', `volume ${volumeId} is still written to`);
      const plan = await this.#plan(work);
      const shape = { ...volume, diskIds: volume.diskIds.with(slot, toDiskId) };
      const places = [{ slot, diskId: toDiskId }];
      let failure: unknown;
      const made = await this.#make(work, plan, { places, shape }, async (target) => {
        try {
          await this.#settleMove({ volumeId, shardIndex: slot, fromDiskId, toDiskId }, target.writer);
        } catch (error) {
          failure = error;
          throw error;
        }
      });
      if (failure !== undefined) throw failure as Error;
      const [file] = made.files;
      if (file === undefined || file.outcome === 'failed') {
        throw new StoreError(
          'DiskFailed',
          `volume ${volumeId} could not be written to disk ${toDiskId}: ${file?.reason}`,
        );
      }
      await this.#removeOld({ volumeId, fromDiskId });
      return { movedBytes: made.writtenBytes };
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
      const known = table.get(volumeId);
      if (known !== undefined) known.diskIds = known.diskIds.with(shardIndex, toDiskId);
      await this.#replaced(writer, volumeId);
    } finally {
      filesInRepair.delete(name);
    }
  }

  /** What a move left undone that learned too late, or never, that the journal has it. */
  async #completeMove({ volumeId, undroppedDiskIds }: VolumeRecord, to: Disk | undefined): Promise<void> {
    const path = movedPath(volumeId);
    if (to?.state === 'online' && (await to.fs.stat(path)) !== undefined) {
      await to.fs.publish(path, volumePath(volumeId));
      this.#files.discard(to, volumeId);
    }
    for (const fromDiskId of undroppedDiskIds) await this.#removeOld({ volumeId, fromDiskId });
  }

  /** Best effort: what cannot be removed and confirmed now is when the disk comes online. */
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
    }
  }

  async #stateOf(volume: VolumeRecord): Promise<VolumeRecord['state'] | undefined> {
    const records = await this.#context.ledger.listVolumes();
    return records.find(({ volumeId }) => volumeId === volume.volumeId)?.state;
  }

  async #discardUnlessPublished({ writer }: RebuildTarget, files: readonly ShardFileRepair[]): Promise<void> {
    const done = files.find(({ diskId }) => diskId === writer.disk.id);
    if (done === undefined || done.outcome === 'failed') await this.#discard(writer.disk, writer.path);
  }

  /** Best effort: what stays is removed by the next repair of the file or the next start. */
  async #discard(disk: Disk, path: string): Promise<void> {
    try {
      if (disk.state === 'online') await disk.fs.unlink(path);
    } catch (error) {
      if (!isStoreError(error)) throw error;
    }
  }
}

function untouched(diskId: string, outcome: 'good' | 'failed', reason?: string): ShardFileRepair {
  return { diskId, outcome, rebuiltCount: 0, lostCount: 0, reason };
}
