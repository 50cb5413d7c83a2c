import type { DiskCommandAnswer } from '../admin/admin-app.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import { isStoreError } from '../errors/store-error.ts';
import { BackgroundLoop } from '../healing/background-loop.ts';
import type { Clock } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';

export interface AutoReplacerOptions {
  disks: Pick<LocalDiskSet, 'disks' | 'unusedPaths'>;
  /** Refused when the directory lies on another device by now. */
  replace: (request: { name: string; newPath: string; onDevice: number }) => Promise<DiskCommandAnswer>;
  /** The device on which a file system of its own is mounted at this path; `undefined`: there is none, or it is not known. */
  mountedDevice: (path: string) => Promise<number | undefined>;
  clock: Clock;
  log: Log;
  /** A disk is missing, and the same empty file system mounted at its place, for so long. */
  afterMs: number;
  intervalMs?: number;
}

const INTERVAL_MS = 5000;

/**
 * The policy `mounted`: an empty directory takes the place of a missing disk by itself when it is the root of a file system that
 * was mounted at the very path where the disk was, on a device that no other disk is on. The directory below a mount
 * point, which shows when a disk is not mounted, lies on its parent's device and is never taken. One disk at a
 * time, and never in a way that gives something up: what `replace` refuses stays for a person.
 */
export class AutoReplacer {
  readonly #options: AutoReplacerOptions;
  readonly #loop: BackgroundLoop;
  /** By path: which device, since when on the monotonic clock. */
  readonly #seen = new Map<string, { device: number; sinceMs: number }>();

  constructor(options: AutoReplacerOptions) {
    this.#options = options;
    const { clock, afterMs, intervalMs = Math.min(INTERVAL_MS, afterMs) } = options;
    this.#loop = new BackgroundLoop({ clock, intervalMs, step: () => this.look() });
  }

  start(): void {
    this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async look(): Promise<void> {
    const { disks, clock, log, afterMs } = this.#options;
    const empty = new Set(disks.unusedPaths().flatMap(({ path, isEmpty }) => (isEmpty ? [path] : [])));
    const inUse = new Set(disks.disks.flatMap(({ path, device }) => (path === undefined ? [] : [device])));
    for (const path of this.#seen.keys()) if (!empty.has(path)) this.#seen.delete(path);
    for (const { id, state, lastPath, isListed } of disks.disks) {
      if (!isListed || state !== 'missing' || lastPath === undefined || !empty.has(lastPath)) continue;
      const device = await this.#options.mountedDevice(lastPath);
      const nowMs = clock.monotonicMs();
      if (device === undefined || inUse.has(device)) {
        this.#seen.delete(lastPath);
        continue;
      }
      const seen = this.#seen.get(lastPath);
      if (seen?.device !== device) {
        this.#seen.set(lastPath, { device, sinceMs: nowMs });
        log.warn(
          { diskId: id, path: lastPath, afterMs },
          'an empty file system is mounted at the place of a missing disk',
        );
        continue;
      }
      if (nowMs - seen.sinceMs < afterMs) continue;
      this.#seen.delete(lastPath);
      try {
        const { message } = await this.#options.replace({ name: id, newPath: lastPath, onDevice: device });
        log.warn({ diskId: id, path: lastPath, message }, 'a missing disk was replaced by policy');
      } catch (error) {
        if (!isStoreError(error)) throw error;
        log.warn({ err: error, diskId: id, path: lastPath }, 'a missing disk could not be replaced by policy');
      }
      return;
    }
  }
}
