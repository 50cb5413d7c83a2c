import type { Disk } from '../../disk/disk-set.ts';
import type { DiskFile } from '../../disk/disk-fs.ts';
import type { Clock } from '../../model/clock.ts';
import { volumePath } from '../volume/volume-file.ts';

interface Handle {
  readonly opening: Promise<DiskFile>;
  checkedAtMs: number;
  users: number;
  isDiscarded: boolean;
}

/**
 * Shard files kept open for reading: a bounded number, the least recently used goes first. A handle older than a moment
 * is checked to be the file its path names before it is used, so that a replaced or repaired file is seen; a file that
 * was removed reads as absent. Closed only when nobody reads from it.
 */
export class ShardFiles {
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #checkAfterMs: number;
  /** In the order of use, the oldest first. */
  readonly #handles = new Map<string, Handle>();

  constructor({ clock, limit, checkAfterMs }: { clock: Clock; limit: number; checkAfterMs: number }) {
    this.#clock = clock;
    this.#limit = limit;
    this.#checkAfterMs = checkAfterMs;
  }

  /** Reads as `DiskFile.read` does. @throws what opening or reading throws; the handle is then given up. */
  async read(disk: Disk, volumeId: number, buffer: Uint8Array, offset: number): Promise<number> {
    const handle = this.#handleOf(disk, volumeId);
    handle.users++;
    try {
      const file = await handle.opening;
      const now = this.#clock.monotonicMs();
      if (now - handle.checkedAtMs > this.#checkAfterMs) {
        handle.checkedAtMs = now;
        if (!(await file.stillThere())) {
          this.discard(disk, volumeId);
          return await this.read(disk, volumeId, buffer, offset);
        }
      }
      return await file.read(buffer, offset);
    } catch (error) {
      if (this.#handles.get(keyOf(disk, volumeId)) === handle) this.discard(disk, volumeId);
      throw error;
    } finally {
      handle.users--;
      if (handle.isDiscarded) closeIfUnused(handle);
    }
  }

  /** The next read opens the file anew. */
  discard(disk: Disk, volumeId: number): void {
    const key = keyOf(disk, volumeId);
    const handle = this.#handles.get(key);
    if (handle === undefined) return;
    this.#handles.delete(key);
    handle.isDiscarded = true;
    closeIfUnused(handle);
  }

  stop(): void {
    for (const handle of this.#handles.values()) {
      handle.isDiscarded = true;
      closeIfUnused(handle);
    }
    this.#handles.clear();
  }

  #handleOf(disk: Disk, volumeId: number): Handle {
    const key = keyOf(disk, volumeId);
    let handle = this.#handles.get(key);
    if (handle === undefined) {
      const opening = disk.fs.open(volumePath(volumeId), 'read');
      handle = { opening, checkedAtMs: this.#clock.monotonicMs(), users: 0, isDiscarded: false };
      if (this.#handles.size >= this.#limit) this.#evictOldest();
    } else {
      this.#handles.delete(key);
    }
    this.#handles.set(key, handle);
    return handle;
  }

  #evictOldest(): void {
    for (const [key, handle] of this.#handles) {
      this.#handles.delete(key);
      handle.isDiscarded = true;
      closeIfUnused(handle);
      return;
    }
  }
}

function keyOf(disk: Disk, volumeId: number): string {
  return `${disk.id}/${volumeId}`;
}

/** Closing is best effort: nothing depends on it, and a disk that cannot close a file tells so at its next real call. */
function closeIfUnused(handle: Handle): void {
  if (handle.users > 0) return;
  handle.opening.then((file) => file.close()).catch(() => undefined);
}
