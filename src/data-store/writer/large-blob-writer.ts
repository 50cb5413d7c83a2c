import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { BlobRecord } from '../../model/blob.ts';
import { encodeBlobLayout, type StripeRun } from '../blob-layout.ts';
import { DESCRIPTOR_LIMIT_BYTES, type BlobWriter, type BlobWriterOptions, type PinnedBlob } from '../data-store.ts';
import { acquireWithin } from '../reader/large-read.ts';
import type { BlobReader } from '../reader/blob-reader.ts';
import type { StoreContext } from '../store-context.ts';
import { ENTRY_HEADER_BYTES, writeBlobEntry } from '../stripe/blob-entry.ts';
import type { LargeVolume } from '../volume/large-volume.ts';
import type { LargeVolumes } from '../volume/large-volumes.ts';
import { LargeStripeWriter, sourceOf, stripeCapacity, type WrittenStripe } from './large-stripe-writer.ts';
import { BodyPieces } from './body-pieces.ts';
import { pinBlob } from './pin-blob.ts';

/** Counts uploads that share the budget of body buffers. */
export interface WriterCensus {
  activeCount: number;
}

const NO_ENTRY = Buffer.alloc(0);
/** Stripes of one upload that are being encoded or written at once. */
const STRIPES_IN_FLIGHT = 2;

/**
 * One large body on its way to the disks. Bytes wait in pieces of the shared budget, which a slow upload fills one at a
 * time; a whole stripe's buffer is taken only for encoding and writing. With many uploads each may hold fewer pieces
 * and writes shorter stripes, so the budget never keeps them waiting for one another.
 *
 * Invariants: stripes are in the order of the body; no stripe begins while more than `unsyncedLimitBytes` are
 * written and not synced; what was not synced when a volume fails is read back (any k shards are enough) and appended elsewhere.
 */
export class LargeBlobWriter implements BlobWriter {
  readonly #context: StoreContext;
  readonly #volumes: LargeVolumes;
  readonly #reader: BlobReader;
  readonly #census: WriterCensus;
  readonly #options: BlobWriterOptions;
  readonly #blobId: number;
  readonly #stripeWriter: LargeStripeWriter;
  #owned: LargeVolume | undefined;
  #choosing: Promise<LargeVolume> | undefined;
  readonly #pieces: BodyPieces;
  /** Body bytes that were given to stripes. */
  #cutBytes = 0;
  /** By order of cutting; an entry is filled when its writes have returned. */
  readonly #cuts: { stripes: WrittenStripe[] }[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  /** Written, not synced. */
  readonly #unsynced = new Set<WrittenStripe>();
  #unsyncedBytes = 0;
  #syncing: Promise<void> | undefined;
  readonly #pinned = new Set<number>();
  #failure: unknown;
  #isEnded = false;

