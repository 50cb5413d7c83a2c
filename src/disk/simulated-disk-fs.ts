import { assert } from '../errors/assert.ts';
import type { StoreError } from '../errors/store-error.ts';
import type { Randomness } from '../model/clock.ts';
import { makeErrno, missingDiskError, toDiskError } from './disk-error.ts';
import type { DiskFile, DiskFs, DiskSpace, FileFacts, OpenMode } from './disk-fs.ts';
import { assertRelativePath, baseNameOf, parentOf, ROOT_PATH } from './relative-path.ts';
import { PAGE_BYTES } from './simulated-content.ts';
import { SimulatedDiskFile } from './simulated-disk-file.ts';
import {
  applyDirectoryChange,
  type CrashMode,
  type DirectoryChange,
  SimulatedDirectoryNode,
  SimulatedFileNode,
  type SimulatedNode,
} from './simulated-node.ts';

export interface SimulatedDiskOptions {
  /** Default: 1 TiB. */
  capacityBytes?: number;
  /** The unit a power cut cannot tear; default 512. */
  sectorBytes?: 512 | 4096;
  /** What `stat` shows as the device; default a number of its own for each disk. */
  device?: number;
  /** Names the disk in errors. */
  name?: string;
  /** How many microtask turns the next call takes; default 1 for each. A seeded one permutes the order of completion. */
  turns?: () => number;
  /** Modification times; default always 0. */
  nowMs?: () => number;
}

/** The content of a disk at one moment, e.g. to come back later as a stale one. */
export interface SimulatedDiskImage {
  readonly root: SimulatedDirectoryNode;
}

let devicesMade = 0;
let inodesMade = 0;

/**
 * A disk in memory that knows for every byte and directory entry whether it was synced. One instance is what one process
 * sees: `crash` kills it (calls under way and later ones reject) and returns the disk as the next process finds it.
 *
 * Stricter than a real disk where that finds bugs: misaligned direct access throws EINVAL, and a buffer that changes
 * while its write is under way is an assertion failure. Deterministic: no timers, only microtasks.
 */
export class SimulatedDiskFs implements DiskFs {
  readonly name: string;
  readonly device: number;
  capacityBytes: number;
  readonly #options: SimulatedDiskOptions;
  readonly #turns: () => number;
  readonly #sectorBytes: number;
  #root = new SimulatedDirectoryNode(++inodesMade);
  #pendingDirectoryChanges: DirectoryChange[] = [];
  #usedPages = 0;
  #isAttached = true;
  #isDead = false;

  constructor(options: SimulatedDiskOptions = {}) {
    this.#options = options;
    this.device = options.device ?? 1000 + ++devicesMade;
    this.name = options.name ?? `simulated-${this.device}`;
    this.capacityBytes = options.capacityBytes ?? 2 ** 40;
    this.#sectorBytes = options.sectorBytes ?? 512;
    this.#turns = options.turns ?? (() => 1);
  }

  // ——— what happens to disks ———

  /**
   * Ends this process's view. With a power cut, what was not synced survives as `mode` says (default `random`);
   * `keep-all` is a `kill -9`. Returns the disk for the next process.
   */
  crash({ random, mode = 'random' }: { random: Randomness; mode?: CrashMode }): SimulatedDiskFs {
    const next = this.#successor();
    for (const change of this.#pendingDirectoryChanges) {
      const isKept = mode === 'keep-all' || (mode !== 'drop-all' && random.fraction() < 0.5);
      if (isKept) applyDirectoryChange(change, 'durable');
    }
    next.#adopt(this.#root, (file) => file.crash(mode, random));
    return next;
  }

  /** Ends this process's view and puts an earlier content in place. */
  restore(image: SimulatedDiskImage): SimulatedDiskFs {
    const next = this.#successor();
    next.#adopt(cloneDirectory(image.root), () => {});
    return next;
  }

