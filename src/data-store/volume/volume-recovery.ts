import { errnoOf } from '../../disk/disk-error.ts';
import type { Disk } from '../../disk/disk-set.ts';
import { isStoreError } from '../../errors/store-error.ts';
import type { VolumeRecord } from '../../model/blob.ts';
import type { StoreContext } from '../store-context.ts';
import { parseStripeHeader, SHARD_ALIGNMENT_BYTES } from '../stripe/stripe-header.ts';
import {
  MOVED_SUFFIX,
  movedPath,
  QUARANTINE_DIRECTORY,
  REPAIR_SUFFIX,
  VOLUME_DIRECTORY,
  VOLUME_HEADER_BYTES,
  volumeFileName,
  volumeIdOfFileName,
  volumePath,
} from './volume-file.ts';

const SCAN_BYTES = 256 * 1024;
/** Until the next look at a disk of which something could not be settled; twice as long each time, up to the longest. */
const RETRY_AFTER_MS = 2_000;
const RETRY_LONGEST_MS = 300_000;

/**
 * What a start does with the volumes of earlier runs, and with each disk that comes back later or of which a move left
 * something to be settled:
 *
 * - volumes left open are sealed. Of a small volume's files only zeros are cut off that lie behind the last byte that
 *   is not zero *and* behind the end of the last shard with a whole header: what was written ahead, never anything that
 *   may have been acknowledged. What a torn, unacknowledged stripe left stays as garbage that nothing names.
 * - files of dropped volumes are removed and the drop is confirmed,
 * - files that a repair did not finish are removed; those that were moved here are put in place when the journal says
 *   so and none is there, else removed; those that were moved away are removed, which is confirmed,
 * - files that the journal does not know are moved into `quarantine/` on their disk. Nothing is deleted.
 */
