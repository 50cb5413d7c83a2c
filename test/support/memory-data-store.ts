import { assert } from '../../src/errors/assert.ts';
import { StoreError } from '../../src/errors/store-error.ts';
import {
  DESCRIPTOR_LIMIT_BYTES,
  type BlobWriter,
  type BlobWriterOptions,
  type ByteRange,
  type DamagedShard,
  type DataPiece,
  type DataStore,
  type PinnedBlob,
} from '../../src/data-store/data-store.ts';
import type { BlobRecord, VolumeLedger, VolumeRecord } from '../../src/model/blob.ts';
import { type StorageClass, storageClassesOf } from '../../src/model/storage-class.ts';
import type { ErasureCode } from '../../src/model/erasure-code.ts';

export interface MemoryDataStoreOptions {
  ledger: VolumeLedger;
  smallBlobLimitBytes?: number;
  /** Bytes of one piece of a read and of one slot that `observe` sees. */
  pieceSizeBytes?: number;
}

interface StoredBlob {
  bytes: Buffer;
  descriptor: Buffer;
  volumeId: number;
}

/**
 * A DataStore that keeps bytes in memory and holds its users to the contract: a released piece is overwritten, a
 * pinned blob is unpinned once, an observed slot is reused after its promise, a writer is finished or aborted.
 * `check` tells what was left open. Faults are planted with `gone`, `failReads` and `failWrites`.
 */
export class MemoryDataStore implements DataStore {
  readonly smallBlobLimitBytes: number;
  readonly #ledger: VolumeLedger;
  readonly #pieceSizeBytes: number;
  readonly #blobs = new Map<string, StoredBlob>();
  readonly #pins = new Map<number, number>();
  #volumeId = 0;
  #openPieces = 0;
  #openReads = 0;
  #openWriters = 0;
  #nextLocation = 1;
  /** Locations that answer BlobGone, as after the collector has moved their blobs. */
  readonly gone = new Set<string>();
  /** Each is thrown by one piece of a read, first in, first out. */
  readonly failReads: Error[] = [];
  readonly failWrites: Error[] = [];
  readonly descriptors: Buffer[] = [];
  bytesWritten = 0;
  bytesRead = 0;

  constructor(options: MemoryDataStoreOptions) {
    this.#ledger = options.ledger;
    this.smallBlobLimitBytes = options.smallBlobLimitBytes ?? 64 * 1024;
    this.#pieceSizeBytes = options.pieceSizeBytes ?? 64 * 1024;
  }

  /** The very bytes that are stored, to be looked at or changed. */
  bytesOf(blob: Pick<BlobRecord, 'layout'>): Buffer {
    return this.#blobs.get(blob.layout.toString())!.bytes;
  }

