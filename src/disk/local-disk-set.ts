import { isStoreError } from '../errors/store-error.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import { isSlow } from './call-pace.ts';
import { chooseCluster, type ClusterFacts } from './choose-cluster.ts';
import { DEFAULT_HEALTH_LIMITS } from './disk-health.ts';
import { lockDisk } from './disk-lock.ts';
import type { DiskFs } from './disk-fs.ts';
import type { Disk, DiskSet, DiskState } from './disk-set.ts';
import type { DiskLocation } from './disk-location.ts';
import { LocalDisk } from './local-disk.ts';
import type { LocalDiskSetOptions } from './local-disk-set-options.ts';
import { adoptionRefused, type ListWith, prepareDirectory } from './prepare-directory.ts';
import { RealDiskFs } from './real-disk-fs.ts';
import { ROOT_PATH } from './relative-path.ts';
import { type DirectoryScan, type MakeDiskFs, scanDirectories, scanDirectory } from './scan-directory.ts';

/** At the default interval once a second. */
const LOOKS_PER_JUDGEMENT = 4;
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
  /** What the identities said at the start: code, disk list, time of formatting. */
  readonly cluster: ClusterFacts;
  readonly #options: LocalDiskSetOptions;
  readonly #makeFs: MakeDiskFs;
  readonly #paths: Set<string>;
  #disks: readonly LocalDisk[];
  readonly #listeners = new Set<(disk: Disk, before: DiskState) => void>();
  /** The last look at each path that carries no disk in use. */
  readonly #scans = new Map<string, DirectoryScan>();
  readonly #scanning = new Set<string>();
  /** Refusals already logged, by path. */
  readonly #told = new Map<string, string>();
  #cancelTick: (() => void) | undefined;
  #looks = 0;
  #isClosed = false;

  /**
   * Reads the identities, locks the disks and begins to watch.
   * @throws StoreError FormatRefused (see `chooseCluster`; also a disk of a newer format) | NotReady: another process
   *   uses a disk (named). Nothing stays locked then.
   */
  static async open(options: LocalDiskSetOptions): Promise<LocalDiskSet> {
    const { paths, clock, log, deadlineMs = 10_000, isPatient } = options;
    const makeFs: MakeDiskFs = options.makeFs ?? ((path, bound) => new RealDiskFs(path, bound));
    const distinct = [...new Set(paths)];
    const scans = await scanDirectories(distinct, makeFs, { clock, deadlineMs, isPatient });
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
    this.#paths = new Set(options.paths);
    const diskCount = cluster.diskIds.length;
    this.#disks = cluster.diskIds.map((id, index) => this.#makeDisk({ id, index, isListed: true, diskCount }));
  }

  #makeDisk({ diskCount, ...place }: { id: string; index: number; isListed: boolean; diskCount: number }): LocalDisk {
    const { clock, random, log, reserveBytes, deadlineMs = 10_000, acquireLock = lockDisk } = this.#options;
    return new LocalDisk({
      ...place,
      lastPath: this.#options.lastPaths?.get(place.id),
      clock,
      random,
      log,
      reserveBytes,
      deadlineMs,
      maxCallsInFlight: this.#options.maxCallsPerDisk ?? callsPerDisk({ threadPoolSize: 128, diskCount }),
      health: { ...DEFAULT_HEALTH_LIMITS, ...this.#options.health },
      acquireLock,
      onChange: (disk, before) => {
        for (const listener of this.#listeners) listener(disk, before);
      },
    });
  }

  get disks(): readonly LocalDisk[] {
    return this.#disks;
  }

  /** Directories that are looked at and carry no disk in use, with the reason. */
  unusedPaths(): { path: string; diskId: string | undefined; reason: string; isEmpty: boolean }[] {
    return [...this.#scans.values()]
      .filter(({ path }) => !this.#isInUse(path))
      .map((scan) => ({
        path: scan.path,
        diskId: scan.found === 'disk' ? scan.identity.diskId : undefined,
        reason: scan.found === 'disk' ? (this.#told.get(scan.path) ?? 'it is not used') : scan.reason,
        isEmpty: scan.found === 'nothing' && scan.isDirectory,
      }));
  }

  // ——— changes of the list ———

  /**
   * The journal's word on which disks there are: those it names stay or are made, in its order; all others but those
   * being added are let go, and refused wherever they are seen.
   */
  applyList(diskIds: readonly string[]): void {
    const before = new Map(this.#disks.map((disk) => [disk.id, disk]));
    const listed = diskIds.map((id, index) => {
      return before.get(id) ?? this.#makeDisk({ id, index, isListed: true, diskCount: diskIds.length });
    });
    const wanted = new Set(diskIds);
    const joining = this.#disks.filter((disk) => !disk.isListed && !wanted.has(disk.id));
    const gone = this.#disks.filter((disk) => disk.isListed && !wanted.has(disk.id));
    this.#disks = [...listed, ...joining];
    for (const [index, disk] of listed.entries()) disk.enlist(index);
    for (const disk of gone) this.#letGo(disk, 'it is not in the list of disks');
  }

  /**
   * Makes an empty directory a disk that is being added: it is `returning`, journals can be levelled there, and it is
   * `online` when `applyList` has named it. `addedAtSequence` and `listWith` go into its identity. A crash leaves a directory that
   * the same call, with the same path, goes on with.
   * @throws StoreError FormatRefused: not an empty directory, or in use | NotReady: locked by another process | DiskFailed …
   */
  async adopt(
    path: string,
    {
      addedAtSequence,
      code,
      listWith,
      lostIds = [],
    }: { addedAtSequence: number; code: ErasureCode; listWith: ListWith; lostIds?: readonly string[] | undefined },
  ): Promise<LocalDisk> {
    const bound = this.#disks.find((disk) => disk.path === path);
    if (bound !== undefined) throw adoptionRefused(`${path} is disk ${bound.index} (${bound.id})`);
    const { clock, random } = this.#options;
    const fs = this.#makeFs(path, {});
    await this.#assertOwnDirectory(path, fs);
    const identity = await prepareDirectory({
      path,
      fs,
      cluster: { clusterId: this.clusterId, ...code },
      listedIds: new Set(this.#disks.filter((disk) => disk.isListed).map((disk) => disk.id)),
      lostIds: new Set(lostIds),
      listWith,
      addedAtSequence,
      nowMs: clock.nowMs(),
      random,
    });
    const scan = await scanDirectory(path, this.#makeFs);
    if (scan.found !== 'disk' || this.#isClosed) throw adoptionRefused(`${path} changed while it was being added`);
    const { diskId } = identity;
    const disk = this.#makeDisk({
      id: diskId,
      index: this.#disks.length,
      isListed: false,
      diskCount: this.#disks.length + 1,
    });
    this.#paths.add(path);
    // Before it is bound: that tells the listeners, who then find it here.
    this.#disks = [...this.#disks, disk];
    try {
      disk.bind(scan.location, 'returning');
    } catch (error) {
      this.dismiss(disk.id);
      throw error;
    }
    this.#scans.delete(path);
    this.#told.delete(path);
    return disk;
  }

  /** Ends an addition that failed; the directory stays as it is. */
  dismiss(diskId: string): void {
    const disk = this.byId(diskId);
    if (disk === undefined || disk.isListed) return;
    this.#disks = this.#disks.filter((other) => other !== disk);
    this.#letGo(disk, 'it was not added');
  }

  /**
   * Also looks at this path from now on. A disk of the list that is there and was found nowhere so far, as after a crash
   * that came before the path was remembered, is `returning`. `undefined`: the path carries no such disk.
   * @throws StoreError FormatRefused: it does, but cannot be used
   */
  async takeUp(path: string): Promise<LocalDisk | undefined> {
    if (this.#isInUse(path)) return undefined;
    const scan = await scanDirectory(path, this.#makeFs);
    if (scan.found !== 'disk' || scan.identity.clusterId !== this.clusterId || this.#isClosed) return undefined;
    const disk = this.byId(scan.identity.diskId);
    if (disk === undefined || !disk.isListed) return undefined;
    // The watcher may have been faster.
    if (disk.path !== undefined) return disk.path === path ? disk : undefined;
    this.#paths.add(path);
    this.#scans.set(path, scan);
    this.#consider(scan);
    if (this.#isInUse(path)) return disk;
    const reason = this.#told.get(path) ?? disk.stateReason ?? disk.state;
    throw adoptionRefused(`${path} is disk ${disk.index} (${disk.id}) and cannot be used: ${reason}`);
  }

  #letGo(disk: LocalDisk, reason: string): void {
    if (disk.path !== undefined) disk.unbind('foreign', reason);
    disk.close();
  }

  /** Two paths of one directory would be two disks that fail as one. */
  async #assertOwnDirectory(path: string, fs: DiskFs): Promise<void> {
    const root = await fs.stat(ROOT_PATH).catch((error: unknown) => {
      if (!isStoreError(error, 'DiskMissing')) throw error;
    });
    if (!root) throw adoptionRefused(`${path} does not exist: make it, or mount the new disk there`);
    for (const disk of this.#disks) {
      if (disk.path === undefined) continue;
      const other = await disk.fs.stat(ROOT_PATH).catch(() => undefined);
      if (other?.device === root.device && other.inode === root.inode) {
        throw adoptionRefused(`${path} and ${disk.path} are the same directory`);
      }
    }
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
    return this.#disks.find((disk) => disk.id === diskId);
  }

  reportFailure(diskId: string, { operation, error }: { operation: string; error: unknown }): void {
    this.byId(diskId)?.noteFailure(operation, error);
  }

  markLevel(diskId: string): void {
    this.byId(diskId)?.markLevel();
  }

  markBehind(diskId: string, reason: string): void {
    this.byId(diskId)?.markBehind(reason);
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
      if (++this.#looks % LOOKS_PER_JUDGEMENT === 0) this.#judgePaces();
      for (const path of this.#paths) if (!this.#isInUse(path)) void this.#look(path);
      this.#scheduleTick();
    });
  }

  #judgePaces(): void {
    const paces = this.disks.map((disk) => ({ disk, writeMs: disk.writeMs() }));
    const judged = paces.map(({ disk, writeMs }) => {
      const othersMs = paces.flatMap((other) => (other.disk === disk ? [] : (other.writeMs ?? [])));
      return { disk, writeMs, isSlow: writeMs !== undefined && isSlow(writeMs, othersMs) };
    });
    // Many at once are those that work while the others rest.
    const areFew = judged.filter((one) => one.isSlow).length <= Math.max(1, paces.length / 4);
    for (const { disk, ...pace } of judged) disk.notePace({ ...pace, isSlow: pace.isSlow && areFew });
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
    const disk = this.byId(identity.diskId);
    if (disk === undefined) {
      return this.#tell(
        path,
        `disk ${identity.diskId} is not in the list of disks: removed, replaced, or not added to the end`,
      );
    }
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