export class VolumeRecovery {
  readonly #context: StoreContext;
  readonly #sealing = new Set<number>();
  /** Disks to be inspected later: what ends the wait. */
  readonly #waiting = new Map<string, () => void>();
  /** Of disks whose last inspection failed. */
  readonly #delaysMs = new Map<string, number>();
  readonly #inspecting = new Set<string>();
  #isStopped = false;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  async start(): Promise<void> {
    const { table, disks } = this.#context;
    await this.#takeOver(await table.mergeList());
    // A journal that takes no writes now does not keep the start from going on to read.
    await this.#context.seals.settle();
    const present = disks.disks.filter((disk) => disk.state === 'online');
    await Promise.all(present.map((disk) => this.inspectDisk(disk)));
  }

  /** No inspection begins after this. */
  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#waiting.values()) cancel();
    this.#waiting.clear();
  }

  /** Seals what the journal says is open and this process has neither opened nor sealed. */
  async #takeOver(records: readonly VolumeRecord[]): Promise<void> {
    const { table, seals } = this.#context;
    const left = records.filter(
      ({ volumeId, state }) =>
        state === 'open' &&
        table.get(volumeId)?.state !== 'open' &&
        !seals.isPending(volumeId) &&
        !this.#sealing.has(volumeId),
    );
    for (const { volumeId } of left) this.#sealing.add(volumeId);
    for (const record of left) await this.#seal(record).finally(() => this.#sealing.delete(record.volumeId));
  }

  async #seal(record: VolumeRecord): Promise<void> {
    const { disks, seals, log } = this.#context;
    const lengths = await Promise.all(
      record.diskIds.map(async (diskId) => {
        const disk = disks.byId(diskId);
        if (disk?.state !== 'online') return undefined;
        try {
          return await this.#endOfFile(disk, record);
        } catch (error) {
          if (!isStoreError(error)) throw error;
          if (errnoOf(error) === 'ENOENT') return 0;
          disks.reportFailure(disk.id, { operation: 'seal', error });
          return undefined;
        }
      }),
    );
    const known = lengths.filter((length) => length !== undefined);
    if (known.length === 0) {
      // Nothing of it is here: its length is unknown, and a later start will know it.
      log.warn({ volumeId: record.volumeId }, 'a volume stays open in the journal: none of its disks is here');
      return;
    }
    seals.seal(record.volumeId, Math.max(...known));
  }

  /** The file's length after its surplus of zeros, if it is a small volume's, has been cut. */
  async #endOfFile(disk: Disk, record: VolumeRecord): Promise<number> {
    const path = volumePath(record.volumeId);
    const file = await disk.fs.open(path, record.purpose === 'small' ? 'write' : 'read');
    try {
      const sizeBytes = await file.sizeBytes();
      if (record.purpose === 'large' || sizeBytes <= VOLUME_HEADER_BYTES) return sizeBytes;
      const read = async (from: number, to: number): Promise<Buffer> => {
        const bytes = Buffer.allocUnsafe(to - from);
        return bytes.subarray(0, await file.read(bytes, from));
      };
      const endOfData = await lastNonZero(read, sizeBytes);
      const end = Math.max(endOfData, await endOfLastShard(read, record, endOfData));
      const kept = Math.min(sizeBytes, Math.max(VOLUME_HEADER_BYTES, end));
      if (kept < sizeBytes) await file.truncate(kept);
      return kept;
    } finally {
      await file.close();
    }
  }

  /**
   * Finishes drops and moves and quarantines unknown files of one disk. Safe while volumes are being opened. While the
   * journal has an undecided frame nothing is touched, because that frame may open the volume of an unknown file. What
   * could not be done is tried again for as long as the disk is online. Never rejects.
   */
  async inspectDisk(disk: Disk): Promise<void> {
    // One at a time: the next looks at what this one has left.
    if (this.#inspecting.has(disk.id)) return this.inspectLater(disk);
    this.#inspecting.add(disk.id);
    try {
      await this.#inspect(disk);
      this.#delaysMs.delete(disk.id);
    } catch (error) {
      const fields = { diskId: disk.id, err: error };
      if (!isStoreError(error)) this.#context.log.error(fields, 'the volumes of a disk could not be inspected');
      else if (!isStoreError(error, 'QuorumLost', 'Undecided', 'IndexFailed')) {
        this.#context.log.warn(fields, 'the volumes of a disk could not be inspected, it is tried again');
      }
      this.inspectLater(disk);
    } finally {
      this.#inspecting.delete(disk.id);
    }
  }

  /** Its files are being compared with an earlier list: none may appear there that this list does not know. */
  isInspecting(diskId: string): boolean {
    return this.#inspecting.has(diskId);
  }

  /** Something there has to be settled that cannot be now. */
  inspectLater(disk: Disk): void {
    if (this.#isStopped || this.#waiting.has(disk.id)) return;
    const delayMs = this.#delaysMs.get(disk.id) ?? RETRY_AFTER_MS;
    this.#delaysMs.set(disk.id, Math.min(RETRY_LONGEST_MS, 2 * delayMs));
    const cancel = this.#context.clock.schedule(delayMs, () => {
      this.#waiting.delete(disk.id);
      // A disk that is gone is inspected when it comes back.
      if (disk.state === 'online') void this.inspectDisk(disk);
      else this.#delaysMs.delete(disk.id);
    });
    this.#waiting.set(disk.id, cancel);
  }

  async #inspect(disk: Disk): Promise<void> {
    const { ledger, disks, table } = this.#context;
    const names = await listOrNothing(disk, VOLUME_DIRECTORY);
    // After the listing: a file made meanwhile belongs to a volume that was acknowledged before.
    await ledger.whenDecided();
    const listed = await table.mergeList();
    await this.#takeOver(listed);
    const records = new Map(listed.map((record) => [record.volumeId, record]));
    const failures: unknown[] = [];
    const staying = new Set<number>();
    for (const name of names) {
      const isMoved = name.endsWith(MOVED_SUFFIX);
      const volumeId = volumeIdOfFileName(isMoved ? name.slice(0, -MOVED_SUFFIX.length) : name);
      const record = volumeId === undefined ? undefined : records.get(volumeId);
      try {
        const isRead = record?.state === 'dropped' && table.pinnedVolumeIds().has(record.volumeId);
        // Its readers end first; then the collector removes it.
        if (isRead) staying.add(record.volumeId);
        else if (isMoved && volumeId !== undefined) await this.#finishMove(disk, volumeId, record);
        else await this.#settleFile(disk, name, record);
      } catch (error) {
        // One file that stays keeps no other from being settled.
        failures.push(error);
        if (volumeId !== undefined) staying.add(volumeId);
      }
    }
    for (const { volumeId, undroppedDiskIds } of records.values()) {
      if (staying.has(volumeId)) continue;
      // A disk that left the list never comes back.
      const gone = undroppedDiskIds.filter((diskId) => diskId === disk.id || disks.byId(diskId) === undefined);
      if (gone.length > 0) await ledger.confirmDrop(volumeId, gone);
    }
    if (failures.length > 0) throw failures[0];
  }

  async #settleFile(disk: Disk, name: string, record: VolumeRecord | undefined): Promise<void> {
    if (name.endsWith(REPAIR_SUFFIX)) {
      await this.#removeLeftover(disk, `${VOLUME_DIRECTORY}/${name}`);
    } else if (record?.state === 'dropped' || record?.undroppedDiskIds.includes(disk.id) === true) {
      await disk.fs.unlink(`${VOLUME_DIRECTORY}/${name}`);
    } else if (record === undefined || !record.diskIds.includes(disk.id)) {
      this.#context.log.warn(
        { diskId: disk.id, file: name },
        'a shard file that the journal does not know was quarantined',
      );
      await this.#quarantine(disk, name);
    }
  }

  /**
   * A whole file that came from another disk: the journal, of which nothing is undecided, says whether it lies here. One
   * that a repair has made in its place meanwhile was read back later, and stays.
   */
  async #finishMove(disk: Disk, volumeId: number, record: VolumeRecord | undefined): Promise<void> {
    const path = movedPath(volumeId);
    if (this.#context.filesInRepair.has(`${disk.id}/${path}`)) return;
    const isHere = record?.state === 'sealed' && record.diskIds.includes(disk.id);
    if (!isHere || (await disk.fs.stat(volumePath(volumeId))) !== undefined) await disk.fs.unlink(path);
    else {
      await disk.fs.publish(path, volumePath(volumeId));
      // Where it came from may be waited for until now.
      for (const diskId of record.undroppedDiskIds) {
        const from = this.#context.disks.byId(diskId);
        if (from !== undefined) this.inspectLater(from);
      }
    }
  }

  /** Of a repair that a crash ended: it is begun anew. */
  async #removeLeftover(disk: Disk, path: string): Promise<void> {
    if (!this.#context.filesInRepair.has(`${disk.id}/${path}`)) await disk.fs.unlink(path);
  }

  async #quarantine(disk: Disk, name: string): Promise<void> {
    await disk.fs.createDirectoryDurable(QUARANTINE_DIRECTORY);
    const target = `${QUARANTINE_DIRECTORY}/${name}`;
    const isTaken = (await disk.fs.stat(target)) !== undefined;
    const suffix = isTaken ? `.${this.#context.random.bytes(6).toString('hex')}` : '';
    await disk.fs.publish(`${VOLUME_DIRECTORY}/${name}`, target + suffix);
  }

  /** Removes the files of a dropped volume where its disks are online; returns the disks that have none any more. */
  async removeFiles(volume: VolumeRecord): Promise<string[]> {
    const { disks, log } = this.#context;
    const awaited = volume.state === 'dropped' ? volume.undroppedDiskIds : volume.diskIds;
    const confirmed = await Promise.all(
      awaited.map(async (diskId) => {
        const disk = disks.byId(diskId);
        // No longer in the list of disks: it never comes back.
        if (disk === undefined) return diskId;
        if (disk.state !== 'online') return undefined;
        try {
          await disk.fs.unlink(volumePath(volume.volumeId));
          return diskId;
        } catch (error) {
          if (!isStoreError(error)) throw error;
          log.warn({ diskId, file: volumeFileName(volume.volumeId), error }, 'a dropped shard file stays for now');
          disks.reportFailure(diskId, { operation: 'unlink', error });
          return undefined;
        }
      }),
    );
    return confirmed.filter((diskId) => diskId !== undefined);
  }
}