  async start(): Promise<void> {
    this.#volumeId = this.#ledger.nextIdentifier();
    await this.#ledger.openVolume({
      volumeId: this.#volumeId,
      k: 1,
      m: 0,
      diskIds: ['memory'],
      purpose: 'small',
      shardSizeBytes: 4096,
    });
  }

  async stop(): Promise<void> {}

  async writeSmall(body: Buffer, descriptor: Buffer): Promise<PinnedBlob> {
    assert(body.length <= this.smallBlobLimitBytes, 'body over the limit of small blobs');
    assert(descriptor.length <= DESCRIPTOR_LIMIT_BYTES, `a descriptor of ${descriptor.length} bytes`);
    const failure = this.failWrites.shift();
    if (failure) throw failure;
    await Promise.resolve();
    return this.#keep(Buffer.from(body), descriptor);
  }

  async openWriter(options: BlobWriterOptions): Promise<BlobWriter> {
    const failure = this.failWrites.shift();
    if (failure) throw failure;
    this.#openWriters++;
    return new MemoryBlobWriter({
      ...options,
      slotSizeBytes: this.#pieceSizeBytes,
      finish: (bytes, descriptor) => this.#keep(bytes, descriptor),
      end: () => void this.#openWriters--,
      nextFailure: () => this.failWrites.shift(),
    });
  }

  async *read(
    blob: Pick<BlobRecord, 'blobId' | 'sizeBytes' | 'layout'>,
    range: ByteRange,
  ): AsyncGenerator<DataPiece, void, undefined> {
    assert(
      range.start >= 0 && range.length > 0 && range.start + range.length <= blob.sizeBytes,
      'range outside the blob',
    );
    this.#openReads++;
    try {
      for (let offset = range.start; offset < range.start + range.length;) {
        const location = blob.layout.toString();
        const stored = this.#blobs.get(location);
        if (!stored || this.gone.has(location)) throw new StoreError('BlobGone', `no blob at ${location}`);
        const failure = this.failReads.shift();
        if (failure) throw failure;
        const end = Math.min(offset + this.#pieceSizeBytes, range.start + range.length);
        this.bytesRead += end - offset;
        yield this.#lend(Buffer.from(stored.bytes.subarray(offset, end)));
        offset = end;
      }
    } finally {
      this.#openReads--;
    }
  }

  async readSmall(
    blob: Pick<BlobRecord, 'blobId' | 'sizeBytes' | 'layout'>,
    range: ByteRange,
  ): Promise<Buffer | undefined> {
    if (blob.sizeBytes > this.smallBlobLimitBytes) return undefined;
    const bytes: Buffer[] = [];
    for await (const piece of this.read(blob, range)) {
      bytes.push(Buffer.from(piece.bytes));
      piece.release();
    }
    return Buffer.concat(bytes);
  }

  async pin(blobs: readonly Pick<BlobRecord, 'footprint' | 'layout'>[]): Promise<() => void> {
    const gone = blobs.find(({ layout }) => this.gone.has(layout.toString()));
    if (gone) throw new StoreError('BlobGone', `no blob at ${gone.layout.toString()}`);
    const unpins = blobs.flatMap(({ footprint }) => footprint.map(({ volumeId }) => this.#pin(volumeId)));
    return () => {
      for (const unpin of unpins) unpin();
    };
  }

  async rewriteBlob(blob: BlobRecord): Promise<PinnedBlob> {
    const stored = this.#blobs.get(blob.layout.toString());
    if (!stored) throw new StoreError('BlobGone', 'no such blob');
    return this.#keep(stored.bytes, stored.descriptor, blob.blobId);
  }

  async copyBlob(blob: BlobRecord): Promise<PinnedBlob> {
    const stored = this.#blobs.get(blob.layout.toString());
    if (!stored) throw new StoreError('BlobGone', 'no such blob');
    return this.#keep(stored.bytes, stored.descriptor);
  }

  storageClasses(): readonly StorageClass[] {
    return storageClassesOf({ k: 1, m: 0 });
  }

  writeCode(): ErasureCode | undefined {
    return { k: 1, m: 0 };
  }

  pinnedVolumeIds(): ReadonlySet<number> {
    return new Set([this.#volumeId, ...this.#pins.keys()]);
  }

  async removeVolumeFiles(volume: VolumeRecord): Promise<string[]> {
    for (const [location, stored] of this.#blobs) if (stored.volumeId === volume.volumeId) this.#blobs.delete(location);
    return [...volume.diskIds];
  }

  takeDamage(): DamagedShard[] {
    return [];
  }

  async diskUsage(): Promise<
    Map<string, { volumeBytes: number; preallocatedBytes: number; quarantinedBytes: number }>
  > {
    return new Map([['memory', { volumeBytes: this.bytesWritten, preallocatedBytes: 0, quarantinedBytes: 0 }]]);
  }

  /** Puts a blob's bytes at another location, as the collector does; the old one answers BlobGone. */
  move(blob: BlobRecord): Buffer {
    const location = blob.layout.toString();
    const stored = this.#blobs.get(location);
    assert(stored, 'no such blob');
    this.gone.add(location);
    const moved = `m${this.#nextLocation++}`;
    this.#blobs.set(moved, stored);
    return Buffer.from(moved);
  }

  /** What users of the store left open; all zero when they kept the contract. */
  check(): { pins: number; pieces: number; reads: number; writers: number } {
    let pins = 0;
    for (const count of this.#pins.values()) pins += count;
    return { pins, pieces: this.#openPieces, reads: this.#openReads, writers: this.#openWriters };
  }

  #keep(bytes: Buffer, descriptor: Buffer, blobId = this.#ledger.nextIdentifier()): PinnedBlob {
    const location = `l${this.#nextLocation++}`;
    const volumeId = this.#volumeId;
    this.#blobs.set(location, { bytes, descriptor: Buffer.from(descriptor), volumeId });
    this.descriptors.push(Buffer.from(descriptor));
    this.bytesWritten += bytes.length;
    return {
      blob: {
        blobId,
        sizeBytes: bytes.length,
        layout: Buffer.from(location),
        footprint: [{ volumeId, storedBytes: bytes.length + 64 }],
      },
      unpin: this.#pin(volumeId),
    };
  }

  #pin(volumeId: number): () => void {
    this.#pins.set(volumeId, (this.#pins.get(volumeId) ?? 0) + 1);
    let isPinned = true;
    return () => {
      assert(isPinned, 'what is pinned is unpinned once');
      isPinned = false;
      this.#pins.set(volumeId, this.#pins.get(volumeId)! - 1);
    };
  }

  #lend(bytes: Buffer): DataPiece {
    this.#openPieces++;
    let isReleased = false;
    return {
      bytes,
      release: () => {
        assert(!isReleased, 'a piece is released once');
        isReleased = true;
        this.#openPieces--;
        bytes.fill(0xdd);
      },
    };
  }
}

interface MemoryWriterOptions extends BlobWriterOptions {
  slotSizeBytes: number;
  finish: (bytes: Buffer, descriptor: Buffer) => PinnedBlob;
  end: () => void;
  nextFailure: () => Error | undefined;
}

class MemoryBlobWriter implements BlobWriter {
  readonly #options: MemoryWriterOptions;
  readonly #slot: Buffer;
  readonly #pieces: Buffer[] = [];
  #filled = 0;
  #writtenBytes = 0;
  #isEnded = false;

  constructor(options: MemoryWriterOptions) {
    this.#options = options;
    this.#slot = Buffer.from(new SharedArrayBuffer(options.slotSizeBytes));
  }

  async write(chunk: Buffer): Promise<void> {
    assert(!this.#isEnded, 'write after the end');
    const failure = this.#options.nextFailure();
    if (failure) throw failure;
    for (let offset = 0; offset < chunk.length;) {
      const length = Math.min(this.#slot.length - this.#filled, chunk.length - offset);
      chunk.copy(this.#slot, this.#filled, offset, offset + length);
      this.#filled += length;
      offset += length;
      if (this.#filled === this.#slot.length) await this.settle();
    }
    this.#writtenBytes += chunk.length;
  }

  async settle(): Promise<void> {
    const view = this.#slot.subarray(0, this.#filled);
    this.#filled = 0;
    if (view.length === 0) return;
    this.#pieces.push(Buffer.from(view));
    await this.#options.observe?.(view);
    view.fill(0xdd);
  }

  async finish(descriptor: Buffer): Promise<PinnedBlob> {
    await this.settle();
    const { sizeBytes } = this.#options;
    assert(sizeBytes === undefined || sizeBytes === this.#writtenBytes, 'not the size that was announced');
    this.#end();
    return this.#options.finish(Buffer.concat(this.#pieces), descriptor);
  }

  async abort(): Promise<void> {
    if (!this.#isEnded) this.#end();
  }

  #end(): void {
    assert(!this.#isEnded, 'a writer ends once');
    this.#isEnded = true;
    this.#options.end();
  }
}
