import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SimulatedDiskImage } from '../../../src/disk/simulated-disk-fs.ts';
import { SimulatedContent } from '../../../src/disk/simulated-content.ts';
import {
  applyDirectoryChange,
  type CrashMode,
  type DirectoryChange,
  SimulatedDirectoryNode,
  SimulatedFileNode,
  type SimulatedNode,
} from '../../../src/disk/simulated-node.ts';
import type { Randomness } from '../../../src/model/clock.ts';
import type { RecordedCall } from './recorded-calls.ts';

const SECTOR_BYTES = 512;
/** What may remain: the modes of a simulated disk, and names without data or data without names. */
export type PowerLossMode = CrashMode | 'names-only' | 'data-only';
export const POWER_LOSS_MODES: readonly PowerLossMode[] = [
  'drop-all',
  'keep-all',
  'names-only',
  'data-only',
  'torn',
  'random',
];

/**
 * Directories as a recorded process changed them, call by call, with what had been synced of every byte and name by
 * then. `crashed` tells one state that POSIX allows after a power cut at this point; it changes nothing.
 */
export class ReplayedTree {
  readonly #root: SimulatedDirectoryNode;
  readonly #rootPath: string;
  readonly #nodes = new Map<bigint, SimulatedNode>();
  /** Changes of names that no sync of their directory has covered, oldest first. */
  #pendingNames: DirectoryChange[] = [];
  readonly #writes = new Map<bigint, { file: SimulatedFileNode; change: SimulatedFileNode['pending'][number] }>();
  /** Writes that have not returned: no sync that begins now covers them. */
  readonly #underWay = new Set<SimulatedFileNode['pending'][number]>();
  readonly #syncs = new Map<bigint, () => void>();

  /** What lies at `rootPath` now; all of it counts as durable. */
  constructor(rootPath: string) {
    this.#rootPath = rootPath;
    this.#root = this.#load(rootPath);
  }

  apply(call: RecordedCall): void {
    switch (call.kind) {
      case 'open':
        return this.#open(call.path, call.inode, call.isDirectory, call.sizeBytes);
      case 'write': {
        const file = this.#file(call.inode);
        const change = file.write(call.data, call.offset);
        this.#underWay.add(change);
        this.#writes.set(call.id, { file, change });
        return;
      }
      case 'write-end': {
        const write = this.#writes.get(call.id);
        if (write === undefined) throw new Error(`write ${call.id} ends that never began`);
        this.#writes.delete(call.id);
        this.#underWay.delete(write.change);
        if (call.isSynced) write.file.syncOnly(write.change);
        return;
      }
      case 'sync-begin':
        this.#syncs.set(call.id, this.#beginSync(call.inode));
        return;
      case 'sync-end':
        this.#syncs.get(call.id)?.();
        this.#syncs.delete(call.id);
        return;
      case 'truncate':
        return this.#file(call.inode).truncate(call.sizeBytes);
      case 'rename': {
        const node = this.#lookUp(call.path);
        this.#change([
          { ...this.#place(call.path), node: undefined },
          { ...this.#place(call.to), node },
        ]);
        return;
      }
      case 'unlink':
      case 'rmdir':
        return this.#change([{ ...this.#place(call.path), node: undefined }]);
      case 'mkdir': {
        const made = new SimulatedDirectoryNode(Number(call.inode));
        this.#nodes.set(call.inode, made);
        return this.#change([{ ...this.#place(call.path), node: made }]);
      }
    }
  }

  /** The directory `name` below the root after a power cut now. */
  crashed(name: string, mode: PowerLossMode, random: Randomness): SimulatedDiskImage {
    const keepsName = (): boolean => {
      if (mode === 'keep-all' || mode === 'names-only') return true;
      return mode !== 'drop-all' && mode !== 'data-only' && random.fraction() < 0.5;
    };
    const kept = this.#pendingNames.filter(keepsName);
    const contentMode: CrashMode = mode === 'names-only' ? 'drop-all' : mode === 'data-only' ? 'keep-all' : mode;
    const entries = new Map<SimulatedDirectoryNode, Map<string, SimulatedNode>>();
    const entriesOf = (directory: SimulatedDirectoryNode): Map<string, SimulatedNode> => {
      let known = entries.get(directory);
      if (known === undefined) entries.set(directory, (known = new Map(directory.durable)));
      return known;
    };
    for (const { steps } of kept) {
      for (const { directory, name: entry, node } of steps) {
        if (node === undefined) entriesOf(directory).delete(entry);
        else entriesOf(directory).set(entry, node);
      }
    }
    const copy = (directory: SimulatedDirectoryNode): SimulatedDirectoryNode => {
      const made = new SimulatedDirectoryNode(directory.inode);
      for (const [entry, node] of entriesOf(directory)) {
        made.current.set(entry, node.kind === 'directory' ? copy(node) : crashedFile(node, contentMode, random));
      }
      return made;
    };
    const top = entriesOf(this.#root).get(name);
    if (top?.kind !== 'directory') throw new Error(`there is no directory ${name}`);
    return { root: copy(top) };
  }

  #open(path: string, inode: bigint, isDirectory: boolean, sizeBytes: number): void {
    const place = this.#place(path);
    const known = place.directory.current.get(place.name);
    if (isDirectory) {
      if (known !== undefined) this.#nodes.set(inode, known);
      return;
    }
    if (known?.kind === 'file' && this.#nodes.get(inode) === known) {
      if (sizeBytes < known.current.sizeBytes && sizeBytes === 0) known.truncate(0);
      return;
    }
    const made = new SimulatedFileNode(Number(inode), SECTOR_BYTES);
    this.#nodes.set(inode, made);
    this.#change([{ ...place, node: made }]);
  }

