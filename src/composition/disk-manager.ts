import type { DiskCommandAnswer, DiskCommands } from '../admin/admin-app.ts';
import type { DiskPlace } from '../cli/state-directory.ts';
import type { Disk } from '../disk/disk-set.ts';
import type { LocalDisk } from '../disk/local-disk.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import type { ListWith } from '../disk/prepare-directory.ts';
import { codeProblem } from '../disk/disk-identity.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import { STANDARD, type StorageClass } from '../model/storage-class.ts';
import { isStoreError, StoreError } from '../errors/store-error.ts';
import type { DiskJournal } from '../metadata-store/journal/disk-journal.ts';
import { type JournalConfiguration, withDiskList } from '../metadata-store/journal/journal-configuration.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { Log } from '../observability/log.ts';
import { DiskDuties } from './disk-duties.ts';

export interface DiskManagerOptions {
  disks: LocalDiskSet;
  journal: Pick<DiskJournal, 'configuration' | 'changeConfiguration' | 'declareLost' | 'acknowledged' | 'status'>;
  /** Runs what opens a new epoch of the journal when no commit is under way. */
  openEpoch: (open: () => Promise<void>) => Promise<void>;
  metadata: Pick<MetadataStore, 'commit' | 'getDocument' | 'listVolumes'>;
  /** Keeps for the next start where the disks are. */
  remember: (facts: { disks: readonly DiskPlace[]; addedPath: string | undefined }) => Promise<void>;
  /** No more is appended to this open volume: the next one may lie on other disks. */
  sealVolume: (volumeId: number) => void;
  /** Configured ones: the list never becomes shorter than they are wide. */
  storageClasses?: readonly StorageClass[];
  /** Is this a place where disks may be? @throws StoreError FormatRefused */
  checkDirectory: (path: string) => Promise<void>;
  log: Log;
}

/**
 * Changes which disks the cluster has, one change at a time: new directories are prepared, the journal changes its list,
 * and the disk set follows the journal. A crash at any point leaves the old list or the new one, never a mixture; a
 * directory that was prepared and is in neither is taken up by the same command again. Shards are moved by others.
 */
