import type { Clock } from '../../src/model/clock.ts';
import type { DiskFs } from '../../src/disk/disk-fs.ts';
import type { Disk, DiskSet, DiskState } from '../../src/disk/disk-set.ts';
import { isStoreError } from '../../src/errors/store-error.ts';

export interface SimulatedDiskSetOptions {
  clusterId?: string;
  clock: Clock;
  /** In the order of the disk list. State: default `online`. */
  disks: readonly { id: string; fs: DiskFs; state?: DiskState }[];
}

/** A disk whose state is what the test says. */
export class SimulatedDiskOfSet implements Disk {
  readonly id: string;
  readonly index: number;
  fs: DiskFs;
  state: DiskState;
  isAboveReserve = true;
  isDraining = false;
  /** As the journal said last; where a suspect disk returns to. */
  isLevel = true;
  space = { totalBytes: 2 ** 40, freeBytes: 2 ** 39 };
  stateSinceMs: number;
  stateReason: string | undefined;

  constructor(facts: { id: string; index: number; fs: DiskFs; state: DiskState; nowMs: number }) {
    this.id = facts.id;
    this.index = facts.index;
    this.fs = facts.fs;
    this.state = facts.state;
    this.stateSinceMs = facts.nowMs;
  }

  get path(): string | undefined {
    return this.state === 'missing' ? undefined : `/simulated/${this.id}`;
  }

  get acceptsData(): boolean {
    return this.state === 'online' && this.isAboveReserve && !this.isDraining;
  }
}

/**
 * A disk set that tests steer: nothing is watched. `reportFailure` does what the real one does at once: gone → `missing`,
 * full → takes no data, anything else → `failed`; and remembers the call.
 */
export class SimulatedDiskSet implements DiskSet {
  readonly clusterId: string;
  readonly disks: readonly SimulatedDiskOfSet[];
  readonly failures: { diskId: string; operation: string; error: unknown }[] = [];
  readonly #clock: Clock;
  readonly #listeners = new Set<(disk: Disk, before: DiskState) => void>();

  constructor({ clusterId = '00000000-0000-4000-8000-00000000c1d0', clock, disks }: SimulatedDiskSetOptions) {
    this.clusterId = clusterId;
    this.#clock = clock;
    this.disks = disks.map(
      ({ id, fs, state = 'online' }, index) => new SimulatedDiskOfSet({ id, index, fs, state, nowMs: clock.nowMs() }),
    );
  }

  byId(diskId: string): SimulatedDiskOfSet | undefined {
    return this.disks.find((disk) => disk.id === diskId);
  }

  reportFailure(diskId: string, failure: { operation: string; error: unknown }): void {
    this.failures.push({ diskId, ...failure });
    const disk = this.byId(diskId);
    if (disk === undefined || disk.state === 'missing') return;
    if (isStoreError(failure.error, 'DiskFull')) this.setAcceptsData(diskId, false);
    else this.setState(diskId, isStoreError(failure.error, 'DiskMissing') ? 'missing' : 'failed', failure.operation);
  }

  markLevel(diskId: string): void {
    const disk = this.byId(diskId);
    if (disk === undefined || disk.state === 'missing') return;
    disk.isLevel = true;
    if (disk.state === 'returning') this.setState(diskId, 'online', 'level');
  }

  markBehind(diskId: string, reason: string): void {
    const disk = this.byId(diskId);
    if (disk === undefined) return;
    disk.isLevel = false;
    if (disk.state === 'online') this.setState(diskId, 'returning', reason);
  }

  /** A probe of a suspect or failed disk succeeded: online when the journal missed nothing there, else returning. */
  recover(diskId: string): void {
    const disk = this.byId(diskId);
    if (disk === undefined || (disk.state !== 'suspect' && disk.state !== 'failed')) return;
    this.setState(diskId, disk.isLevel ? 'online' : 'returning', 'a probe succeeded');
  }

  onChange(listener: (disk: Disk, before: DiskState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  setState(diskId: string, state: DiskState, reason?: string): void {
    const disk = this.byId(diskId);
    if (disk === undefined || disk.state === state) return;
    const before = disk.state;
    disk.state = state;
    disk.isLevel = state === 'online' || (state === 'suspect' && disk.isLevel);
    disk.stateReason = reason;
    disk.stateSinceMs = this.#clock.nowMs();
    this.#tell(disk, before);
  }

  setAcceptsData(diskId: string, isAboveReserve: boolean): void {
    const disk = this.byId(diskId);
    if (disk === undefined || disk.isAboveReserve === isAboveReserve) return;
    disk.isAboveReserve = isAboveReserve;
    this.#tell(disk, disk.state);
  }

  #tell(disk: Disk, before: DiskState): void {
    for (const listener of this.#listeners) listener(disk, before);
  }
}
