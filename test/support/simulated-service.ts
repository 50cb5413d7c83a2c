import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIncrementalDigest } from '../../src/checksums/incremental-digest.ts';
import { DigestSet } from '../../src/checksums/digest-set.ts';
import { prepareChecksums } from '../../src/checksums/wasm-hashers.ts';
import { DiskKeyRingCopies } from '../../src/composition/key-ring-copies.ts';
import { MetadataVolumeLedger } from '../../src/composition/metadata-volume-ledger.ts';
import { StripedDataStore } from '../../src/data-store/striped-data-store.ts';
import type { CrashMode } from '../../src/disk/simulated-node.ts';
import { type CensusReport, takeCensus } from '../../src/healing/census.ts';
import { Collector } from '../../src/healing/collector.ts';
import { DamageRecorder } from '../../src/healing/damage-recorder.ts';
import { Healer } from '../../src/healing/healer.ts';
import { Scrubber } from '../../src/healing/scrubber.ts';
import type { KeyRing } from '../../src/keys/key-ring.ts';
import { DiskJournal } from '../../src/metadata-store/journal/disk-journal.ts';
import { formatJournal } from '../../src/metadata-store/journal/format-journal.ts';
import { SqliteMetadataStore } from '../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import { BufferPool } from '../../src/memory/buffer-pool.ts';
import type { ErasureCode } from '../../src/model/erasure-code.ts';
import type { ChecksumAlgorithm } from '../../src/model/object-record.ts';
import { silentLog, type Log } from '../../src/observability/log.ts';
import type { ServiceStores } from '../../src/service/service-stores.ts';
import type { S3Services } from '../../src/service/services.ts';
import { SMALL_TUNABLES } from './data-store-harness.ts';
import { makeTestEncryption } from './encryption-fixture.ts';
import { callOperation, createServices, type CallOptions, type CallResult } from './service-fixture.ts';
import { ManualClock, settle } from './simulated-clock.ts';
import { SimulatedCluster, type SimulatedClusterOptions } from './simulated-cluster.ts';

const SEGMENT_BYTES = 256 * 1024;
const COLLECTOR_BYTES_PER_SECOND = 4 * 1024 * 1024;
const HEALER_BYTES_PER_SECOND = 64 * 1024 * 1024;
const SCRUB_PERIOD_MS = 30 * 86_400_000;
/** So many turns of the event loop are waited for before simulated time passes. */
const PATIENT_TURNS = 50;

/** What becomes of the index in a crash: it stays, it is one of an earlier moment, or it is gone. */
export type IndexFate = 'kept' | 'older' | 'lost';

export interface SimulatedProcess {
  readonly metadata: SqliteMetadataStore;
  readonly data: StripedDataStore;
  readonly collector: Collector;
  readonly damageRecorder: DamageRecorder;
  readonly healer: Healer;
  readonly scrubber: Scrubber;
  readonly services: S3Services;
  readonly ring: KeyRing;
  readonly copies: DiskKeyRingCopies;
}

/**
 * The whole product below HTTP on simulated disks: journal, index, striped volumes, services. A process is started,
 * called, and killed; the disks and, as told, the index outlive it. The index is a real file, everything else memory.
 */
export class SimulatedService {
  readonly cluster: SimulatedCluster;
  readonly code: ErasureCode;
  readonly #log: Log;
  readonly #folder = mkdtempSync(join(tmpdir(), 'holdfast-model-'));
  #indexNumber = 0;
  #process: SimulatedProcess | undefined;
  /** Processes that were killed: their index is closed when the folder goes. */
  readonly #killed: Promise<unknown>[] = [];

  private constructor({ code, log, ...cluster }: { code: ErasureCode; log: Log } & SimulatedClusterOptions) {
    this.code = code;
    this.#log = log;
    this.cluster = new SimulatedCluster(cluster);
  }

