import type { Randomness } from '../model/clock.ts';
import { SimulatedContent } from './simulated-content.ts';

/**
 * What a power cut leaves of changes that were not synced. `keep-all`: everything (as after `kill -9`). `drop-all`:
 * nothing. `torn`: of each write a beginning, cut at a sector. `random`: for each file one of the former, or each
 * sector of each write and each directory change by its own coin.
 */
export type CrashMode = 'keep-all' | 'drop-all' | 'torn' | 'random';

export type PendingChange =
  | {
      kind: 'write';
      /** Whole sectors as they were right after the write. */
      sectors: Buffer;
      offset: number;
      endBytes: number;
      /** Sectors that a later direct-sync write has already made durable in a newer form. */
      overtaken?: Set<number>;
    }
  | { kind: 'truncate'; endBytes: number };

/** Content of one file: as processes see it, as the medium holds it, and the changes in between, oldest first. */
export class SimulatedFileNode {
  readonly kind = 'file';
  readonly inode: number;
  current = new SimulatedContent();
  durable = new SimulatedContent();
  pending: PendingChange[] = [];
  modifiedMs = 0;
  /** Names in the tree plus open handles: at zero its space is free. */
  referenceCount = 0;
  readonly #sectorBytes: number;

  constructor(inode: number, sectorBytes: number) {
    this.inode = inode;
    this.#sectorBytes = sectorBytes;
  }

  /** Keeps `bytes`, which must not change any more. */
  write(bytes: Buffer, offset: number): PendingChange {
    this.current.write(bytes, offset);
    this.current.sizeBytes = Math.max(this.current.sizeBytes, offset + bytes.length);
    const first = Math.floor(offset / this.#sectorBytes) * this.#sectorBytes;
    const last = Math.ceil((offset + bytes.length) / this.#sectorBytes) * this.#sectorBytes;
    const change: PendingChange = {
      kind: 'write',
      sectors: last - first === bytes.length ? bytes : this.current.slice(first, last - first),
      offset: first,
      endBytes: this.current.sizeBytes,
    };
    this.pending.push(change);
    return change;
  }

  truncate(lengthBytes: number): void {
    this.current.truncate(lengthBytes);
    this.pending.push({ kind: 'truncate', endBytes: lengthBytes });
  }

  /** Makes the oldest `count` pending changes durable: those that were there when a sync began. */
  syncFirst(count: number): void {
    for (const change of this.pending.splice(0, count)) this.#apply(change);
  }

  /** Makes one write durable and leaves the others pending, as O_DSYNC does. A sync that ran meanwhile may have done it. */
  syncOnly(change: PendingChange): void {
    const position = this.pending.indexOf(change);
    if (position === -1 || change.kind !== 'write') return;
    if (this.pending.slice(0, position).some((older) => older.kind === 'truncate')) return this.syncFirst(position + 1);
    this.pending.splice(position, 1);
    for (const older of this.pending.slice(0, position)) {
      if (older.kind !== 'write') continue;
      for (let at = 0; at < change.sectors.length; at += this.#sectorBytes) {
        (older.overtaken ??= new Set()).add(change.offset + at);
      }
    }
    const endBytes = Math.max(this.durable.sizeBytes, Math.min(change.endBytes, change.offset + change.sectors.length));
    this.durable.write(change.sectors, change.offset);
    this.durable.sizeBytes = endBytes;
  }

  #apply(change: PendingChange): void {
    if (change.kind === 'truncate') this.durable.truncate(change.endBytes);
    else {
      // Whole pages at once are shared, sectors one by one are copied.
      if (change.overtaken === undefined) this.durable.write(change.sectors, change.offset);
      else this.#writeSectors(change, () => true);
      // Later writes may have been made durable before this one.
      this.durable.sizeBytes = Math.max(this.durable.sizeBytes, change.endBytes);
    }
  }

  #writeSectors(change: PendingChange & { kind: 'write' }, keeps: (index: number) => boolean): void {
    for (let at = 0, index = 0; at < change.sectors.length; at += this.#sectorBytes, index++) {
      if (change.overtaken?.has(change.offset + at) === true || !keeps(index)) continue;
      this.durable.write(change.sectors.subarray(at, at + this.#sectorBytes), change.offset + at);
    }
  }

  /** The power is cut: what was not synced becomes durable in part and the rest is gone. */
  crash(mode: CrashMode, random: Randomness): void {
    const pending = this.pending;
    this.pending = [];
    const modes = ['keep-all', 'drop-all', 'torn', 'sectors'] as const;
    const chosen = mode === 'random' ? modes[Math.floor(random.fraction() * modes.length)] : mode;
    if (chosen === 'keep-all') for (const change of pending) this.#apply(change);
    else if (chosen !== 'drop-all' && pending.length > 0) {
      // The length that reached the medium is the one after some change; a cut that is not among them did not happen.
      const lengthIndex = Math.floor(random.fraction() * (pending.length + 1)) - 1;
      let endBytes = this.durable.sizeBytes;
      for (const [index, change] of pending.entries()) {
        if (change.kind === 'truncate') {
          if (index <= lengthIndex) this.durable.truncate(change.endBytes);
        } else if (chosen === 'torn') {
          const kept = Math.floor(random.fraction() * (change.sectors.length / this.#sectorBytes + 1));
          this.#writeSectors(change, (sector) => sector < kept);
        } else {
          this.#writeSectors(change, () => random.fraction() < 0.5);
        }
        if (index <= lengthIndex) {
          endBytes = change.kind === 'truncate' ? change.endBytes : Math.max(endBytes, change.endBytes);
        }
      }
      // Bytes beyond the end are not part of the file, whatever is written there later.
      this.durable.sizeBytes = Number.MAX_SAFE_INTEGER;
      this.durable.truncate(endBytes);
    }
    this.current = new SimulatedContent(this.durable);
  }

  /** A file of its own with the content as processes see it, all of it durable. */
  cloneSynced(): SimulatedFileNode {
    const copy = new SimulatedFileNode(this.inode, this.#sectorBytes);
    copy.current = new SimulatedContent(this.current);
    copy.durable = new SimulatedContent(this.current);
    copy.modifiedMs = this.modifiedMs;
    return copy;
  }
}

export type SimulatedNode = SimulatedFileNode | SimulatedDirectoryNode;

export class SimulatedDirectoryNode {
  readonly kind = 'directory';
  readonly inode: number;
  current = new Map<string, SimulatedNode>();
  durable = new Map<string, SimulatedNode>();
  modifiedMs = 0;

  constructor(inode: number) {
    this.inode = inode;
  }
}

/** A change of directory entries that is one step for a power cut: all of it happened or none. */
export interface DirectoryChange {
  steps: { directory: SimulatedDirectoryNode; name: string; node: SimulatedNode | undefined }[];
}

export function applyDirectoryChange(change: DirectoryChange, view: 'current' | 'durable'): void {
  for (const { directory, name, node } of change.steps) {
    if (node === undefined) directory[view].delete(name);
    else directory[view].set(name, node);
  }
}
