import { assert } from '../../errors/assert.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import type { Disk } from '../../disk/disk-set.ts';
import type { DiskFile } from '../../disk/disk-fs.ts';
import type { ErasureCode } from '../../model/erasure-code.ts';
import { STANDARD } from '../../model/storage-class.ts';
import { codeFor, type Placement, placeVolume } from '../placement.ts';
import type { StoreContext } from '../store-context.ts';
import { releaseWhenSettled } from './buffer-return.ts';
import { deadlinesOf, settleCalls } from './disk-calls.ts';
import {
  encodeVolumeHeader,
  VOLUME_DIRECTORY,
  VOLUME_HEADER_BYTES,
  volumePath,
  type VolumeShape,
} from './volume-file.ts';
import type { KnownVolume } from './volume-table.ts';

export interface VolumeSlot {
  readonly slot: number;
  readonly disk: Disk;
  readonly file: DiskFile;
}

export interface OpenedVolume {
  readonly volume: KnownVolume;
  readonly slots: readonly VolumeSlot[];
}

/** A disk that failed a write is not chosen again for this long, if there are enough others. */
const AVOID_MS = 2_000;

/**
 * Opens volumes over the disks that are usable now. Order: the journal acknowledges the opening, then the files are
 * made, each with its header synced and its path checked. A crash in between leaves a volume the journal knows and no
 * or some files: sealed at the next start and dropped by the collector.
 */
export class VolumeOpener {
  readonly #context: StoreContext;
  readonly #avoidedUntilMs = new Map<string, number>();
  /** Disks whose directory of volumes was made in this run. */
  readonly #prepared = new Set<string>();

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** The code a volume would get now. */
  writeCode(): ErasureCode | undefined {
    return codeFor(this.#context.code(), this.#context.disks.disks.filter(this.#context.accepts).length);
  }

  /** Is a volume of this code no longer what is wanted: of another code than the class has now, or narrower than one opened now? */
  isOutdated({ k, m }: ErasureCode): boolean {
    const code = this.#context.code();
    return m !== code.m || k > code.k || this.#couldBeWider(k);
  }

  #couldBeWider(k: number): boolean {
    const now = this.#context.clock.monotonicMs();
    const usable = this.#context.disks.disks.filter(
      (disk) => this.#context.accepts(disk) && !this.#isAvoided(disk, now),
    );
    return (codeFor(this.#context.code(), usable.length)?.k ?? 0) > k;
  }

  /** A store saw a disk fail a write: tells the disk set, and leaves the disk alone for a while. */
  reportFailure(disk: Disk, operation: string, error: unknown): void {
    this.#avoidedUntilMs.set(disk.id, this.#context.clock.monotonicMs() + AVOID_MS);
    // The directory of volumes may be what was removed: the next volume makes sure of it again.
    this.#prepared.delete(disk.id);
    this.#context.disks.reportFailure(disk.id, { operation, error });
  }

  /** @throws StoreError QuorumLost | DiskFull: fewer than m + 1 disks take data; or what the ledger throws. */
  async open(purpose: 'small' | 'large', shardSizeBytes: number): Promise<OpenedVolume> {
    const { ledger, table, disks, storageClass } = this.#context;
    for (let attempt = 0; attempt <= disks.disks.length; attempt++) {
      const placement = this.#place();
      const shape: VolumeShape = {
        volumeId: ledger.nextIdentifier(),
        k: placement.code.k,
        m: placement.code.m,
        diskIds: placement.diskIds,
        purpose,
        shardSizeBytes,
      };
      const record = storageClass === STANDARD ? shape : { ...shape, storageClass };
      // Before the journal says so: whoever lists volumes would take it for one that an earlier run left open, and seal it.
      const volume = table.add(record, 'open');
      try {
        await ledger.openVolume(record);
      } catch (error) {
        table.forget(record.volumeId);
        throw error;
      }
      // The list of disks may have changed meanwhile.
      const isListed = shape.diskIds.every((diskId) => disks.byId(diskId) !== undefined);
      const slots = isListed ? await this.#makeFiles(shape) : undefined;
      if (slots !== undefined) return { volume, slots };
      this.sealLater(volume, 0);
    }
    throw new StoreError('QuorumLost', 'no volume could be opened: disks fail one after another');
  }

  /** Nothing is appended any more; the journal learns it in the background. */
  sealLater(volume: KnownVolume, lengthBytes: number): void {
    volume.state = 'sealed';
    this.#context.seals.seal(volume.volumeId, lengthBytes);
  }

  #isAvoided(disk: Disk, nowMs: number): boolean {
    return (this.#avoidedUntilMs.get(disk.id) ?? 0) > nowMs;
  }

  #place(): Placement {
    const { disks, random, clock, accepts } = this.#context;
    const code = this.#context.code();
    const now = clock.monotonicMs();
    const fraction = random.fraction();
    const listed = disks.disks.map((disk) => ({
      id: disk.id,
      isUsable: accepts(disk),
      isAvoided: this.#isAvoided(disk, now),
      freeBytes: disk.space.freeBytes,
    }));
    const preferred = listed.map((disk) => ({ ...disk, isUsable: disk.isUsable && !disk.isAvoided }));
    const placement =
      placeVolume({ configured: code, disks: preferred, fraction }) ??
      placeVolume({ configured: code, disks: listed, fraction });
    if (placement !== undefined) return placement;
    const online = disks.disks.filter((disk) => disk.state === 'online').length;
    if (online > code.m) {
      throw new StoreError('DiskFull', `fewer than ${code.m + 1} disks have space above the reserve`, {
        hint: 'delete objects, free space on the disks, or add disks',
      });
    }
    throw new StoreError('QuorumLost', `${online} disks are usable, writing needs ${code.m + 1}`, {
      hint: 'bring back the missing disks; reading goes on',
    });
  }

