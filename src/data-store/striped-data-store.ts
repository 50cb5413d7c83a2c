import { assert } from '../errors/assert.ts';
import { StoreError } from '../errors/store-error.ts';
import type { DiskSet } from '../disk/disk-set.ts';
import type { BufferPool } from '../memory/buffer-pool.ts';
import type { BlobRecord, VolumeLedger, VolumeRecord } from '../model/blob.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { Log } from '../observability/log.ts';
import { decodeBlobLayout, type LargeBlobLayout, stripeOfRun } from './blob-layout.ts';
import type {
  BlobWriter,
  BlobWriterOptions,
  ByteRange,
  DamagedShard,
  DataPiece,
  DataStore,
  InspectionScope,
  PinnedBlob,
  ShardFileList,
  VolumeInspection,
  VolumeKeeper,
  VolumeRepair,
  VolumeWork,
} from './data-store.ts';
import { isSupportedCode } from './erasure/erasure-codec.ts';
import { BlobReader } from './reader/blob-reader.ts';
import { DamageLog } from './reader/damage-log.ts';
import { ShardFiles } from './reader/shard-files.ts';
import { ShardReader } from './reader/shard-reader.ts';
import { VolumeRepairer } from './repair/volume-repairer.ts';
import type { StoreContext } from './store-context.ts';
import { ENTRY_HEADER_BYTES, parseBlobEntry } from './stripe/blob-entry.ts';
import { type DataStoreTunables, DEFAULT_TUNABLES } from './tunables.ts';
import { type DiskUsage, UsageMeter } from './usage-meter.ts';
import { LargeVolumes } from './volume/large-volumes.ts';
import { QUARANTINE_DIRECTORY, VOLUME_DIRECTORY, volumeIdOfFileName } from './volume/volume-file.ts';
import { RenewableBuffers } from './volume/renewable-buffers.ts';
import { VolumeOpener } from './volume/volume-opener.ts';
import { listOrNothing, VolumeRecovery } from './volume/volume-recovery.ts';
import { VolumeSeals } from './volume/volume-seals.ts';
import { VolumeTable } from './volume/volume-table.ts';
import { LargeBlobWriter, type WriterCensus } from './writer/large-blob-writer.ts';
import { SmallBlobWriter } from './writer/small-blob-writer.ts';

export interface StripedDataStoreOptions {
  disks: DiskSet;
  ledger: VolumeLedger;
  /** The configured code; volumes get a narrower one while disks are lost. */
  code: ErasureCode;
  clock: Clock;
  random: Randomness;
  log: Log;
  /** Pieces of bodies that stream in, 256 KiB each or so: the budget that throttles uploads. */
  bufferPool: BufferPool;
  tunables?: Partial<DataStoreTunables>;
}

/** Stripes that are rebuilt at once for small reads and moves: each takes a millisecond or two. */
const SCRATCH_SLOTS = 4;

/**
 * The data store of design §4 on the disks of one machine: see `DataStore` for the contract, `blob-layout.ts`,
 * `stripe/` and `volume/volume-file.ts` for the format, and docs/decisions/0004-stripe-layout.md for the reasons.
 */
export class StripedDataStore implements DataStore, VolumeKeeper {
  readonly smallBlobLimitBytes: number;
  readonly #context: StoreContext;
  readonly #opener: VolumeOpener;
  readonly #files: ShardFiles;
  readonly #damage: DamageLog;
  readonly #reader: BlobReader;
  readonly #small: SmallBlobWriter;
  readonly #largeVolumes: LargeVolumes;
  readonly #moving: { context: StoreContext; small: SmallBlobWriter; volumes: LargeVolumes };
  readonly #recovery: VolumeRecovery;
  readonly #usage: UsageMeter;
  readonly #repairer: VolumeRepairer;
  readonly #census: WriterCensus = { activeCount: 0 };
  #unsubscribe: (() => void) | undefined;
  #state: 'new' | 'running' | 'stopped' = 'new';