  /** A copy of everything as processes see it now, as `cp -a` would make it. */
  snapshot(): SimulatedDiskImage {
    return { root: cloneDirectory(this.#root) };
  }

  /** Another disk with the content of an image. */
  static fromImage(image: SimulatedDiskImage, options: SimulatedDiskOptions = {}): SimulatedDiskFs {
    const made = new SimulatedDiskFs(options);
    made.#adopt(cloneDirectory(image.root), () => {});
    return made;
  }

  /** Renames the directory away: paths are gone, open files work on and are no longer `stillThere`. */
  detach(): void {
    this.#isAttached = false;
  }

  attach(): void {
    this.#isAttached = true;
  }

  get isAttached(): boolean {
    return this.#isAttached;
  }

  /** `rm -rf` of everything in the directory; open files work on. */
  wipe(): void {
    for (const path of this.filePaths()) this.dropReference(this.#fileForTest(path));
    this.#root = new SimulatedDirectoryNode(this.#root.inode);
    this.#pendingDirectoryChanges = [];
  }

  /** Flips bits of one byte, on the medium and in memory. */
  corrupt(path: string, offset: number, xor = 0xff): void {
    const byte = this.peek(path).subarray(offset, offset + 1);
    assert(byte.length === 1, `nothing to corrupt at ${offset} of ${path}`);
    this.poke(path, offset, Buffer.from([byte.readUInt8() ^ xor]));
  }

  /** All bytes of a file as processes see them. */
  peek(path: string): Buffer {
    const node = this.#fileForTest(path);
    return node.current.slice(0, node.current.sizeBytes);
  }

  /** Overwrites bytes of a file, on the medium and in memory, without regard to syncs. */
  poke(path: string, offset: number, bytes: Buffer): void {
    const node = this.#fileForTest(path);
    for (const view of [node.current, node.durable]) {
      view.write(Buffer.from(bytes), offset);
      view.sizeBytes = Math.max(view.sizeBytes, offset + bytes.length);
    }
  }

  /** Cuts a file, on the medium and in memory. */
  cut(path: string, lengthBytes: number): void {
    const node = this.#fileForTest(path);
    node.current.truncate(lengthBytes);
    node.durable.truncate(lengthBytes);
  }

  /** Paths of all files, sorted. */
  filePaths(): string[] {
    const paths: string[] = [];
    const visit = (directory: SimulatedDirectoryNode, prefix: string): void => {
      for (const [name, node] of directory.current) {
        if (node.kind === 'file') paths.push(prefix + name);
        else visit(node, `${prefix}${name}/`);
      }
    };
    visit(this.#root, '');
    return paths.sort();
  }

  // ——— DiskFs ———

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    await this.turn('open', path);
    const node = this.#lookUp('open', path);
    if (node === undefined) throw this.#error('ENOENT', 'open', path);
    if (node.kind !== 'file') throw this.#error('EISDIR', 'open', path);
    node.referenceCount++;
    return new SimulatedDiskFile(this, node, { path, mode });
  }

  async createDurable(path: string): Promise<void> {
    assertRelativePath(path);
    const node = new SimulatedFileNode(++inodesMade, this.#sectorBytes);
    node.referenceCount = 1;
    await this.#changeDirectories('create', path, () => {
      if (this.#lookUp('create', path) !== undefined) throw this.#error('EEXIST', 'create', path);
      return [{ directory: this.#directory('create', parentOf(path)), name: baseNameOf(path), node }];
    });
  }

  async createDirectoryDurable(path: string): Promise<void> {
    assertRelativePath(path);
    await this.#changeDirectories('create directory', path, () => {
      const existing = this.#lookUp('create directory', path);
      if (existing?.kind === 'file') throw this.#error('EEXIST', 'create directory', path);
      const node = existing ?? new SimulatedDirectoryNode(++inodesMade);
      return [{ directory: this.#directory('create directory', parentOf(path)), name: baseNameOf(path), node }];
    });
  }

  async publish(temporary: string, final: string): Promise<void> {
    assertRelativePath(temporary);
    assertRelativePath(final);
    await this.#changeDirectories('publish', final, () => {
      const node = this.#lookUp('publish', temporary);
      if (node === undefined) throw this.#error('ENOENT', 'publish', temporary);
      const replaced = this.#lookUp('publish', final);
      const to = this.#directory('publish', parentOf(final));
      if (replaced?.kind === 'file' && replaced !== node) this.dropReference(replaced);
      return [
        { directory: this.#directory('publish', parentOf(temporary)), name: baseNameOf(temporary), node: undefined },
        { directory: to, name: baseNameOf(final), node },
      ];
    });
  }

  async unlink(path: string): Promise<void> {
    assertRelativePath(path);
    await this.#changeDirectories('unlink', path, () => {
      const node = this.#lookUp('unlink', path);
      if (node === undefined) return [];
      if (node.kind !== 'file') throw this.#error('EISDIR', 'unlink', path);
      this.dropReference(node);
      return [{ directory: this.#directory('unlink', parentOf(path)), name: baseNameOf(path), node: undefined }];
    });
  }

  async list(directory: string): Promise<string[]> {
    await this.turn('list', directory);
    return [...this.#directory('list', directory).current.keys()];
  }

  async stat(path: string): Promise<FileFacts | undefined> {
    await this.turn('stat', path);
    const node = this.#lookUp('stat', path);
    if (node === undefined) return undefined;
    const isDirectory = node.kind === 'directory';
    const sizeBytes = isDirectory ? PAGE_BYTES : node.current.sizeBytes;
    return { device: this.device, inode: node.inode, sizeBytes, isDirectory, modifiedMs: node.modifiedMs };
  }

  async statSpace(): Promise<DiskSpace> {
    await this.turn('statfs', ROOT_PATH);
    if (!this.#isAttached) throw this.#missing('statfs');
    return { totalBytes: this.capacityBytes, freeBytes: this.freeBytes };
  }

  // ——— for SimulatedDiskFile ———

  get freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.#usedPages * PAGE_BYTES);
  }

  /** A call takes its time. @throws when the process this view belongs to has died meanwhile. */
  async turn(operation: string, path: string): Promise<void> {
    this.assertAlive(operation, path);
    for (let turns = this.#turns(); turns > 0; turns--) await Promise.resolve();
    this.assertAlive(operation, path);
  }

  assertAlive(operation: string, path: string): void {
    if (this.#isDead) throw this.#error('ESHUTDOWN', operation, path);
  }

  /** The file now at this path; `undefined` also when the whole disk is detached. */
  nodeAt(path: string): SimulatedNode | undefined {
    return this.#isAttached ? this.#walk(path) : undefined;
  }

  /** Runs what may add or remove pages of a file and keeps the account of space. */
  accountFor<T>(node: SimulatedFileNode, change: () => T): T {
    const before = node.current.allocatedPages;
    const result = change();
    this.#usedPages += node.current.allocatedPages - before;
    node.modifiedMs = this.#nowMs();
    return result;
  }

  /** A name or an open handle is gone. */
  dropReference(node: SimulatedFileNode): void {
    if (--node.referenceCount === 0) this.#usedPages -= node.current.allocatedPages;
  }

  // ——— inside ———

  async #changeDirectories(operation: string, path: string, plan: () => DirectoryChange['steps']): Promise<void> {
    this.assertAlive(operation, path);
    const change: DirectoryChange = { steps: plan() };
    applyDirectoryChange(change, 'current');
    for (const { directory } of change.steps) directory.modifiedMs = this.#nowMs();
    this.#pendingDirectoryChanges.push(change);
    await this.turn(operation, path);
    applyDirectoryChange(change, 'durable');
    this.#pendingDirectoryChanges = this.#pendingDirectoryChanges.filter((other) => other !== change);
  }

  #successor(): SimulatedDiskFs {
    this.#isDead = true;
    const next = new SimulatedDiskFs({ ...this.#options, device: this.device, capacityBytes: this.capacityBytes });
    next.#isAttached = this.#isAttached;
    return next;
  }

  /** Makes the durable entries of a tree this disk's whole content. */
  #adopt(root: SimulatedDirectoryNode, visitFile: (file: SimulatedFileNode) => void): void {
    const visit = (directory: SimulatedDirectoryNode): void => {
      directory.current = new Map(directory.durable);
      for (const node of directory.current.values()) {
        if (node.kind === 'directory') visit(node);
        else {
          visitFile(node);
          node.referenceCount = 1;
          this.#usedPages += node.current.allocatedPages;
        }
      }
    };
    visit(root);
    this.#root = root;
  }

  #walk(path: string): SimulatedNode | undefined {
    let node: SimulatedNode | undefined = this.#root;
    if (path === ROOT_PATH) return node;
    assertRelativePath(path);
    for (const name of path.split('/')) {
      if (node?.kind !== 'directory') return undefined;
      node = node.current.get(name);
    }
    return node;
  }

  #lookUp(operation: string, path: string): SimulatedNode | undefined {
    if (!this.#isAttached) throw this.#missing(operation);
    return this.#walk(path);
  }

  #directory(operation: string, path: string): SimulatedDirectoryNode {
    const node = this.#lookUp(operation, path);
    if (node === undefined) throw this.#error('ENOENT', operation, path);
    if (node.kind !== 'directory') throw this.#error('ENOTDIR', operation, path);
    return node;
  }

  #fileForTest(path: string): SimulatedFileNode {
    const node = this.#walk(path);
    assert(node?.kind === 'file', `no file ${path} on ${this.name}`);
    return node;
  }

  #nowMs(): number {
    return this.#options.nowMs?.() ?? 0;
  }

  #error(errno: string, operation: string, path: string): StoreError {
    return toDiskError(makeErrno(errno, operation, `${this.name}/${path}`), operation, path);
  }

  #missing(operation: string): StoreError {
    return missingDiskError(this.name, makeErrno('ENOENT', operation, this.name));
  }
}

function cloneDirectory(directory: SimulatedDirectoryNode): SimulatedDirectoryNode {
  const copy = new SimulatedDirectoryNode(directory.inode);
  for (const [name, node] of directory.current) {
    const copied = node.kind === 'directory' ? cloneDirectory(node) : node.cloneSynced();
    copy.current.set(name, copied);
    copy.durable.set(name, copied);
  }
  return copy;
}