  /** `undefined` when a disk failed; it has been reported. */
  async #makeFiles(shape: VolumeShape): Promise<VolumeSlot[] | undefined> {
    const { disks, stripeBuffers, clock, tunables } = this.#context;
    const buffer = await stripeBuffers.acquire();
    const slots: VolumeSlot[] = [];
    const calls = shape.diskIds.map((diskId, slot) => {
      const disk = disks.byId(diskId);
      assert(disk !== undefined, `placement chose unknown disk ${diskId}`);
      const header = buffer.bytes.subarray(slot * VOLUME_HEADER_BYTES, (slot + 1) * VOLUME_HEADER_BYTES);
      encodeVolumeHeader(header, shape, slot);
      const promise = this.#makeFile(shape, disk, header).then((file) => {
        slots[slot] = { slot, disk, file };
      });
      return { slot, disk, promise };
    });
    const failures = await settleCalls(calls, {
      clock,
      ...deadlinesOf(tunables),
      operation: 'opening a volume',
    });
    releaseWhenSettled(
      stripeBuffers,
      buffer,
      calls.map((call) => call.promise),
    );
    if (failures.length === 0) return slots;
    for (const { slot, error } of failures) {
      const disk = calls[slot]?.disk;
      if (disk !== undefined) this.reportFailure(disk, 'open volume', error);
    }
    for (const { promise, slot } of calls) {
      promise
        .then(
          () => slots[slot]?.file.close(),
          () => undefined,
        )
        .catch(() => undefined);
    }
    return undefined;
  }

  async #makeFile(shape: VolumeShape, disk: Disk, header: Buffer): Promise<DiskFile> {
    const path = volumePath(shape.volumeId);
    if (!this.#prepared.has(disk.id)) {
      await disk.fs.createDirectoryDurable(VOLUME_DIRECTORY);
      this.#prepared.add(disk.id);
    }
    await disk.fs.createDurable(path);
    const file = await disk.fs.open(path, shape.purpose === 'small' ? 'direct-sync' : 'direct');
    try {
      await file.write(header, 0);
      await file.datasync();
      if (!(await file.stillThere())) throw goneError(path);
    } catch (error) {
      if (!isStoreError(error, 'DiskTimeout')) await file.close();
      throw error;
    }
    return file;
  }
}

/** The path of a file that was just synced no longer names it: its bytes are as good as lost. */
export function goneError(path: string): StoreError {
  return new StoreError('DiskMissing', `${path} was removed or replaced while it was open`, {
    hint: 'somebody removed files of this disk while the server was running',
  });
}
