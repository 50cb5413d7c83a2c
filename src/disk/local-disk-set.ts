import { isStoreError } from '../errors/store-error.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';
import { chooseCluster, type ClusterFacts } from './choose-cluster.ts';
import { DEFAULT_HEALTH_LIMITS, type HealthLimits } from './disk-health.ts';
import { type DiskLock, lockDisk } from './disk-lock.ts';
import type { Disk, DiskSet, DiskState } from './disk-set.ts';
import { type DiskLocation, LocalDisk } from './local-disk.ts';
import { RealDiskFs } from './real-disk-fs.ts';
import { type DirectoryScan, type MakeDiskFs, scanDirectory, scanWithin } from './scan-directory.ts';

export interface LocalDiskSetOptions {
  /** Absolute, in any order; some may not exist. */
  paths: readonly string[];
  /** What the state directory remembers; disks of any other cluster are refused. */
  expectedClusterId?: string | undefined;
  clock: Clock;
  log: Log;
  random: Randomness;
  /** Free bytes on each disk that object data may not take; at most a tenth of the disk. */
  reserveBytes: number;
  /** Of one file call. Default 10 s. */
  deadlineMs?: number;
  /** Calls of one disk that the system has at once. Default: `callsPerDisk` of a thread pool of 128. */
  maxCallsPerDisk?: number;
  /** Between looks at each directory. Default 250 ms. */
  watchIntervalMs?: number;
  health?: Partial<HealthLimits>;
  /** Default `RealDiskFs`. */
  makeFs?: MakeDiskFs;
  /** Default `lockDisk`. A reader that changes nothing may pass one that locks nothing. */
  acquireLock?: (path: string) => DiskLock;
}

/** Closing does not wait longer than this for looks and probes that hang. */
const CLOSE_BOUND_MS = 1000;

/**
 * How many calls of each disk may be handed to libuv's pool at once, so that hung disks leave threads to the others; 3
 * are left for each disk's watches and probes. At least 4: with a pool of 128, up to 18 disks may all hang but one.
 */
export function callsPerDisk({ threadPoolSize, diskCount }: { threadPoolSize: number; diskCount: number }): number {
  return Math.max(4, Math.min(16, Math.floor(threadPoolSize / diskCount) - 3));
}

/**
 * The disks of one cluster in local directories. Holds a lock on each present one, watches all of them, and finds those
 * that come back at any of the given paths. Nothing is ever created in a directory without the right identity.
 */
export class LocalDiskSet implements DiskSet {
  readonly clusterId: string;
  /** What the identities say: code, disk list, time of formatting. */
  readonly cluster: ClusterFacts;
  readonly disks: readonly LocalDisk[];
  readonly #options: LocalDiskSetOptions;
  readonly #makeFs: MakeDiskFs;
  readonly #byId: ReadonlyMap<string, LocalDisk>;
  readonly #listeners = new Set<(disk: Disk, before: DiskState) => void>();
  /** The last look at each path that carries no disk in use. */
  readonly #scans = new Map<string, DirectoryScan>();
  readonly #scanning = new Set<string>();
  /** Refusals already logged, by path. */
  readonly #told = new Map<string, string>();
  #cancelTick: (() => void) | undefined;
  #isClosed = false;