export async function listOrNothing(disk: Disk, directory: string): Promise<string[]> {
  try {
    return await disk.fs.list(directory);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' && !isStoreError(error, 'DiskMissing')) return [];
    throw error;
  }
}

type ReadRange = (from: number, to: number) => Promise<Buffer>;

/** One past the last byte that is not zero. */
async function lastNonZero(read: ReadRange, sizeBytes: number): Promise<number> {
  for (let end = sizeBytes; end > 0; end -= Math.min(end, SCAN_BYTES)) {
    const start = Math.max(0, end - SCAN_BYTES);
    const bytes = await read(start, end);
    for (let i = bytes.length - 1; i >= 0; i--) if (bytes[i] !== 0) return start + i + 1;
  }
  return 0;
}

/** The end of the last shard with a whole header that begins before `endOfData`: its own end may be zeros. */
async function endOfLastShard(read: ReadRange, record: VolumeRecord, endOfData: number): Promise<number> {
  const alignedEnd = Math.ceil(endOfData / SHARD_ALIGNMENT_BYTES) * SHARD_ALIGNMENT_BYTES;
  const start = Math.max(VOLUME_HEADER_BYTES, alignedEnd - record.shardSizeBytes - VOLUME_HEADER_BYTES);
  if (start >= alignedEnd) return 0;
  const bytes = await read(start, alignedEnd);
  let end = 0;
  for (let at = 0; at + SHARD_ALIGNMENT_BYTES <= bytes.length; at += SHARD_ALIGNMENT_BYTES) {
    const header = parseStripeHeader(bytes.subarray(at));
    if (header?.volumeId === record.volumeId && header.places[header.shardIndex]?.offset === start + at) {
      end = Math.max(end, start + at + header.shardLengthBytes);
    }
  }
  return end;
}
