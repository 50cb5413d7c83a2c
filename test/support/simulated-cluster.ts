import type { Clock } from '../../src/model/clock.ts';
import type { CrashMode } from '../../src/disk/simulated-node.ts';
import { SimulatedDiskFs, type SimulatedDiskOptions } from '../../src/disk/simulated-disk-fs.ts';
import type { DiskFs } from '../../src/disk/disk-fs.ts';
import { ManualClock } from './simulated-clock.ts';
import { SimulatedDiskSet } from './simulated-disk-set.ts';
import { SeededRandomness } from './simulated-randomness.ts';

export interface SimulatedClusterOptions {
  diskCount: number;
  seed?: number;
  clock?: ManualClock;
  /** For each disk; `turns` by default takes 1 to 8 microtask turns for each call, from the seed. */
  disk?: SimulatedDiskOptions;
  /** Between the stores and a disk, e.g. a `FaultDiskFs`; called again at each restart. */
  wrap?: (fs: SimulatedDiskFs, diskIndex: number) => DiskFs;
}

/**
 * n simulated disks, a disk set over them, one clock and one seed. Stores are made from `diskSet`, `clock` and `random`;
 * after `crash`, `kill` or `restart` the old set and file systems are dead and new stores are made from the new `diskSet`.
 */
export class SimulatedCluster {
  readonly clock: ManualClock;
  readonly random: SeededRandomness;
  /** The disks themselves, by index: for `corrupt`, `snapshot`, `peek` … */
  readonly disks: SimulatedDiskFs[];
  readonly diskIds: readonly string[];
  diskSet: SimulatedDiskSet;
  readonly #wrap: (fs: SimulatedDiskFs, diskIndex: number) => DiskFs;

  constructor({
    diskCount,
    seed = 1,
    clock = new ManualClock(),
    disk = {},
    wrap = (fs) => fs,
  }: SimulatedClusterOptions) {
    this.clock = clock;
    this.random = new SeededRandomness(seed);
    this.#wrap = wrap;
    const turns = (): number => 1 + this.random.below(8);
    this.diskIds = Array.from(
      { length: diskCount },
      (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`,
    );
    this.disks = this.diskIds.map((_, i) => new SimulatedDiskFs({ turns, name: `disk${i}`, ...disk }));
    this.diskSet = this.#makeSet();
  }

  /** Power is cut on all disks at once, each keeping what `mode` says; then everything starts again. */
  crash(mode: CrashMode = 'random'): void {
    for (const [index, disk] of this.disks.entries()) this.disks[index] = disk.crash({ random: this.random, mode });
    this.diskSet = this.#makeSet();
  }

  /** `kill -9` and a new process: everything written is kept. Also how a test begins a start after an orderly stop. */
  restart(): void {
    this.crash('keep-all');
  }

  /** The directories vanish: at once from the paths; the set says `missing` when `isNoticed` (default) as its watcher would. */
  detach(indexes: readonly number[], { isNoticed = true }: { isNoticed?: boolean } = {}): void {
    for (const index of indexes) this.disks[index]!.detach();
    if (isNoticed) this.noticeDetached();
  }

  /** What the watcher does within a second: detached disks become `missing`. */
  noticeDetached(): void {
    for (const disk of this.diskSet.disks) {
      if (!this.disks[disk.index]!.isAttached) this.diskSet.setState(disk.id, 'missing', 'directory is gone');
    }
  }

  /** The directories are back as they were; the set says `returning` until the journal levels them. */
  attach(indexes: readonly number[]): void {
    for (const index of indexes) {
      this.disks[index]!.attach();
      const disk = this.diskSet.disks[index]!;
      if (disk.state === 'missing') this.diskSet.setState(disk.id, 'returning', 'directory is back');
    }
  }

  /** While stopped (before `restart` or `crash`): puts an earlier content in place, e.g. a stale copy. */
  replaceContent(index: number, image: ReturnType<SimulatedDiskFs['snapshot']>): void {
    this.disks[index] = this.disks[index]!.restore(image);
  }

  #makeSet(): SimulatedDiskSet {
    const clock: Clock = this.clock;
    return new SimulatedDiskSet({
      clock,
      disks: this.diskIds.map((id, index) => ({
        id,
        fs: this.#wrap(this.disks[index]!, index),
        state: this.disks[index]!.isAttached ? 'online' : 'missing',
      })),
    });
  }
}
