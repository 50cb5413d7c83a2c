import { errnoOf } from '../../disk/disk-error.ts';
import type { Disk } from '../../disk/disk-set.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { VolumeRecord } from '../../model/blob.ts';
import type { Pace, ShardFileRepair, VolumeRepair, VolumeWork } from '../data-store.ts';
import type { DamageLog } from '../reader/damage-log.ts';
import type { ShardFiles } from '../reader/shard-files.ts';
import type { StoreContext } from '../store-context.ts';
import { RenewableBuffers } from '../volume/renewable-buffers.ts';
import { movedPath, repairPath, volumePath, type VolumeShape } from '../volume/volume-file.ts';
import type { FileWindow } from './file-window.ts';
import { type InspectedFile, inspectFile, openWindow } from './inspect-file.ts';
import { collectLiveStripes, type ExpectedShard, expectedShards, type LiveStripes } from './live-stripes.ts';
import { type RebuildJob, type RebuildTarget, rebuildShards } from './rebuild-shards.ts';
import { ShardFileWriter } from './shard-file-writer.ts';

/** Of one read or write; raised where shards are longer. */
const BUFFER_BYTES = 1024 * 1024;
const BLOCK_BYTES = 4096;

/** What must be in each file of a volume. */
export interface VolumePlan {
  readonly live: LiveStripes;
  /** In the file of a slot. */
  readonly expected: (slot: number) => readonly ExpectedShard[];
}

/**
 * Knows what must be in the files of a volume, inspects them, and makes new ones beside them: written, synced and read
 * back, and only then handed to whoever gives them their place.
 */
export class ShardFileMaker {
  readonly #context: StoreContext;
  readonly #files: ShardFiles;
  readonly #damage: DamageLog;
  /** By size of a slot: enough for volumes of this width. */
  readonly #buffers = new Map<number, { width: number; pool: RenewableBuffers }>();

  constructor(context: StoreContext, files: ShardFiles, damage: DamageLog) {
    this.#context = context;
    this.#files = files;
    this.#damage = damage;
  }

  async plan({ volume, blobs }: VolumeWork): Promise<VolumePlan> {
    const live = await collectLiveStripes(volume.volumeId, blobs);
    const known = new Map<number, readonly ExpectedShard[]>();
    const expected = (slot: number): readonly ExpectedShard[] => {
      let shards = known.get(slot);
      if (shards === undefined) known.set(slot, (shards = expectedShards(live, slot)));
      return shards;
    };
    return { live, expected };
  }

  /**
   * Enough for a repair and three inspections of the widest volume so far, and as many again to read ahead: those are taken
   * only while there are some. A repair holds what it has while it waits for more, so too few would stop it for ever.
   */
  #buffersFor({ shardSizeBytes, diskIds }: VolumeRecord): RenewableBuffers {
    const needed = Math.ceil(shardSizeBytes / BLOCK_BYTES + 1) * BLOCK_BYTES;
    const slotSizeBytes = Math.max(BUFFER_BYTES, needed);
    const width = diskIds.length;
    let known = this.#buffers.get(slotSizeBytes);
    if (known === undefined || known.width < width) {
      const count = 2 * (4 * width + 2);
      const budgetBytes = count * (slotSizeBytes + 65_536);
      // Who works with the former ones gives them back there.
      known = { width, pool: new RenewableBuffers({ slotSizeBytes, budgetBytes }) };
      this.#buffers.set(slotSizeBytes, known);
    }
    return known.pool;
  }

  /** One file, at its place or at `path`. */
  inspectFile(
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
    const expected = plan.expected(slot);
    const buffers = this.#buffersFor(volume);
    return inspectFile({ disk, path, volume, slot, stripes, expected, buffers, pace, onGood });
  }

  /**
   * Writes files beside those in place and reads them back; `publish` makes each count. What is not published is removed.
   * @throws what `pace` and `publish` throw, unless it is a StoreError other than NotReady: that is the file's outcome
   */
  async make(
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
        const absent = await this.#openSources(volume, sources);
        const onBadSource: RebuildJob['onBadSource'] = (slot, damage) => this.#noteBadSource(volume, slot, damage);
        await rebuildShards({ stripes: plan.live.stripes, sources, absent, targets, pace, onBadSource });
      }
      const finished = await Promise.allSettled(targets.map((target) => this.#finish(work, plan, target, publish)));
      for (const one of finished) if (one.status === 'fulfilled') files.push(one.value);
      for (const one of finished) if (one.status === 'rejected') throw one.reason as Error;
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

  /** Of a disk that is online: the healer looks at that file next. */
  #noteBadSource(volume: VolumeRecord, slot: number, damage: Parameters<RebuildJob['onBadSource']>[1]): void {
    const disk = this.#context.disks.byId(volume.diskIds[slot] ?? '');
    if (disk?.state === 'online') this.#damage.add({ volumeId: volume.volumeId, diskId: disk.id, ...damage });
  }

  /** @returns the slots whose files are known not to exist: their disk is there without them, or has left the list */
  async #openSources(volume: VolumeRecord, sources: Map<number, FileWindow>): Promise<Set<number>> {
    const absent = new Set<number>();
    await Promise.all(
      volume.diskIds.map(async (diskId, slot) => {
        const disk = this.#context.disks.byId(diskId);
        if (disk === undefined) absent.add(slot);
        if (disk?.state !== 'online') return;
        try {
          sources.set(slot, await openWindow(disk, volumePath(volume.volumeId), this.#buffersFor(volume)));
        } catch (error) {
          if (!isStoreError(error)) throw error;
          if (errnoOf(error) !== 'ENOENT' || isStoreError(error, 'DiskMissing')) return;
          // A move that the journal has may not have given its file the last name yet.
          if ((await disk.fs.stat(movedPath(volume.volumeId))) === undefined) absent.add(slot);
        }
      }),
    );
    return absent;
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
      const readBack = await this.inspectFile(work, plan, { slot, path, disk });
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

  /** @throws StoreError DiskMissing when the path does not name the new file */
  async replaced({ disk, inode }: ShardFileWriter, volumeId: number): Promise<void> {
    this.#files.discard(disk, volumeId);
    this.#damage.forget(volumeId, disk.id);
    if ((await disk.fs.stat(volumePath(volumeId)))?.inode === inode) return;
    throw new StoreError('DiskMissing', `the repaired file of volume ${volumeId} is gone already`);
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

export function untouched(diskId: string, outcome: 'good' | 'failed', reason?: string): ShardFileRepair {
  return { diskId, outcome, rebuiltCount: 0, lostCount: 0, reason };
}
