import { createCipheriv, createHash } from 'node:crypto';
import type { ShardChecksums } from '../../src/checksums/digest-pool.ts';
import { StripedDataStore } from '../../src/data-store/striped-data-store.ts';
import type { DataStoreTunables } from '../../src/data-store/tunables.ts';
import { BufferPool } from '../../src/memory/buffer-pool.ts';
import type { BlobRecord } from '../../src/model/blob.ts';
import type { StorageClass } from '../../src/model/storage-class.ts';
import type { ErasureCode } from '../../src/model/erasure-code.ts';
import { silentLog } from '../../src/observability/log.ts';
import type {
  DataStore,
  PinnedBlob,
  VolumeWork,
  ShardDestination,
  VolumeKeeper,
} from '../../src/data-store/data-store.ts';
import { MemoryJournal, MemoryVolumeLedger } from './memory-volume-ledger.ts';
import { SimulatedCluster, type SimulatedClusterOptions } from './simulated-cluster.ts';
import { settle } from './simulated-clock.ts';

/** Small enough that a test of many stripes and volumes takes little memory and time. */
export const SMALL_TUNABLES: Partial<DataStoreTunables> = {
  smallBlobLimitBytes: 16 * 1024,
  smallShardLimitBytes: 64 * 1024,
  smallVolumeLimitBytes: 4 * 1024 * 1024,
  largeShardSizeBytes: 16 * 1024,
  largeVolumeLimitBytes: 8 * 1024 * 1024,
  ownVolumeMinimumBytes: 1024 * 1024,
  unsyncedLimitBytes: 256 * 1024,
  stripeBufferBudgetBytes: 8 * 1024 * 1024,
  readBufferBudgetBytes: 4 * 1024 * 1024,
};

export interface HarnessOptions extends Omit<SimulatedClusterOptions, 'diskCount'> {
  code: ErasureCode;
  diskCount?: number;
  tunables?: Partial<DataStoreTunables>;
  storageClasses?: readonly StorageClass[];
  checksums?: ShardChecksums;
}

/** A data store on simulated disks with a journal that never forgets; `store` is the one of the current process. */
export class DataStoreHarness {
  readonly cluster: SimulatedCluster;
  readonly journal = new MemoryJournal();
  ledger: MemoryVolumeLedger;
  readonly code: ErasureCode;
  readonly tunables: Partial<DataStoreTunables>;
  readonly #checksums: ShardChecksums | undefined;
  store: StripedDataStore;
  /** Of the next process. */
  storageClasses: readonly StorageClass[];
  /** Of the current process. */
  bodyBuffers!: BufferPool;

  constructor(options: HarnessOptions) {
    const { code, diskCount = code.k + code.m, tunables = {}, storageClasses = [], checksums, ...cluster } = options;
    this.storageClasses = storageClasses;
    this.#checksums = checksums;
    this.code = code;
    this.tunables = { ...SMALL_TUNABLES, ...tunables };
    this.cluster = new SimulatedCluster({ diskCount, ...cluster });
    this.ledger = new MemoryVolumeLedger(this.journal);
    this.store = this.#make();
  }

  static async start(options: HarnessOptions): Promise<DataStoreHarness> {
    const harness = new DataStoreHarness(options);
    await harness.store.start();
    return harness;
  }

  /** Power is cut: the process is gone, disks keep what `mode` says, acknowledged journal records stay. */
  crash(mode: Parameters<SimulatedCluster['crash']>[0] = 'random'): void {
    this.ledger.isAlive = false;
    this.cluster.crash(mode);
  }

  /** The next process: on what a crash or an orderly stop has left. */
  async restart(): Promise<void> {
    this.ledger = new MemoryVolumeLedger(this.journal);
    this.store = this.#make();
    await this.withTime(this.store.start());
  }

