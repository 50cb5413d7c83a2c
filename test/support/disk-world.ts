import type { StorageClass } from '../../src/model/storage-class.ts';
import { NEWEST_STORE_FORMAT } from '../../src/model/store-format.ts';
import { DiskManager } from '../../src/composition/disk-manager.ts';
import { FaultDiskFs } from '../../src/disk/fault-disk-fs.ts';
import { formatDisks } from '../../src/disk/format-disks.ts';
import { LocalDiskSet } from '../../src/disk/local-disk-set.ts';
import { SimulatedDiskFs } from '../../src/disk/simulated-disk-fs.ts';
import type { CrashMode } from '../../src/disk/simulated-node.ts';
import { DiskJournal } from '../../src/metadata-store/journal/disk-journal.ts';
import type { DiskJournalOptions } from '../../src/metadata-store/journal/disk-journal-options.ts';
import { formatJournal } from '../../src/metadata-store/journal/format-journal.ts';
import type { DocumentAddress } from '../../src/metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../../src/model/blob.ts';
import { silentLog } from '../../src/observability/log.ts';
import { SEGMENT_BYTES } from './journal-cluster.ts';
import { ManualClock, settle } from './simulated-clock.ts';
import { SeededRandomness } from './simulated-randomness.ts';

/** What one process has open. */
export interface DiskProcess {
  disks: LocalDiskSet;
  journal: DiskJournal;
  manager: DiskManager;
}

/**
 * Simulated disks at paths, as a machine has them, and the real disk set, journal and disk manager over them: for changes
 * of the list of disks. Processes come and go, what is at the paths stays.
 */
export class DiskWorld {
  readonly clock = new ManualClock();
  readonly random: SeededRandomness;
  /** What each path carries; a path without one does not exist. */
  readonly at = new Map<string, SimulatedDiskFs>();
  /** Between a process and the disks; the sweep puts its fault here. */
  onFileSystem: (faults: FaultDiskFs) => void = () => {};
  /** When a manager keeps where the disks are. */
  onRemember: (addedPath: string | undefined) => void = () => {};
  readonly documents = new Map<string, Buffer>();
  volumes: VolumeRecord[] = [];
  storageClasses: readonly StorageClass[] = [];

  constructor(seed: number) {
    this.random = new SeededRandomness(seed);
  }

  static async format(
    code: { k: number; m: number },
    paths: readonly string[],
    { seed = 1, formatVersion = NEWEST_STORE_FORMAT } = {},
  ): Promise<DiskWorld> {
    const world = new DiskWorld(seed);
    for (const path of paths) world.makeEmpty(path);
    await formatDisks({
      paths,
      code,
      random: world.random,
      clock: world.clock,
      makeFs: (path) => world.at.get(path)!,
      initializeDisk: (fs, { clusterId, diskId, diskIds, k, m }) =>
        formatJournal(fs, { clusterId, diskId, diskIds, k, m, segmentBytes: SEGMENT_BYTES, formatVersion }),
    });
    return world;
  }

  /** A new, empty directory at the path, in place of what was there. */
  makeEmpty(path: string): void {
    this.at.set(path, new SimulatedDiskFs({ turns: () => 1 + this.random.below(4), name: path }));
  }

  /** The directory goes to another path, or nowhere. */
  move(from: string, to: string | undefined): void {
    const disk = this.at.get(from);
    if (disk === undefined) throw new Error(`nothing at ${from}`);
    const image = disk.snapshot();
    disk.detach();
    this.at.delete(from);
    if (to !== undefined) this.at.set(to, SimulatedDiskFs.fromImage(image, { name: to }));
  }

  /** The process is gone; with another mode than `keep-all` so is the power. */
  crash(mode: CrashMode): void {
    for (const [path, disk] of this.at) this.at.set(path, disk.crash({ random: this.random, mode }));
  }

  /** A new process. Rejects as a start does. */
  async start(
    paths: readonly string[],
    journalOptions: Pick<DiskJournalOptions, 'leastListSequence'> = {},
  ): Promise<DiskProcess> {
    const { clock, random } = this;
    const disks = await LocalDiskSet.open({
      paths,
      clock,
      random,
      log: silentLog,
      reserveBytes: 0,
      makeFs: (path) => {
        const nowhere = new SimulatedDiskFs({ name: path });
        nowhere.detach();
        const faults = new FaultDiskFs(this.at.get(path) ?? nowhere, clock);
        this.onFileSystem(faults);
        return faults;
      },
      acquireLock: () => ({ release: () => {} }),
    });
    const journal = new DiskJournal({
      ...journalOptions,
      disks,
      clock,
      log: silentLog,
      segmentBytes: SEGMENT_BYTES,
      reserveSegments: 1,
      onConfiguration: ({ diskIds }) => disks.applyList(diskIds),
    });
    try {
      await journal.start(() => {});
    } catch (error) {
      await this.stop({ disks, journal });
      throw error;
    }
    const manager = new DiskManager({
      disks,
      journal,
      metadata: this.#metadata(),
      remember: async ({ addedPath }) => this.onRemember(addedPath),
      openEpoch: (open) => open(),
      storageClasses: this.storageClasses,
      sealVolume: () => {},
      checkDirectory: async () => {},
      log: silentLog,
    });
    await manager.start();
    return { disks, journal, manager };
  }

  async stop({ disks, journal }: Pick<DiskProcess, 'disks' | 'journal'>): Promise<void> {
    await this.withTime(journal.stop());
    await this.withTime(disks.close());
  }

  /** The watcher looks at every path. */
  async look(): Promise<void> {
    await this.clock.advance(300);
    await settle();
  }

  /** Lets simulated time pass until `work` has ended. */
  async withTime<T>(work: Promise<T>): Promise<T> {
    const state = { isDone: false };
    const end = (): void => {
      state.isDone = true;
    };
    work.then(end, end);
    for (let turn = 0; !state.isDone; turn++) {
      await settle();
      if (turn % 10 === 9) await this.clock.advance(100);
      if (turn > 20_000) throw new Error('work never ended');
    }
    return work;
  }

  /** Documents in memory: the sweep is about the list. */
  #metadata(): ConstructorParameters<typeof DiskManager>[0]['metadata'] {
    const nameOf = ({ collection, id }: DocumentAddress): string => `${collection}/${id}`;
    return {
      getDocument: async (address) => this.documents.get(nameOf(address)),
      listVolumes: async () => this.volumes,
      commit: (async (mutation: { type: string; address: DocumentAddress; body: Buffer }) => {
        this.documents.set(nameOf(mutation.address), mutation.body);
      }) as never,
    };
  }
}