  /** Formatted disks, no process yet. */
  static async format(options: {
    code: ErasureCode;
    seed: number;
    diskCount?: number;
    log?: Log;
    /** Between the stores and a disk. */
    wrap?: SimulatedClusterOptions['wrap'];
    clock?: ManualClock;
  }): Promise<SimulatedService> {
    await prepareChecksums();
    const {
      code,
      seed,
      diskCount = code.k + code.m,
      log = silentLog,
      wrap = (fs) => fs,
      clock = new ManualClock(),
    } = options;
    const service = new SimulatedService({ code, seed, diskCount, log, wrap, clock });
    const { cluster } = service;
    for (const disk of cluster.diskSet.disks) {
      await formatJournal(disk.fs, {
        clusterId: cluster.diskSet.clusterId,
        diskId: disk.id,
        diskIds: cluster.diskIds,
        ...code,
        segmentBytes: SEGMENT_BYTES,
      });
    }
    return service;
  }

  get process(): SimulatedProcess {
    if (!this.#process) throw new Error('no process runs');
    return this.#process;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  get indexPath(): string {
    return join(this.#folder, `index-${this.#indexNumber}.sqlite`);
  }

  /** A new process over what is there. Rejects as the stores do; a failed start leaves no process. */
  async start(): Promise<void> {
    const { cluster } = this;
    const { clock, diskSet: disks, random } = cluster;
    const log = this.#log;
    const journal = new DiskJournal({ disks, clock, log, segmentBytes: SEGMENT_BYTES, reserveSegments: 1 });
    const metadata = new SqliteMetadataStore({
      journal,
      indexPath: this.indexPath,
      clock,
      randomness: random,
      log,
      maxBatchBytes: SEGMENT_BYTES / 4,
    });
    try {
      await this.withTime(metadata.start(() => {}));
      const bodyBuffers = new BufferPool({ slotSizeBytes: 64 * 1024, budgetBytes: 4 * 1024 * 1024 });
      const data = new StripedDataStore({
        disks,
        ledger: new MetadataVolumeLedger(metadata),
        code: this.code,
        clock,
        random,
        log,
        bufferPool: bodyBuffers,
        tunables: SMALL_TUNABLES,
      });
      await this.withTime(data.start());
      const copies = new DiskKeyRingCopies({ disks, leastCount: () => this.code.m + 1, log });
      const testEncryption = makeTestEncryption(metadata, { clock, randomness: random, copies });
      const { encryption, ring } = await this.withTime(testEncryption);
      const stores: ServiceStores = {
        encryption,
        metadataStore: metadata,
        dataStore: data,
        bodyBuffers,
        digests: new LocalDigests(),
        clock,
        randomness: random,
        defaultChecksum: 'CRC64NVME',
      };
      const collector = new Collector({
        dataStore: data,
        retireVolume: (volumeId) => data.retireVolume(volumeId),
        metadataStore: metadata,
        clock,
        log,
        rateBytesPerSecond: COLLECTOR_BYTES_PER_SECOND,
      });
      const damageRecorder = new DamageRecorder({ dataStore: data, metadataStore: metadata, clock, log });
      const healer = new Healer({
        volumeKeeper: data,
        metadataStore: metadata,
        disks: () => disks.disks,
        onDiskChange: (listener) => disks.onChange(listener),
        clock,
        log,
        rateBytesPerSecond: HEALER_BYTES_PER_SECOND,
        requestsInFlight: () => 0,
      });
      const scrubber = new Scrubber({
        volumeKeeper: data,
        metadataStore: metadata,
        clock,
        log,
        periodMs: SCRUB_PERIOD_MS,
        rateBytesPerSecond: HEALER_BYTES_PER_SECOND,
        requestsInFlight: () => 0,
      });
      collector.start();
      damageRecorder.start();
      healer.start();
      scrubber.start();
      const services = createServices(stores, clock);
      this.#process = { metadata, data, collector, damageRecorder, healer, scrubber, services, ring, copies };
    } catch (error) {
      this.#killed.push(this.withTime(metadata.stop()).catch(() => undefined));
      throw error;
    }
  }

  call(operation: string, options: CallOptions = {}): Promise<CallResult> {
    return callOperation(this.process.services, this.cluster.clock, operation, options);
  }

  /** Counts what is really there. */
  census(): Promise<CensusReport> {
    const { data, metadata } = this.process;
    return this.withTime(
      takeCensus({
        volumeKeeper: data,
        metadataStore: metadata,
        disks: () => this.cluster.diskSet.disks,
        storageClasses: () => data.storageClasses(),
        clock: this.cluster.clock,
        pace: () => Promise.resolve(),
      }),
    );
  }

  /** An orderly end. */
  async stop(): Promise<void> {
    const { collector, damageRecorder, healer, scrubber, data, metadata, copies } = this.process;
    this.#process = undefined;
    await this.withTime(Promise.all([collector.stop(), damageRecorder.stop(), healer.stop(), scrubber.stop()]));
    await this.withTime(copies.stop());
    await this.withTime(data.stop());
    await this.withTime(metadata.stop());
    this.cluster.restart();
  }

  /**
   * The process is gone at this instant and, unless `mode` is `keep-all`, so is the power. Calls under way never matter
   * again. The index goes its own way: SQLite's files are copied as they are.
   */
  async crash(mode: CrashMode, index: IndexFate): Promise<void> {
    const killed = this.#process;
    this.#process = undefined;
    const before = this.indexPath;
    this.#indexNumber++;
    if (index === 'kept') await copyIndex(before, this.indexPath);
    if (index === 'older') await copyIndex(this.#rememberedPath, this.indexPath);
    this.cluster.crash(mode);
    if (killed) this.#killed.push(this.#bury(killed, before));
  }

  /** The moment an `older` index comes from. */
  async rememberIndex(): Promise<void> {
    await removeIndex(this.#rememberedPath);
    await copyIndex(this.indexPath, this.#rememberedPath);
  }

  get #rememberedPath(): string {
    return join(this.#folder, 'remembered.sqlite');
  }

  async #bury(
    { collector, damageRecorder, healer, scrubber, data, metadata }: SimulatedProcess,
    indexPath: string,
  ): Promise<void> {
    const background = Promise.all([collector.stop(), damageRecorder.stop(), healer.stop(), scrubber.stop()]);
    await this.withTime(background).catch(() => undefined);
    await this.withTime(data.stop()).catch(() => undefined);
    await this.withTime(metadata.stop()).catch(() => undefined);
    await removeIndex(indexPath);
  }

  /** Lets simulated time pass until `work` is done; real time passes as well, for threads. Fails after a minute of it. */
  async withTime<T>(work: Promise<T>): Promise<T> {
    const state = { isDone: false };
    const ended = work.then(
      () => (state.isDone = true),
      () => (state.isDone = true),
    );
    for (let turn = 0; !state.isDone; turn++) {
      await settle();
      if (turn < PATIENT_TURNS) continue;
      await this.cluster.clock.advance(20);
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (turn > 30_000) throw new Error('work never ended');
    }
    await ended;
    return work;
  }

  /** Ends everything and removes the folder. */
  async destroy(): Promise<void> {
    if (this.#process) await this.crash('keep-all', 'lost');
    await Promise.all(this.#killed);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Hashes on this thread: nothing waits for real time. */
class LocalDigests {
  open(algorithms: Iterable<ChecksumAlgorithm>): DigestSet {
    const all = [...new Set(algorithms)];
    return new DigestSet(all, (chosen) => {
      const digests = chosen.map((algorithm) => [algorithm, createIncrementalDigest(algorithm)] as const);
      return [
        {
          update: async (view) => {
            for (const [, digest] of digests) digest.update(view);
          },
          digests: async () => digests.map(([algorithm, digest]) => [algorithm, digest.digest()] as const),
          close: () => {},
        },
      ];
    });
  }
}

async function copyIndex(from: string, to: string): Promise<void> {
  // SQLite rebuilds the -shm file; a copy of it would be of another process.
  for (const suffix of ['', '-wal']) if (existsSync(from + suffix)) await cp(from + suffix, to + suffix);
}

async function removeIndex(path: string): Promise<void> {
  for (const suffix of ['', '-wal', '-shm']) await rm(path + suffix, { force: true });
}