  #beginSync(inode: bigint): () => void {
    const node = this.#nodes.get(inode);
    if (node === undefined) return () => {};
    if (node.kind === 'directory') {
      const covered = this.#pendingNames.filter(({ steps }) => steps.some(({ directory }) => directory === node));
      return () => {
        for (const change of covered) {
          if (!this.#pendingNames.includes(change)) continue;
          applyDirectoryChange(change, 'durable');
          this.#pendingNames = this.#pendingNames.filter((other) => other !== change);
        }
      };
    }
    const firstUnderWay = node.pending.findIndex((change) => this.#underWay.has(change));
    const covered = node.pending.slice(0, firstUnderWay === -1 ? undefined : firstUnderWay);
    return () => {
      const last = covered.findLast((change) => node.pending.includes(change));
      if (last !== undefined) node.syncFirst(node.pending.indexOf(last) + 1);
    };
  }

  #change(steps: DirectoryChange['steps']): void {
    const change = { steps };
    applyDirectoryChange(change, 'current');
    this.#pendingNames.push(change);
  }

  #file(inode: bigint): SimulatedFileNode {
    const node = this.#nodes.get(inode);
    if (node?.kind !== 'file') throw new Error(`inode ${inode} is no known file`);
    return node;
  }

  #place(path: string): { directory: SimulatedDirectoryNode; name: string } {
    const names = path.slice(this.#rootPath.length + 1).split('/');
    const name = names.pop() ?? '';
    let directory = this.#root;
    for (const part of names) {
      const next = directory.current.get(part);
      if (next?.kind !== 'directory') throw new Error(`${path}: ${part} is no known directory`);
      directory = next;
    }
    return { directory, name };
  }

  #lookUp(path: string): SimulatedNode {
    const { directory, name } = this.#place(path);
    const node = directory.current.get(name);
    if (node === undefined) throw new Error(`${path} is not known`);
    return node;
  }

  #load(path: string): SimulatedDirectoryNode {
    const directory = new SimulatedDirectoryNode(lstatSync(path).ino);
    this.#nodes.set(BigInt(directory.inode), directory);
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      const child = join(path, entry.name);
      const node = entry.isDirectory() ? this.#load(child) : entry.isFile() ? this.#loadFile(child) : undefined;
      if (node === undefined) continue;
      directory.current.set(entry.name, node);
      directory.durable.set(entry.name, node);
    }
    return directory;
  }

  #loadFile(path: string): SimulatedFileNode {
    const { ino } = lstatSync(path);
    const file = new SimulatedFileNode(ino, SECTOR_BYTES);
    const bytes = readFileSync(path);
    file.durable.write(bytes, 0);
    file.durable.sizeBytes = bytes.length;
    file.current = new SimulatedContent(file.durable);
    this.#nodes.set(BigInt(ino), file);
    return file;
  }
}

function crashedFile(node: SimulatedFileNode, mode: CrashMode, random: Randomness): SimulatedFileNode {
  const copy = new SimulatedFileNode(node.inode, SECTOR_BYTES);
  if (node.pending.length === 0) {
    // Only read from here: the image is copied before anything writes to it.
    copy.current = node.durable;
    return copy;
  }
  copy.durable = new SimulatedContent(node.durable);
  copy.pending = node.pending.map((change) =>
    change.kind === 'write' && change.overtaken !== undefined
      ? { ...change, overtaken: new Set(change.overtaken) }
      : { ...change },
  );
  copy.crash(mode, random);
  return copy;
}