  constructor(options: StripedDataStoreOptions) {
    const { disks, ledger, code, clock, random, log, bufferPool } = options;
    assert(isSupportedCode(code), `unsupported code ${code.k}+${code.m}`);
    const tunables = { ...DEFAULT_TUNABLES, ...options.tunables };
    const longestShard = Math.max(tunables.largeShardSizeBytes, tunables.smallShardLimitBytes);
    const width = code.k + code.m;
    const stripeBytes = width * tunables.largeShardSizeBytes;
    this.#context = {
      disks,
      ledger,
      code,
      clock,
      random,
      log,
      tunables,
      table: new VolumeTable(ledger),
      seals: new VolumeSeals({ ledger, clock, log }),
      filesInRepair: new Set(),
      accepts: (disk) => disk.acceptsData,
      bodyBuffers: bufferPool,
      stripeBuffers: new RenewableBuffers({
        slotSizeBytes: 2 * stripeBytes,
        budgetBytes: tunables.stripeBufferBudgetBytes,
      }),
      decodeBuffers: new RenewableBuffers({
        slotSizeBytes: stripeBytes,
        budgetBytes: tunables.readBufferBudgetBytes,
      }),
      readBuffers: new RenewableBuffers({
        slotSizeBytes: tunables.largeShardSizeBytes,
        budgetBytes: tunables.readBufferBudgetBytes,
      }),
      sliceBuffers: new RenewableBuffers({
        slotSizeBytes: tunables.smallBlobLimitBytes,
        budgetBytes: tunables.sliceBufferBudgetBytes,
      }),
      scratchBuffers: new RenewableBuffers({
        slotSizeBytes: width * longestShard,
        budgetBytes: SCRATCH_SLOTS * width * longestShard,
      }),
    };
    this.smallBlobLimitBytes = tunables.smallBlobLimitBytes;
    this.#opener = new VolumeOpener(this.#context);
    this.#files = new ShardFiles({
      clock,
      limit: tunables.readHandleLimit,
      checkAfterMs: tunables.handleCheckAfterMs,
    });
    this.#damage = new DamageLog(clock);
    this.#reader = new BlobReader(this.#context, new ShardReader(this.#context, this.#files, this.#damage));
    this.#small = new SmallBlobWriter(this.#context, this.#opener);
    this.#largeVolumes = new LargeVolumes(this.#context, this.#opener);
    // Volumes of their own for what the collector moves: its blobs do not slow down the stripes of requests, data of
    // one age stays together, and it works when the disks are full up to the reserve.
    const moving: StoreContext = { ...this.#context, accepts: (disk) => disk.state === 'online' && !disk.isDraining };
    const movingOpener = new VolumeOpener(moving);
    this.#moving = {
      context: moving,
      small: new SmallBlobWriter(moving, movingOpener),
      volumes: new LargeVolumes(moving, movingOpener),
    };
    this.#recovery = new VolumeRecovery(this.#context);
    this.#repairer = new VolumeRepairer({
      context: this.#context,
      files: this.#files,
      damage: this.#damage,
      recovery: this.#recovery,
    });
    this.#usage = new UsageMeter(this.#context, () => {
      return [this.#small, this.#moving.small].flatMap(({ openVolume }) => openVolume ?? []);
    });
  }

  async start(): Promise<void> {
    assert(this.#state === 'new', 'a data store is started once');
    // Before the recovery: the journal levels disks meanwhile.
    this.#unsubscribe = this.#context.disks.onChange((disk, before) => {
      if (!disk.acceptsData) this.#retireUnusable();
      if (disk.state !== 'online' || before === 'online') return;
      void this.#recovery.inspectDisk(disk);
    });
    await this.#recovery.start();
    this.#state = 'running';
  }

  async stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    this.#unsubscribe?.();
    this.#recovery.stop();
    await Promise.all([
      this.#small.stop(),
      this.#largeVolumes.stop(),
      this.#moving.small.stop(),
      this.#moving.volumes.stop(),
    ]);
    await this.#context.seals.stop();
    this.#files.stop();
  }

  #retireUnusable(): void {
    if (this.#state !== 'running') return;
    for (const writer of [this.#small, this.#largeVolumes, this.#moving.small, this.#moving.volumes]) {
      writer.retireUnusable();
    }
  }

  #assertRunning(): void {
    if (this.#state !== 'running') throw new StoreError('NotReady', `the data store is ${this.#state}`);
  }

  async writeSmall(body: Buffer, descriptor: Buffer): Promise<PinnedBlob> {
    this.#assertRunning();
    return this.#small.write(body, descriptor);
  }

  async openWriter(options: BlobWriterOptions): Promise<BlobWriter> {
    this.#assertRunning();
    const blobId = this.#context.ledger.nextIdentifier();
    return this.#openWriter(options, blobId, { context: this.#context, volumes: this.#largeVolumes });
  }

  #openWriter(
    options: BlobWriterOptions,
    blobId: number,
    { context, volumes }: { context: StoreContext; volumes: LargeVolumes },
  ): LargeBlobWriter {
    if (this.#census.activeCount >= this.#context.bodyBuffers.slotLimit) {
      throw new StoreError('Overloaded', 'too many uploads are under way');
    }
    return new LargeBlobWriter({
      context,
      volumes,
      reader: this.#reader,
      census: this.#census,
      options,
      blobId,
    });
  }

  read(blob: Pick<BlobRecord, 'blobId' | 'sizeBytes' | 'layout'>, range: ByteRange): AsyncIterable<DataPiece> {
    this.#assertRunning();
    return this.#reader.read(blob, range);
  }

  readSmall(blob: Pick<BlobRecord, 'sizeBytes' | 'layout'>, range: ByteRange): Promise<Buffer | undefined> {
    this.#assertRunning();
    return this.#reader.readSmallRange(blob, range);
  }

  async pin(blobs: readonly Pick<BlobRecord, 'footprint'>[]): Promise<() => void> {
    this.#assertRunning();
    return this.#reader.pin(new Set(blobs.flatMap(({ footprint }) => footprint.map(({ volumeId }) => volumeId))));
  }

  async rewriteBlob(blob: BlobRecord): Promise<PinnedBlob> {
    this.#assertRunning();
    const layout = decodeBlobLayout(blob.layout);
    if (layout.kind === 'small') {
      const { body, descriptor } = await this.#reader.readSmallWithDescriptor(layout);
      return body.length <= this.smallBlobLimitBytes
        ? this.#moving.small.write(body, descriptor, blob.blobId)
        : this.#rewriteLarge(blob, descriptor, [body]);
    }
    const descriptor = await this.#descriptorOf(layout);
    return this.#rewriteLarge(blob, descriptor, this.#reader.read(blob, { start: 0, length: blob.sizeBytes }));
  }

  async #rewriteLarge(
    blob: BlobRecord,
    descriptor: Buffer,
    body: AsyncIterable<DataPiece> | readonly Buffer[],
  ): Promise<PinnedBlob> {
    const writer = this.#openWriter({ sizeBytes: blob.sizeBytes }, blob.blobId, this.#moving);
    try {
      for await (const piece of body) {
        if (Buffer.isBuffer(piece)) {
          await writer.write(piece);
          continue;
        }
        try {
          await writer.write(piece.bytes);
        } finally {
          piece.release();
        }
      }
      return await writer.finish(descriptor);
    } catch (error) {
      await writer.abort();
      throw error;
    }
  }

  /** The entry follows the body in the last stripe. */
  async #descriptorOf(layout: LargeBlobLayout): Promise<Buffer> {
    const run = layout.runs.at(-1);
    assert(run !== undefined, 'a large blob has stripes');
    const entryBytes = ENTRY_HEADER_BYTES + layout.descriptorLengthBytes;
    const stripeCrc = run.stripeCrcs.readUInt32LE(4 * (run.count - 1));
    const stream = await this.#reader.readStream(
      stripeOfRun(run, run.count - 1),
      stripeCrc,
      run.lastDataBytes + entryBytes,
    );
    const entry = parseBlobEntry(stream, run.lastDataBytes);
    if (entry === undefined) throw new StoreError('ShardCorrupt', 'a blob has no whole entry behind its body');
    return entry.descriptor;
  }

  writeCode(): ErasureCode | undefined {
    return this.#opener.writeCode();
  }

  pinnedVolumeIds(): ReadonlySet<number> {
    return this.#context.table.pinnedVolumeIds();
  }

  async removeVolumeFiles(volume: VolumeRecord): Promise<string[]> {
    this.#assertRunning();
    const { table, disks } = this.#context;
    table.drop(volume);
    for (const diskId of volume.diskIds) {
      const disk = disks.byId(diskId);
      if (disk !== undefined) this.#files.discard(disk, volume.volumeId);
    }
    return this.#recovery.removeFiles(volume);
  }

  inspectVolume(work: VolumeWork & InspectionScope): Promise<VolumeInspection> {
    this.#assertRunning();
    return this.#repairer.inspect(work);
  }

  isSettled(volumeId: number): boolean {
    return this.#context.table.isSettled(volumeId);
  }

  retireVolume(volumeId: number): void {
    const known = this.#context.table.get(volumeId);
    if (known?.state !== 'open') return;
    known.isRetired = true;
    this.#retireUnusable();
  }

  async repairVolume(work: VolumeWork & { diskIds: readonly string[] }): Promise<VolumeRepair> {
    this.#assertRunning();
    return this.#repairer.repair(work);
  }

  async moveShard(work: VolumeWork & { shardIndex: number; toDiskId: string }): Promise<{ movedBytes: number }> {
    this.#assertRunning();
    return this.#repairer.move(work);
  }

  async listShardFiles(diskId: string): Promise<ShardFileList> {
    this.#assertRunning();
    const disk = this.#context.disks.byId(diskId);
    if (disk === undefined) throw new StoreError('DiskMissing', `disk ${diskId} is not one of this cluster`);
    const list: ShardFileList = { volumes: new Map(), otherNames: [], quarantinedNames: [] };
    for (const name of await listOrNothing(disk, VOLUME_DIRECTORY)) {
      const volumeId = volumeIdOfFileName(name);
      if (volumeId === undefined) {
        const isInUse = this.#context.filesInRepair.has(`${diskId}/${VOLUME_DIRECTORY}/${name}`);
        if (!isInUse) list.otherNames.push(name);
      } else list.volumes.set(volumeId, (await disk.fs.stat(`${VOLUME_DIRECTORY}/${name}`))?.sizeBytes ?? 0);
    }
    list.quarantinedNames = await listOrNothing(disk, QUARANTINE_DIRECTORY);
    return list;
  }

  takeDamage(): DamagedShard[] {
    return this.#damage.take();
  }

  diskUsage(): Promise<Map<string, DiskUsage>> {
    return this.#usage.measure();
  }
}
