import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { StoreContext } from '../store-context.ts';
import type { ShardPlace } from '../stripe/stripe-header.ts';
import { type CallFailure, deadlinesOf, settleCalls } from './disk-calls.ts';
import { VOLUME_HEADER_BYTES } from './volume-file.ts';
import { goneError, type OpenedVolume, type VolumeOpener, type VolumeSlot } from './volume-opener.ts';
import type { KnownVolume } from './volume-table.ts';

export interface ReservedStripe {
  readonly stripeNumber: number;
  readonly places: readonly ShardPlace[];
}

/**
 * The open end of a large volume: stripes of several uploads one behind the other, the same offset in every file,
 * shard i of stripe s in slot (i + s) mod n. Appends may overlap; `sync` makes durable what was written before it was
 * called, one sync of all files for all callers that wait.
 *
 * Invariant: after the first failure nothing more is reserved, written or synced (a failed sync is never retried);
 * uploads append what was not synced again elsewhere.
 */
export class LargeVolume {
  readonly volume: KnownVolume;
  /** Made for one body. */
  readonly isOwned: boolean;
  readonly #context: StoreContext;
  readonly #opener: VolumeOpener;
  readonly #slots: readonly VolumeSlot[];
  #endBytes = VOLUME_HEADER_BYTES;
  #stripeNumber = 0;
  #failure: StoreError | undefined;
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;
  #sealing: Promise<void> | undefined;
  readonly #writes = new Set<Promise<unknown>>();
  /** Stripes whose writes have returned, and how many of them the last sync covered. */
  #writtenCount = 0;
  #syncedCount = 0;

  constructor({
    context,
    opener,
    opened,
    isOwned,
  }: {
    context: StoreContext;
    opener: VolumeOpener;
    opened: OpenedVolume;
    isOwned: boolean;
  }) {
    this.#context = context;
    this.#opener = opener;
    this.#slots = opened.slots;
    this.volume = opened.volume;
    this.isOwned = isOwned;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  canTake(shardLengthBytes: number): boolean {
    if (this.#failure !== undefined || this.#sealing !== undefined || this.volume.isRetired === true) return false;
    const { disks, tunables, accepts } = this.#context;
    for (const diskId of this.volume.diskIds) {
      const disk = disks.byId(diskId);
      if (disk === undefined || !accepts(disk)) return false;
    }
    return this.#endBytes + shardLengthBytes <= tunables.largeVolumeLimitBytes;
  }

  /** Takes the next offset for a stripe of `shardCount` shards; the gap stays when it is never written. */
  reserve({ shardCount, shardLengthBytes }: { shardCount: number; shardLengthBytes: number }): ReservedStripe {
    assert(this.canTake(shardLengthBytes), 'reserve needs canTake');
    const offset = this.#endBytes;
    const stripeNumber = this.#stripeNumber++;
    this.#endBytes += shardLengthBytes;
    const width = this.#slots.length;
    const places = Array.from({ length: shardCount }, (_, i) => ({ slot: (i + stripeNumber) % width, offset }));
    return { stripeNumber, places };
  }

  /**
   * Writes the shards of a reserved stripe; not synced yet. `shards` is in use until all `calls` have settled.
   * `outcome` rejects when a disk failed: the volume has then failed.
   */
  write(
    shards: Buffer,
    places: readonly ShardPlace[],
    shardLengthBytes: number,
  ): { outcome: Promise<void>; calls: Promise<unknown>[] } {
    const calls = places.map(({ slot, offset }, index) => ({
      slot,
      promise: this.#fileOf(slot).write(
        shards.subarray(index * shardLengthBytes, (index + 1) * shardLengthBytes),
        offset,
      ),
    }));
    const outcome = this.#settle(calls, 'append');
    this.#writes.add(outcome);
    outcome.then(
      () => {
        this.#writtenCount++;
        this.#writes.delete(outcome);
      },
      () => this.#writes.delete(outcome),
    );
    return { outcome, calls: calls.map((call) => call.promise) };
  }

  /** Resolves when everything written before the call is synced on every disk of the volume and the files are still there. */
  sync(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#syncedCount === this.#writtenCount) return Promise.resolve();
    if (this.#syncing === undefined) {
      const running = this.#syncAll().finally(() => {
        if (this.#syncing === running) this.#syncing = undefined;
      });
      this.#syncing = running;
      return running;
    }
    // The one under way may have begun before the caller's writes.
    this.#nextSync ??= this.#syncing
      .catch(() => undefined)
      .then(() => {
        this.#nextSync = undefined;
        return this.sync();
      });
    return this.#nextSync;
  }

  async #syncAll(): Promise<void> {
    const covered = this.#writtenCount;
    const calls = this.#slots.map(({ slot, file }) => ({
      slot,
      promise: file.datasync().then(async () => {
        if (!(await file.stillThere())) throw goneError(file.path);
      }),
    }));
    await this.#settle(calls, 'sync');
    // A write that failed meanwhile: what this sync covered may be whole, but nobody should build on this volume.
    if (this.#failure !== undefined) throw this.#failure;
    this.#syncedCount = covered;
  }

  async #settle(calls: readonly { slot: number; promise: Promise<unknown> }[], operation: string): Promise<void> {
    const { clock, tunables } = this.#context;
    const failures = await settleCalls(calls, { clock, ...deadlinesOf(tunables), operation });
    if (failures.length > 0) throw this.#fail(failures, operation);
  }

  #fail(failures: readonly CallFailure[], operation: string): StoreError {
    for (const { slot, error } of failures) {
      const disk = this.#slots[slot]?.disk;
      if (disk !== undefined) this.#opener.reportFailure(disk, operation, error);
    }
    this.#failure ??= new StoreError('DiskFailed', `volume ${this.volume.volumeId} lost a disk during ${operation}`, {
      cause: failures[0]?.error,
    });
    return this.#failure;
  }

  #fileOf(slot: number) {
    const file = this.#slots[slot]?.file;
    assert(file !== undefined, `no slot ${slot}`);
    return file;
  }

  /**
   * Records the seal and closes the files once nothing is being written. Nothing is cut: uploads may still read what
   * they have to move, and nothing was written ahead.
   */
  seal(): Promise<void> {
    this.#sealing ??= this.#seal();
    return this.#sealing;
  }

  async #seal(): Promise<void> {
    await Promise.allSettled(this.#writes);
    // For uploads that have not synced their last stripes yet: afterwards the files are closed.
    await this.sync().catch(() => undefined);
    this.#opener.sealLater(this.volume, this.#endBytes);
    const { clock, tunables, log } = this.#context;
    const calls = this.#slots.map(({ slot, file }) => ({ slot, promise: file.close() }));
    const failures = await settleCalls(calls, { clock, ...deadlinesOf(tunables), operation: 'closing' });
    for (const { slot, error } of failures) {
      log.warn({ volumeId: this.volume.volumeId, slot, error }, 'closing a shard file failed');
    }
  }
}