  /**
   * Reads the identities, locks the disks and begins to watch.
   * @throws StoreError FormatRefused (see `chooseCluster`; also a disk of a newer format) | NotReady: another process
   *   uses a disk (named). Nothing stays locked then.
   */
  static async open(options: LocalDiskSetOptions): Promise<LocalDiskSet> {
    const { paths, clock, log, deadlineMs = 10_000 } = options;
    const makeFs: MakeDiskFs = options.makeFs ?? ((path, bound) => new RealDiskFs(path, bound));
    const distinct = [...new Set(paths)];
    const scans = await Promise.all(distinct.map((path) => scanWithin(path, makeFs, { clock, deadlineMs })));
    const choice = chooseCluster(scans, options.expectedClusterId);
    for (const { path, reason } of choice.unused) log.warn({ path, reason }, 'this directory is not used');
    const set = new LocalDiskSet(options, choice.cluster, makeFs);
    try {
      for (const disk of set.disks) {
        const location = choice.present.get(disk.id);
        const refusal = choice.refused.get(disk.id);
        if (location !== undefined) set.#bindAtStart(disk, location);
        else if (refusal !== undefined) disk.unbind('foreign', refusal);
      }
    } catch (error) {
      await set.close();
      throw error;
    }
    for (const scan of scans) if (!set.#isInUse(scan.path)) set.#scans.set(scan.path, scan);
    set.#scheduleTick();
    return set;
  }

  private constructor(options: LocalDiskSetOptions, cluster: ClusterFacts, makeFs: MakeDiskFs) {
    this.#options = options;
    this.#makeFs = makeFs;
    this.cluster = cluster;
    this.clusterId = cluster.clusterId;
    const { clock, random, reserveBytes, deadlineMs = 10_000, acquireLock = lockDisk } = options;
    const diskCount = cluster.diskIds.length;
    this.disks = cluster.diskIds.map((id, index) => {
      return new LocalDisk({
        id,
        index,
        clock,
        random,
        log: options.log,
        reserveBytes,
        deadlineMs,
        maxCallsInFlight: options.maxCallsPerDisk ?? callsPerDisk({ threadPoolSize: 128, diskCount }),
        health: { ...DEFAULT_HEALTH_LIMITS, ...options.health },
        acquireLock,
        onChange: (disk, before) => {
          for (const listener of this.#listeners) listener(disk, before);
        },
      });
    });
    this.#byId = new Map(this.disks.map((disk) => [disk.id, disk]));
  }

  /** A disk that cannot be locked for a reason of its own is one lost disk; one that another process uses stops the start. */
  #bindAtStart(disk: LocalDisk, location: DiskLocation): void {
    try {
      disk.bind(location, 'online');
    } catch (error) {
      if (!isStoreError(error, 'DiskFailed')) throw error;
      this.#tell(location.path, error.message);
    }
  }

  byId(diskId: string): LocalDisk | undefined {
    return this.#byId.get(diskId);
  }

  reportFailure(diskId: string, { operation, error }: { operation: string; error: unknown }): void {
    this.#byId.get(diskId)?.noteFailure(operation, error);
  }

  markLevel(diskId: string): void {
    this.#byId.get(diskId)?.markLevel();
  }

  markBehind(diskId: string, reason: string): void {
    this.#byId.get(diskId)?.markBehind(reason);
  }

  onChange(listener: (disk: Disk, before: DiskState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Stops watching, refuses further calls and gives the locks back. Bounded: what hangs is left to the system. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTick?.();
    for (const disk of this.disks) disk.close();
    const { clock } = this.#options;
    const endMs = clock.monotonicMs() + CLOSE_BOUND_MS;
    while (this.#isBusy() && clock.monotonicMs() < endMs) {
      await new Promise<void>((resolve) => clock.schedule(5, resolve));
    }
  }

  #isBusy(): boolean {
    return this.#scanning.size > 0 || this.disks.some((disk) => disk.isBusy);
  }

  #scheduleTick(): void {
    this.#cancelTick = this.#options.clock.schedule(this.#options.watchIntervalMs ?? 250, () => {
      for (const disk of this.disks) void disk.watch();
      for (const path of new Set(this.#options.paths)) if (!this.#isInUse(path)) void this.#look(path);
      this.#scheduleTick();
    });
  }

  #isInUse(path: string): boolean {
    return this.disks.some((disk) => disk.path === path);
  }

  /** Looks whether a disk has come (back) to a path. One look a path at a time, so that a hung one does not pile up. */
  async #look(path: string): Promise<void> {
    if (this.#scanning.has(path)) return;
    this.#scanning.add(path);
    try {
      const scan = await scanDirectory(path, this.#makeFs);
      if (this.#isClosed || this.#isInUse(path)) return;
      this.#scans.set(path, scan);
      this.#consider(scan);
    } catch (error) {
      this.#tell(path, `it cannot be used: ${String(error)}`);
    } finally {
      this.#scanning.delete(path);
    }
  }

  #consider(scan: DirectoryScan): void {
    const { path } = scan;
    if (scan.found === 'nothing') return this.#considerAbsence(path);
    if (scan.found === 'unreadable') return this.#tell(path, scan.reason);
    const { identity, isComplete, location } = scan;
    if (identity.clusterId !== this.clusterId) {
      return this.#tell(path, `it belongs to another cluster, ${identity.clusterId}`);
    }
    const disk = this.#byId.get(identity.diskId);
    if (disk === undefined) return this.#tell(path, `disk ${identity.diskId} is not in the cluster's list`);
    if (disk.path !== undefined) return this.#tell(path, `it is a copy of the disk at ${disk.path}`);
    const copies = [...this.#scans.values()].filter(
      (other) => other.found === 'disk' && other.identity.diskId === identity.diskId && !this.#isInUse(other.path),
    );
    if (copies.length > 1) {
      const paths = copies.map((copy) => copy.path).sort();
      return disk.unbind('foreign', `${paths.join(' and ')} are copies of one disk`);
    }
    if (!isComplete) return disk.unbind('foreign', `formatting of ${path} was interrupted`);
    try {
      disk.bind(location, 'returning');
      this.#scans.delete(path);
      this.#told.delete(path);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      this.#tell(path, error.message);
    }
  }

  /** A disk that was refused for what lay at a path is missing once no path carries it any more. */
  #considerAbsence(path: string): void {
    this.#told.delete(path);
    const carried = new Set([...this.#scans.values()].map((scan) => scan.found === 'disk' && scan.identity.diskId));
    for (const disk of this.disks) {
      if (disk.state === 'foreign' && !carried.has(disk.id)) disk.unbind('missing', 'its directory is gone');
    }
  }

  /** Logs a refusal once, not four times a second. */
  #tell(path: string, reason: string): void {
    if (this.#told.get(path) === reason) return;
    this.#told.set(path, reason);
    this.#options.log.error({ path, reason }, 'this directory is not used');
  }
}