export class DiskManager implements DiskCommands {
  readonly #options: DiskManagerOptions;
  readonly #duties: DiskDuties;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: DiskManagerOptions) {
    this.#options = options;
    this.#duties = new DiskDuties(options);
  }

  /** After the start of the metadata store: which disks are draining. */
  async start(): Promise<void> {
    await this.#duties.load();
  }

  get duties(): DiskDuties {
    return this.#duties;
  }

  /**
   * A new disk in the place of one that is lost, at once; or, with `newPath`, of one that works: then it is drained first, and
   * removed when that is done, unless `isOnlyLost`. `name`: a path, or the id of the disk to be replaced. `onDevice`: only if the directory
   * lies on this device, also when its identity has been written.
   * @throws StoreError FormatRefused: nothing was changed | QuorumLost | Undecided: the next epoch decides, ask again
   */
  replace({
    name,
    newPath,
    isOnlyLost = false,
    onDevice,
  }: {
    name: string;
    newPath: string | undefined;
    isOnlyLost?: boolean;
    onDevice?: number;
  }): Promise<DiskCommandAnswer> {
    return this.#oneByOne(async () => {
      const old = this.#findToReplace(name);
      const path = newPath ?? (name.startsWith('/') ? name : old.lastPath);
      if (path === undefined)
        throw refused(`it is not known where disk ${old.id} was`, 'Give the new directory: --with NEW');
      if (isUsable(old) && isOnlyLost) throw refused(`disk ${old.id} is back (${old.state})`, 'It is used again.');
      if (isUsable(old)) return this.#replaceUsable(old, newPath);
      const listWith: ListWith = (diskId) => this.#listedIds().map((id) => (id === old.id ? diskId : id));
      const disk = await this.#adopt(path, listWith, onDevice);
      if (disk.id === old.id)
        return { diskId: old.id, path, message: `${path} is disk ${old.index}; it is used again` };
      if (this.#listedIds().includes(old.id)) {
        throw refused(`${path} is disk ${disk.index} of the list; disk ${old.index} is still lost`, 'Give another one');
      }
      this.#options.log.warn({ oldDiskId: old.id, diskId: disk.id, path }, 'a disk was replaced');
      return { diskId: disk.id, path, message: `disk ${old.id} was replaced; its shards are rebuilt on ${path}` };
    });
  }

  /**
   * New disks in the places of those that are lost for good, when so few are left that the list cannot be changed in the
   * usual way (and nothing be written). The disks named never count again.
   * @throws StoreError FormatRefused: nothing was changed | NotReady | QuorumLost | DiskFailed: give the command again
   */
  declareLost({
    names,
    newPaths,
  }: {
    names: readonly string[];
    newPaths: readonly string[];
  }): Promise<DiskCommandAnswer> {
    return this.#oneByOne(async () => {
      const { journal, openEpoch, log } = this.#options;
      const before = this.#configuration();
      const lost = names.map((name) => this.#findToReplace(name));
      this.#requireDeclarable(before, lost, newPaths);
      const taken = new Map<string, LocalDisk>();
      const withTaken = (): string[] => before.diskIds.map((id) => taken.get(id)?.id ?? id);
      try {
        for (const [index, old] of lost.entries()) {
          const name = names[index]!;
          const path = newPaths[index] ?? (name.startsWith('/') ? name : old.lastPath);
          if (path === undefined) throw refused(`it is not known where disk ${old.id} was`, 'Give it: --with NEW');
          const listWith: ListWith = (diskId) => withTaken().map((id) => (id === old.id ? diskId : id));
          taken.set(old.id, await this.#prepare(path, listWith));
        }
        const lostDiskIds = [...(before.lostDiskIds ?? []), ...lost.map(({ id }) => id)];
        const journalDiskIds = before.journalDiskIds.map((id) => taken.get(id)?.id ?? id);
        const next = { ...before, diskIds: withTaken(), journalDiskIds, lostDiskIds };
        await openEpoch(() => journal.declareLost(before, next));
      } catch (error) {
        for (const disk of taken.values()) this.#options.disks.dismiss(disk.id);
        throw error;
      }
      await this.#remember();
      log.warn(
        { lostDiskIds: lost.map(({ id }) => id), diskIds: withTaken() },
        'disks were declared lost and replaced',
      );
      const [first] = taken.values();
      const what = lost.length === 1 ? `disk ${lost[0]!.id} was` : `${lost.length} disks were`;
      const message = `${what} declared lost and replaced; the shards are rebuilt. Never use the old ${lost.length === 1 ? 'directory' : 'directories'} again`;
      return { diskId: first!.id, path: first!.path, message };
    });
  }

  #requireDeclarable(before: JournalConfiguration, lost: readonly LocalDisk[], newPaths: readonly string[]): void {
    if (newPaths.length > 0 && newPaths.length !== lost.length) {
      throw refused(`${lost.length} disks, ${newPaths.length} directories`, 'Name one directory for each lost disk.');
    }
    if (new Set(lost).size < lost.length) throw refused('a disk is named twice', 'Name each once.');
    const usable = lost.find(isUsable);
    if (usable !== undefined) {
      throw refused(
        `the disk at ${usable.path} works (${usable.state}): it is not lost`,
        `To move a disk that works to another directory: holdfast disk replace ${usable.path} --with NEW`,
      );
    }
    const { m, journalDiskIds } = before;
    if (lost.length > m) {
      throw refused(
        `${lost.length} disks cannot be declared lost: with m = ${m} what only they held would be lost`,
        'Bring one of them back; or rebuild what is left: holdfast recover --from-shards',
      );
    }
    const level = this.#options.journal.status().filter((one) => one.isLevel && journalDiskIds.includes(one.diskId));
    if (level.length > m) {
      throw refused(
        `${level.length} disks work, ${m + 1} are enough to replace a lost one without giving anything up`,
        'Leave out --declare-lost.',
      );
    }
  }

  async #replaceUsable(old: LocalDisk, newPath: string | undefined): Promise<DiskCommandAnswer> {
    if (newPath === undefined) {
      throw refused(
        `the disk at ${old.path} works (${old.state}); only a lost disk is replaced in its place`,
        `To move a disk that works to another directory: holdfast disk replace ${old.path} --with NEW`,
      );
    }
    const disk = await this.#adopt(newPath, (diskId) => [...this.#listedIds(), diskId]);
    await this.#duties.drain(old.id, { thenRemove: true });
    const message = `${newPath} was added; the shards of ${old.path} are moved, then it is removed`;
    return { diskId: disk.id, path: newPath, message };
  }

  /** One more disk, of any size. @throws as `replace` does */
  add(path: string): Promise<DiskCommandAnswer> {
    return this.#oneByOne(async () => {
      const disk = await this.#adopt(path, (diskId) => [...this.#listedIds(), diskId]);
      await this.#sealOpenVolumes();
      this.#options.log.info({ diskId: disk.id, path }, 'a disk was added');
      return { diskId: disk.id, path, message: `${path} is disk ${disk.index} now; new objects use it` };
    });
  }

  /** No new shards there; those it has are moved away. @throws StoreError FormatRefused */
  drain(name: string): Promise<DiskCommandAnswer> {
    return this.#oneByOne(async () => {
      const disk = this.#find(name);
      this.#requireEnoughWithout(disk);
      await this.#duties.drain(disk.id, { thenRemove: false });
      return {
        diskId: disk.id,
        path: disk.path,
        message: `disk ${disk.index} is draining: holdfast disk list shows how far`,
      };
    });
  }

  cancelDrain(name: string): Promise<DiskCommandAnswer> {
    return this.#oneByOne(async () => {
      const disk = this.#find(name);
      await this.#duties.cancel(disk.id);
      return { diskId: disk.id, path: disk.path, message: `disk ${disk.index} takes new objects again` };
    });
  }

  /** Takes a drained disk out of the list. @throws StoreError FormatRefused: shards are left there, or too few disks would be */
  remove(name: string): Promise<DiskCommandAnswer> {
    return this.#oneByOne(async () => {
      const disk = this.#find(name);
      const { id, index, lastPath } = disk;
      this.#requireEnoughWithout(disk);
      if (!disk.isDraining)
        throw refused(`disk ${index} is not drained`, `First: holdfast disk drain ${lastPath ?? id}`);
      const left = (await this.#options.metadata.listVolumes()).filter(({ state, diskIds, undroppedDiskIds }) => {
        const isHeld = state !== 'dropped' && diskIds.includes(id);
        return isHeld || (disk.state === 'online' && undroppedDiskIds.includes(id));
      });
      if (left.length > 0) {
        throw refused(
          `disk ${index} still holds ${left.length} shard files`,
          'Wait until it is drained: holdfast disk list',
        );
      }
      await this.#changeList(this.#listedIds().filter((other) => other !== id));
      await this.#duties.cancel(id);
      await this.#remember();
      this.#options.log.warn({ diskId: id, path: lastPath }, 'a disk was removed');
      return { diskId: id, path: lastPath, message: `disk ${id} was removed; its directory may go` };
    });
  }

  /** Nothing is left on it: a disk that was to be replaced leaves the list now. */
  async drained(diskId: string): Promise<void> {
    const duty = this.#duties.list().find((one) => one.diskId === diskId);
    this.#options.log.info({ diskId, thenRemove: duty?.thenRemove }, 'a disk is drained');
    if (duty?.thenRemove === true) await this.remove(diskId);
  }

  /** Open ones would go on without the new disk until they are full. */
  async #sealOpenVolumes(): Promise<void> {
    const { metadata, sealVolume } = this.#options;
    for (const { volumeId, state } of await metadata.listVolumes()) if (state === 'open') sealVolume(volumeId);
  }

  /**
   * Gives the cluster, and with it STANDARD, another code: volumes opened from now on have it, the journal its m.
   * @throws StoreError FormatRefused: too few disks, nothing was changed | QuorumLost | Undecided
   */
  changeCode(code: ErasureCode): Promise<void> {
    return this.#oneByOne(async () => {
      const before = this.#configuration();
      const usable = this.#options.disks.disks.filter((disk) => disk.isListed && !disk.isDraining && isUsable(disk));
      const problem = codeProblem(code, usable.length);
      if (problem !== undefined) throw refused(problem, 'Add disks first: holdfast disk add PATH');
      if (before.k === code.k && before.m === code.m) return;
      const next = withDiskList({ ...before, ...code }, before.diskIds, (diskId) =>
        usable.some(({ id }) => id === diskId),
      );
      await this.#options.journal.changeConfiguration(next);
      this.#options.log.warn({ before: { k: before.k, m: before.m }, code }, 'the erasure code was changed');
    });
  }

  // ——— the list ———

  #oneByOne<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  #configuration(): JournalConfiguration {
    const { configuration } = this.#options.journal;
    if (configuration === undefined) throw new StoreError('NotReady', 'the journal is not open');
    return configuration;
  }

  #listedIds(): readonly string[] {
    return this.#configuration().diskIds;
  }

  /**
   * Prepares a directory and takes it into the list. Its path is remembered first: a crash leaves a path too many, never a
   * disk of the list that nobody looks for. One that is in the list and was missing is taken up as what it is.
   */
  async #adopt(path: string, listWith: ListWith, onDevice?: number): Promise<LocalDisk> {
    const { disks, checkDirectory } = this.#options;
    await checkDirectory(path);
    const listed = await disks.takeUp(path);
    if (listed !== undefined) {
      await this.#remember(path);
      return listed;
    }
    const disk = await this.#prepare(path, listWith);
    try {
      if (onDevice !== undefined && disk.device !== onDevice) {
        throw refused(`another file system is at ${path} now`, 'Mount the new disk there, and keep it mounted.');
      }
      await this.#duties.forget(disk.id);
      await this.#changeList(listWith(disk.id));
    } catch (error) {
      // If it is Undecided and adopted later, the disk is found again at its path.
      disks.dismiss(disk.id);
      throw error;
    }
    await this.#remember(path);
    return disk;
  }

  /** A directory with an identity, which is remembered; its disk is in no list yet. */
  async #prepare(path: string, listWith: ListWith): Promise<LocalDisk> {
    const { disks, journal, checkDirectory } = this.#options;
    await checkDirectory(path);
    const { k, m, lostDiskIds: lostIds } = this.#configuration();
    const { sequence } = journal.acknowledged;
    const disk = await disks.adopt(path, { addedAtSequence: sequence, code: { k, m }, listWith, lostIds });
    try {
      await this.#remember(path);
    } catch (error) {
      disks.dismiss(disk.id);
      throw error;
    }
    return disk;
  }

  async #changeList(diskIds: readonly string[]): Promise<void> {
    const { disks, journal } = this.#options;
    const isPreferred = (diskId: string): boolean => {
      const disk = disks.byId(diskId);
      return disk !== undefined && (isUsable(disk) || !disk.isListed);
    };
    const next = withDiskList(this.#configuration(), diskIds, isPreferred);
    try {
      await journal.changeConfiguration(next);
    } catch (error) {
      const isInForce = isStoreError(error) && this.#listedIds().join() === diskIds.join();
      if (!isInForce) throw error;
      disks.applyList(diskIds);
    }
  }

  async #remember(addedPath?: string): Promise<void> {
    await this.#options.remember({ disks: placesOf(this.#options.disks), addedPath });
  }

  // ——— which disk is meant ———

  /** By where it is, where it was last, its id, or its number. */
  #find(name: string): LocalDisk {
    const listed = this.#options.disks.disks.filter(({ isListed }) => isListed);
    const found =
      listed.find(({ path }) => path === name) ??
      listed.find(({ id }) => id === name) ??
      listed.find(({ lastPath }) => lastPath === name);
    if (found !== undefined) return found;
    const known = listed.map(({ index, id, lastPath }) => `  ${index}  ${id}  ${lastPath ?? '(place unknown)'}`);
    throw refused(`no disk of the list is or was at ${name}`, `The disks are:\n${known.join('\n')}`);
  }

  /** When it is not known what was at the path, but only one disk is lost, it is that one. */
  #findToReplace(name: string): LocalDisk {
    const { disks } = this.#options;
    const lost = disks.disks.filter((disk) => disk.isListed && !isUsable(disk));
    const isKnown = disks.disks.some(({ path, id, lastPath }) => [path, id, lastPath].includes(name));
    const [only, ...others] = lost.filter(({ lastPath }) => lastPath === undefined);
    if (!isKnown && only !== undefined && others.length === 0) return only;
    return this.#find(name);
  }

  #requireEnoughWithout(disk: Disk): void {
    const { k, m } = this.#configuration();
    const others = this.#options.disks.disks.filter((other) => {
      return other.isListed && other.id !== disk.id && !other.isDraining && isUsable(other);
    });
    for (const { name, code } of [{ name: STANDARD, code: { k, m } }, ...(this.#options.storageClasses ?? [])]) {
      if (others.length >= code.k + code.m) continue;
      const what = name === STANDARD ? '' : ` of storage class ${name}`;
      throw refused(
        `without disk ${disk.index} there would be ${others.length} usable disks, ${code.k}+${code.m}${what} needs ${code.k + code.m}`,
        'Add a disk first: holdfast disk add PATH',
      );
    }
  }
}

/** Where the disks of the list are, or were when they were seen last. */
export function placesOf({ disks }: LocalDiskSet): DiskPlace[] {
  return disks.flatMap(({ id, lastPath, isListed }) => {
    return lastPath === undefined || !isListed ? [] : [{ diskId: id, path: lastPath }];
  });
}

function isUsable({ state }: Disk): boolean {
  return state === 'online' || state === 'returning' || state === 'suspect';
}

function refused(message: string, hint: string): StoreError {
  return new StoreError('FormatRefused', message, { hint });
}