  #make(): StripedDataStore {
    this.bodyBuffers = new BufferPool({ slotSizeBytes: 64 * 1024, budgetBytes: 4 * 1024 * 1024 });
    return new StripedDataStore({
      disks: this.cluster.diskSet,
      ledger: this.ledger,
      code: this.code,
      storageClasses: this.storageClasses,
      clock: this.cluster.clock,
      random: this.cluster.random,
      log: silentLog,
      bufferPool: this.bodyBuffers,
      ...(this.#checksums === undefined ? {} : { checksums: this.#checksums }),
      tunables: this.tunables,
    });
  }

  /** Writes and commits, as PutObject does. */
  async put(body: Buffer, descriptor: Buffer = Buffer.from('descriptor')): Promise<BlobRecord> {
    const { store, ledger } = this;
    const pinned =
      body.length <= store.smallBlobLimitBytes
        ? await store.writeSmall(body, descriptor)
        : await writeLarge(store, body, descriptor);
    try {
      await ledger.commitBlob(pinned.blob);
      return pinned.blob;
    } finally {
      pinned.unpin();
    }
  }

  get(blob: BlobRecord, range = { start: 0, length: blob.sizeBytes }): Promise<Buffer> {
    return this.withTime(readAll(this.store, blob, range));
  }

  /** What a healer would ask for: the volume as the journal knows it, with its live blobs. */
  workOn(volumeId: number): VolumeWork {
    const { journal, ledger } = this;
    async function* blobs(): AsyncGenerator<BlobRecord[]> {
      yield await ledger.listBlobsInVolume({ volumeId, afterBlobId: -1, limit: Infinity });
    }
    return { volume: journal.volumes.get(volumeId)!, blobs: blobs(), pace: () => Promise.resolve() };
  }

  /** An orderly stop and the next process: every volume is sealed then. */
  async sealAll(): Promise<void> {
    await this.withTime(this.store.stop());
    this.cluster.restart();
    await this.restart();
  }

  /** Lets simulated time pass until `work` is done: deadlines and hedges are timers. */
  async withTime<T>(work: Promise<T>): Promise<T> {
    const progress = { isDone: false };
    const ended = work.finally(() => (progress.isDone = true)).catch(() => undefined);
    for (let round = 0; !progress.isDone; round++) {
      // Native encoding runs on the thread pool: real time must pass as well.
      await settle();
      if (round > 50) await this.cluster.clock.advance(10);
    }
    await ended;
    return work;
  }
}

/** A body that names the write it comes from, made at the speed of a cipher: every byte differs between two identities. */
export function bodyOf(identity: string, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(identity).digest();
  return createCipheriv('aes-128-ctr', key.subarray(0, 16), key.subarray(16)).update(Buffer.alloc(sizeBytes));
}

export async function writeLarge(
  store: DataStore,
  body: Buffer,
  descriptor: Buffer,
  { chunkBytes = 10_000, observe }: { chunkBytes?: number; observe?: (view: Buffer) => Promise<void> | undefined } = {},
): Promise<PinnedBlob> {
  const writer = await store.openWriter({ sizeBytes: body.length, ...(observe === undefined ? {} : { observe }) });
  try {
    for (let at = 0; at < body.length; at += chunkBytes) await writer.write(body.subarray(at, at + chunkBytes));
    await writer.settle();
    return await writer.finish(descriptor);
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** The bytes, copied, so that pieces can be released. */
export async function readAll(
  store: DataStore,
  blob: BlobRecord,
  range = { start: 0, length: blob.sizeBytes },
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of store.read(blob, range)) {
    pieces.push(Buffer.from(piece.bytes));
    piece.release();
  }
  return Buffer.concat(pieces);
}

/** One shard file goes to another disk. @throws what keeps it from that */
export async function moveOneShard(
  store: Pick<VolumeKeeper, 'moveShards'>,
  work: Omit<Parameters<VolumeKeeper['moveShards']>[0], 'moves'> & ShardDestination,
): Promise<{ movedBytes: number }> {
  const { shardIndex, toDiskId, ...rest } = work;
  const [outcome] = await store.moveShards({ ...rest, moves: [{ shardIndex, toDiskId }] });
  if (outcome?.failure !== undefined) throw outcome.failure;
  return { movedBytes: outcome?.movedBytes ?? 0 };
}
