import { assert } from '../errors/assert.ts';
import { makeErrno, toDiskError } from './disk-error.ts';
import { DIRECT_IO_ALIGNMENT_BYTES, type DiskFile, type OpenMode } from './disk-fs.ts';
import { PAGE_BYTES } from './simulated-content.ts';
import type { SimulatedDiskFs } from './simulated-disk-fs.ts';
import type { SimulatedFileNode } from './simulated-node.ts';

/** An open file of `SimulatedDiskFs`. A write is seen by readers when it is called, and done some microtasks later. */
export class SimulatedDiskFile implements DiskFile {
  readonly path: string;
  readonly device: number;
  readonly inode: number;
  readonly #fs: SimulatedDiskFs;
  readonly #node: SimulatedFileNode;
  readonly #mode: OpenMode;
  #isClosed = false;

  constructor(fs: SimulatedDiskFs, node: SimulatedFileNode, { path, mode }: { path: string; mode: OpenMode }) {
    this.#fs = fs;
    this.#node = node;
    this.#mode = mode;
    this.path = path;
    this.device = fs.device;
    this.inode = node.inode;
  }

  async write(buffer: Uint8Array, offset: number): Promise<void> {
    this.#assertOpen('write');
    if (this.#mode === 'read') throw this.#error('EBADF', 'write');
    this.#assertAligned('write', buffer, offset);
    const fitting = this.#fittingBytes(offset, buffer.length);
    const view = fitting === buffer.length ? buffer : buffer.subarray(0, fitting);
    const copy = Buffer.from(view);
    const change = this.#fs.accountFor(this.#node, () => this.#node.write(copy, offset));
    await this.#fs.turn('write', this.path);
    assert(copy.equals(view), `a buffer changed while its write was under way: ${this.path} at ${offset}`);
    if (fitting < buffer.length) throw this.#error('ENOSPC', 'write');
    if (this.#mode === 'direct-sync') this.#node.syncOnly(change);
  }

  /** How much of a write has room: a full disk takes its beginning, as the real one does. */
  #fittingBytes(offset: number, lengthBytes: number): number {
    if (this.#node.current.missingPages(offset, lengthBytes) * PAGE_BYTES <= this.#fs.freeBytes) return lengthBytes;
    let fitting = 0;
    const end = offset + lengthBytes;
    for (let next = offset; next < end; fitting = Math.min(next, end) - offset) {
      next = (Math.floor(next / PAGE_BYTES) + 1) * PAGE_BYTES;
      const wouldTake = this.#node.current.missingPages(offset, Math.min(next, end) - offset) * PAGE_BYTES;
      if (wouldTake > this.#fs.freeBytes) break;
    }
    return fitting;
  }

  async read(buffer: Uint8Array, offset: number): Promise<number> {
    this.#assertOpen('read');
    this.#assertAligned('read', buffer, offset);
    await this.#fs.turn('read', this.path);
    const content = this.#node.current;
    const count = Math.max(0, Math.min(buffer.length, content.sizeBytes - offset));
    content.readInto(buffer, offset, count);
    return count;
  }

  async datasync(): Promise<void> {
    this.#assertOpen('datasync');
    const seen = new Set(this.#node.pending);
    await this.#fs.turn('datasync', this.path);
    // Writes that began after the call are not promised; those before it may have been synced by another call meanwhile.
    this.#node.syncFirst(this.#node.pending.findLastIndex((change) => seen.has(change)) + 1);
  }

  async truncate(lengthBytes: number): Promise<void> {
    this.#assertOpen('truncate');
    if (this.#mode === 'read') throw this.#error('EINVAL', 'truncate');
    this.#fs.accountFor(this.#node, () => this.#node.truncate(lengthBytes));
    const seen = new Set(this.#node.pending);
    await this.#fs.turn('truncate', this.path);
    this.#node.syncFirst(this.#node.pending.findLastIndex((change) => seen.has(change)) + 1);
  }

  async stillThere(): Promise<boolean> {
    await this.#fs.turn('stat', this.path);
    return this.#fs.nodeAt(this.path) === this.#node;
  }

  async sizeBytes(): Promise<number> {
    this.#assertOpen('stat');
    await this.#fs.turn('stat', this.path);
    return this.#node.current.sizeBytes;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#fs.turn('close', this.path);
    this.#fs.dropReference(this.#node);
  }

  #assertOpen(operation: string): void {
    this.#fs.assertAlive(operation, this.path);
    if (this.#isClosed) throw this.#error('EBADF', operation);
  }

  #assertAligned(operation: string, buffer: Uint8Array, offset: number): void {
    if (this.#mode !== 'direct' && this.#mode !== 'direct-sync') return;
    for (const value of [buffer.byteOffset, buffer.length, offset]) {
      if (value % DIRECT_IO_ALIGNMENT_BYTES !== 0) throw this.#error('EINVAL', operation);
    }
  }

  #error(errno: string, operation: string) {
    return toDiskError(makeErrno(errno, operation, `${this.#fs.name}/${this.path}`), operation, this.path);
  }
}