  constructor(deps: {
    context: StoreContext;
    volumes: LargeVolumes;
    reader: BlobReader;
    census: WriterCensus;
    options: BlobWriterOptions;
    blobId: number;
  }) {
    this.#context = deps.context;
    this.#volumes = deps.volumes;
    this.#reader = deps.reader;
    this.#census = deps.census;
    this.#options = deps.options;
    this.#blobId = deps.blobId;
    this.#stripeWriter = new LargeStripeWriter(deps.context, deps.blobId, () => this.#nextVolume());
    this.#pieces = new BodyPieces({
      pool: deps.context.bodyBuffers,
      observe: deps.options.observe,
      onObserveFailure: (error) => (this.#failure ??= error),
    });
    this.#census.activeCount++;
  }

  async write(chunk: Buffer): Promise<void> {
    this.#assertGoing();
    let offset = 0;
    while (offset < chunk.length) {
      if (!this.#pieces.hasRoom) await this.#addPiece();
      offset += this.#pieces.append(chunk, offset);
      const target = this.#stripeTarget();
      while (this.#pieces.bufferedBytes >= target) await this.#cut(target);
    }
    this.#assertGoing();
  }

  /** Waits until few enough bytes are written and not synced for one more stripe. */
  async #throttle(): Promise<void> {
    while (this.#unsyncedBytes > this.#context.tunables.unsyncedLimitBytes && this.#failure === undefined) {
      if (this.#unsynced.size > 0) await this.#sync();
      else await Promise.race(this.#inFlight);
    }
  }

  async settle(): Promise<void> {
    this.#assertGoing();
    this.#pieces.showAll();
    await this.#pieces.observed();
    this.#assertGoing();
  }

  async finish(descriptor: Buffer): Promise<PinnedBlob> {
    this.#assertGoing();
    assert(descriptor.length <= DESCRIPTOR_LIMIT_BYTES, `a descriptor of ${descriptor.length} bytes`);
    try {
      await this.#cutLast(descriptor);
      await Promise.all(this.#inFlight);
      this.#assertGoing();
      await this.#syncUntilDone();
      const blob = this.#record(descriptor.length);
      return pinBlob(this.#context.table, blob);
    } catch (error) {
      this.#failure ??= error;
      throw error;
    } finally {
      await this.#end();
    }
  }

  async abort(): Promise<void> {
    if (this.#isEnded) return;
    this.#failure ??= new StoreError('NotReady', 'the upload was given up');
    await this.#end();
  }

  #assertGoing(): void {
    if (this.#failure !== undefined) throw this.#failure as Error;
    assert(!this.#isEnded, 'a blob writer was used after its end');
  }

  /** Everything goes back; pins of volumes last, after nothing reads or writes there for this upload. */
  async #end(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    await Promise.allSettled([...this.#inFlight, this.#syncing]);
    await this.#pieces.release();
    if (this.#owned !== undefined) this.#volumes.retire(this.#owned);
    this.#owned = undefined;
    for (const volumeId of this.#pinned) this.#context.table.unpinUncommitted(volumeId);
    this.#census.activeCount--;
  }

  // ——— pieces ———

  /** How many pieces this upload may hold now. */
  #share(): number {
    return Math.max(1, Math.floor(this.#context.bodyBuffers.slotLimit / (this.#census.activeCount + 1)));
  }

  #stripeTarget(): number {
    const { tunables, bodyBuffers } = this.#context;
    const full = stripeCapacity({ ...this.#context.code(), shardSizeBytes: tunables.largeShardSizeBytes });
    return Math.min(full, this.#share() * bodyBuffers.slotSizeBytes);
  }

  async #addPiece(): Promise<void> {
    const { bodyBuffers } = this.#context;
    let slot = bodyBuffers.tryAcquire();
    if (slot === undefined && this.#pieces.bufferedBytes > 0) {
      // Others wait for buffers too: what this upload holds becomes a short stripe instead of a hostage.
      await this.#cut(this.#pieces.bufferedBytes);
      slot = bodyBuffers.tryAcquire();
    }
    slot ??= await acquireWithin(this.#context, bodyBuffers);
    if (this.#isEnded) bodyBuffers.release(slot);
    else this.#pieces.addSlot(slot);
    this.#assertGoing();
  }

  // ——— stripes ———

  /** Gives the first `bodyBytes`, and the entry if it is the last, to a stripe; resolves when they are copied. */
  async #cut(bodyBytes: number, entry: Buffer = NO_ENTRY): Promise<void> {
    await this.#throttle();
    while (this.#inFlight.size >= STRIPES_IN_FLIGHT && this.#failure === undefined) {
      await Promise.race(this.#inFlight);
    }
    this.#assertGoing();
    const source = this.#pieces.front({ bodyBytes, entry, blobOffset: this.#cutBytes });
    const cut: { stripes: WrittenStripe[] } = { stripes: [] };
    this.#cuts.push(cut);
    this.#cutBytes += bodyBytes;
    this.#unsyncedBytes += bodyBytes;
    await new Promise<void>((resolve, reject) => {
      const writing = this.#stripeWriter.write(source, () => {
        this.#pieces.dropFront(bodyBytes);
        resolve();
      });
      const tracked = writing.then(
        (stripes) => {
          cut.stripes = stripes;
          for (const stripe of stripes) this.#unsynced.add(stripe);
          this.#inFlight.delete(tracked);
          if (this.#unsyncedBytes >= this.#context.tunables.unsyncedLimitBytes / 2) this.#startSync();
        },
        (error: unknown) => {
          this.#failure ??= error;
          this.#inFlight.delete(tracked);
          reject(error);
        },
      );
      this.#inFlight.add(tracked);
    });
  }

  /** What is left and the entry: one stripe, or two when they do not fit one. */
  async #cutLast(descriptor: Buffer): Promise<void> {
    this.#pieces.showAll();
    const entry = Buffer.alloc(ENTRY_HEADER_BYTES + descriptor.length);
    writeBlobEntry(entry, 0, { blobId: this.#blobId, kind: 'large', bodyLengthBytes: 0, descriptor });
    await this.#cut(this.#pieces.bufferedBytes, entry);
  }

  async #nextVolume(): Promise<LargeVolume> {
    // Two stripes in flight must not open a volume each.
    this.#choosing ??= this.#chooseVolume().finally(() => (this.#choosing = undefined));
    const open = await this.#choosing;
    const { volumeId } = open.volume;
    if (!this.#pinned.has(volumeId)) {
      this.#pinned.add(volumeId);
      this.#context.table.pinUncommitted(volumeId);
    }
    return open;
  }

  async #chooseVolume(): Promise<LargeVolume> {
    if (this.#owned !== undefined) {
      if (this.#volumes.isUsable(this.#owned)) return this.#owned;
      this.#volumes.retire(this.#owned);
      this.#owned = undefined;
    }
    const { sizeBytes } = this.#options;
    const isFirst = this.#pinned.size === 0;
    if (sizeBytes !== undefined && this.#volumes.mayOwn(isFirst ? sizeBytes : sizeBytes - this.#cutBytes)) {
      this.#owned = await this.#volumes.openOwned();
      return this.#owned;
    }
    return this.#volumes.shared();
  }

  // ——— syncing ———

  #startSync(): void {
    // What goes wrong is in #failure.
    this.#sync().catch(() => undefined);
  }

  /** Syncs the volumes of all stripes whose writes have returned; one run at a time. */
  #sync(): Promise<void> {
    this.#syncing ??= this.#syncWritten()
      .catch((error: unknown) => {
        this.#failure ??= error;
        throw error;
      })
      .finally(() => (this.#syncing = undefined));
    return this.#syncing;
  }

  async #syncWritten(): Promise<void> {
    const stripes = [...this.#unsynced];
    const failed: WrittenStripe[] = [];
    await Promise.all(
      [...new Set(stripes.map((stripe) => stripe.open))].map(async (open) => {
        const own = stripes.filter((stripe) => stripe.open === open);
        try {
          await open.sync();
        } catch (error) {
          if (!(error instanceof StoreError)) throw error;
          failed.push(...own);
          return;
        }
        for (const stripe of own) {
          this.#unsynced.delete(stripe);
          this.#unsyncedBytes -= stripe.dataBytes;
        }
      }),
    );
    for (const stripe of failed) await this.#moveStripe(stripe);
  }

  /** Reads an un-synced stripe back from the shards that can be read and appends it elsewhere, in the same place of the body. */
  async #moveStripe(stripe: WrittenStripe): Promise<void> {
    const bytes = await this.#reader.readStream(stripe.facts, stripe.stripeCrc, stripe.streamBytes);
    const source = sourceOf(bytes, { dataBytes: stripe.dataBytes, blobOffset: stripe.facts.blobOffset });
    const moved = await this.#stripeWriter.write(source, () => {});
    this.#unsynced.delete(stripe);
    for (const added of moved) this.#unsynced.add(added);
    for (const cut of this.#cuts) {
      const position = cut.stripes.indexOf(stripe);
      if (position !== -1) cut.stripes.splice(position, 1, ...moved);
    }
  }

  async #syncUntilDone(): Promise<void> {
    for (let attempt = 0; attempt <= this.#context.disks.disks.length + 1; attempt++) {
      await this.#sync();
      if (this.#unsynced.size === 0) return;
    }
    throw new StoreError('QuorumLost', 'an upload could not be synced: disks fail one after another');
  }

  // ——— the result ———

  #record(descriptorLengthBytes: number): BlobRecord {
    const stripes = this.#cuts.flatMap((cut) => cut.stripes);
    const stored = new Map<number, number>();
    for (const { facts, streamBytes } of stripes) {
      stored.set(facts.volumeId, (stored.get(facts.volumeId) ?? 0) + streamBytes);
    }
    const layout = encodeBlobLayout({ kind: 'large', descriptorLengthBytes, runs: runsOf(stripes) });
    return {
      blobId: this.#blobId,
      sizeBytes: this.#cutBytes,
      layout,
      footprint: [...stored].map(([volumeId, storedBytes]) => ({ volumeId, storedBytes })),
    };
  }
}

/** Joins stripes that follow one another in their volume; within a run only the last may be partly filled. */
function runsOf(stripes: readonly WrittenStripe[]): StripeRun[] {
  const runs: { run: Omit<StripeRun, 'stripeCrcs'>; crcs: number[] }[] = [];
  for (const { open, facts, dataBytes, stripeCrc } of stripes) {
    const { volumeId, k, m, shardLengthBytes, stripeNumber } = facts;
    const last = runs.at(-1);
    const offset = facts.places[0]?.offset ?? 0;
    if (
      last !== undefined &&
      last.run.volumeId === volumeId &&
      last.run.k === k &&
      last.run.m === m &&
      last.run.shardLengthBytes === shardLengthBytes &&
      last.run.firstStripeNumber + last.run.count === stripeNumber &&
      last.run.offset + last.run.count * shardLengthBytes === offset &&
      last.run.lastDataBytes === stripeCapacity({ k, m, shardSizeBytes: shardLengthBytes })
    ) {
      last.run = { ...last.run, count: last.run.count + 1, lastDataBytes: dataBytes };
      last.crcs.push(stripeCrc);
      continue;
    }
    const width = open.volume.diskIds.length;
    runs.push({
      run: {
        volumeId,
        k,
        m,
        width,
        firstStripeNumber: stripeNumber,
        shardLengthBytes,
        offset,
        count: 1,
        lastDataBytes: dataBytes,
      },
      crcs: [stripeCrc],
    });
  }
  return runs.map(({ run, crcs }) => {
    const stripeCrcs = Buffer.allocUnsafe(4 * crcs.length);
    for (const [index, crc] of crcs.entries()) stripeCrcs.writeUInt32LE(crc, 4 * index);
    return { ...run, stripeCrcs };
  });
}
