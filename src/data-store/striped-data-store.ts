import type { ShardChecksums } from '../checksums/digest-pool.ts';
import { assert } from '../errors/assert.ts';
import { StoreError } from '../errors/store-error.ts';
import type { Disk, DiskSet } from '../disk/disk-set.ts';
import type { BufferPool } from '../memory/buffer-pool.ts';
import type { BlobRecord, VolumeLedger, VolumeRecord } from '../model/blob.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import { STANDARD, type StorageClass, storageClassesOf } from '../model/storage-class.ts';
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
  ShardDestination,
  ShardFileList,
  ShardMoveOutcome,
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
import { QUARANTINE_DIRECTORY, VOLUME_DIRECTORY, volumeIdOfFileName } from './volume/volume-file.ts';
import { RenewableBuffers } from './volume/renewable-buffers.ts';
import { listOrNothing, VolumeRecovery } from './volume/volume-recovery.ts';
import { VolumeSeals } from './volume/volume-seals.ts';
import { VolumeTable } from './volume/volume-table.ts';
import { LargeBlobWriter, type WriterCensus } from './writer/large-blob-writer.ts';
import { StorageClassWriters, type WriterSet } from './writer/class-writers.ts';

export interface StripedDataStoreOptions {
  disks: DiskSet;
  ledger: VolumeLedger;
  /** Of STANDARD; volumes get a narrower one while disks are lost. */
  code: ErasureCode;
  /** Others than STANDARD, or with another code than REDUCED_REDUNDANCY has by default. */
  storageClasses?: readonly StorageClass[];
  clock: Clock;
  random: Randomness;
  log: Log;
  /** Pieces of bodies that stream in, 256 KiB each or so: the budget that throttles uploads. */
  bufferPool: BufferPool;
  checksums?: ShardChecksums;
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
  readonly #configured: readonly StorageClass[];
  readonly #classes: StorageClassWriters;
  readonly #files: ShardFiles;
  readonly #damage: DamageLog;
  readonly #reader: BlobReader;
  readonly #standard: WriterSet;
  readonly #recovery: VolumeRecovery;
  readonly #usage: UsageMeter;
  readonly #repairer: VolumeRepairer;
  readonly #census: WriterCensus = { activeCount: 0 };
  #unsubscribe: (() => void) | undefined;
  #state: 'new' | 'running' | 'stopped' = 'new';

  constructor(options: StripedDataStoreOptions) {
    const { disks, ledger, code, clock, random, log, bufferPool, storageClasses = [] } = options;
    const tunables = { ...DEFAULT_TUNABLES, ...options.tunables };
    const classes = storageClassesOf(code, storageClasses);
    for (const one of classes) assert(isSupportedCode(one.code), `unsupported code ${one.code.k}+${one.code.m}`);
    this.#configured = storageClasses;
    const sizes = stripeBufferSizes(
      classes.map((one) => one.code),
      tunables,
    );
    const shared = {
      disks,
      ledger,
      clock,
      random,
      log,
      tunables,
      table: new VolumeTable(ledger),
      seals: new VolumeSeals({ ledger, clock, log }),
      filesInRepair: new Set<string>(),
      accepts: (disk: Disk) => disk.acceptsData,
      checksums: options.checksums,
      bodyBuffers: bufferPool,
      stripeBuffers: new RenewableBuffers(sizes.stripe),
      decodeBuffers: new RenewableBuffers(sizes.decode),
      readBuffers: new RenewableBuffers({
        slotSizeBytes: tunables.largeShardSizeBytes,
        budgetBytes: tunables.readBufferBudgetBytes,
      }),
      sliceBuffers: new RenewableBuffers({
        slotSizeBytes: tunables.smallBlobLimitBytes,
        budgetBytes: tunables.sliceBufferBudgetBytes,
      }),
      scratchBuffers: new RenewableBuffers(sizes.scratch),
    };
    this.#classes = new StorageClassWriters(shared, classes);
    this.#standard = this.#classes.of(STANDARD).requests;
    this.#context = this.#standard.context;
    this.smallBlobLimitBytes = tunables.smallBlobLimitBytes;
    this.#files = new ShardFiles({
      clock,
      limit: tunables.readHandleLimit,
      checkAfterMs: tunables.handleCheckAfterMs,
    });
    this.#damage = new DamageLog(clock);
    this.#reader = new BlobReader(this.#context, new ShardReader(this.#context, this.#files, this.#damage));
    this.#recovery = new VolumeRecovery(this.#context);
    this.#repairer = new VolumeRepairer({
      context: this.#context,
      files: this.#files,
      damage: this.#damage,
      recovery: this.#recovery,
    });
    this.#usage = new UsageMeter(this.#context, () => this.#classes.openSmallVolumes());
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
    await this.#classes.stop();
    await this.#context.seals.stop();
    this.#files.stop();
  }

  #retireUnusable(): void {
    if (this.#state !== 'running') return;
    this.#classes.retireUnusable();
  }

  /**
   * Another code of STANDARD: volumes opened from now on have it, those that are open with another one are sealed. What was written
   * stays as it is until it is rewritten.
   */
  setCode(code: ErasureCode): void {
    const classes = storageClassesOf(code, this.#configured);
    for (const one of classes) assert(isSupportedCode(one.code), `unsupported code ${one.code.k}+${one.code.m}`);
    this.#ensureBuffers(classes.map((one) => one.code));
    this.#classes.setCodes(classes);
  }

  #ensureBuffers(codes: readonly ErasureCode[]): void {
    const { tunables, stripeBuffers, decodeBuffers, scratchBuffers } = this.#context;
    const sizes = stripeBufferSizes(codes, tunables);
    stripeBuffers.ensure(sizes.stripe);
    decodeBuffers.ensure(sizes.decode);
    scratchBuffers.ensure(sizes.scratch);
  }

  storageClasses(): readonly StorageClass[] {
    return this.#classes.classes();
  }

  #assertRunning(): void {
    if (this.#state !== 'running') throw new StoreError('NotReady', `the data store is ${this.#state}`);
  }

  async writeSmall(
    body: Buffer,
    descriptor: Buffer,
    { storageClass }: { storageClass?: string } = {},
  ): Promise<PinnedBlob> {
    this.#assertRunning();
    return this.#requests(storageClass).small.write(body, descriptor);
  }

  #requests(storageClass: string | undefined): WriterSet {
    return storageClass === undefined ? this.#standard : this.#classes.of(storageClass).requests;
  }

  async openWriter(options: BlobWriterOptions): Promise<BlobWriter> {
    this.#assertRunning();
    return this.#openWriter(options, this.#context.ledger.nextIdentifier(), this.#requests(options.storageClass));
  }

  #openWriter(options: BlobWriterOptions, blobId: number, { context, volumes }: WriterSet): LargeBlobWriter {
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
    const volume = this.#context.table.get(blob.footprint[0]?.volumeId ?? -1);
    // Its class may be configured no more, and be wider than those that are.
    if (volume !== undefined) this.#ensureBuffers([volume]);
    return this.#writeAgain(blob, blob.blobId, this.#classes.of(volume?.storageClass ?? STANDARD, volume).moving);
  }

  async copyBlob(blob: BlobRecord, { storageClass }: { storageClass: string }): Promise<PinnedBlob> {
    this.#assertRunning();
    // The collector may be at work in these volumes: a rewrite is its own, a copy is not.
    const unpin = await this.pin([blob]);
    try {
      const blobId = this.#context.ledger.nextIdentifier();
      return await this.#writeAgain(blob, blobId, this.#classes.of(storageClass).moving);
    } finally {
      unpin();
    }
  }

  async #writeAgain(blob: BlobRecord, blobId: number, writers: WriterSet): Promise<PinnedBlob> {
    const layout = decodeBlobLayout(blob.layout);
    const open = (): LargeBlobWriter => this.#openWriter({ sizeBytes: blob.sizeBytes }, blobId, writers);
    if (layout.kind === 'small') {
      const { body, descriptor } = await this.#reader.readSmallWithDescriptor(layout);
      return body.length <= this.smallBlobLimitBytes
        ? writers.small.write(body, descriptor, blobId)
        : writeAll(open(), descriptor, [body]);
    }
    const descriptor = await this.#descriptorOf(layout);
    return writeAll(open(), descriptor, this.#reader.read(blob, { start: 0, length: blob.sizeBytes }));
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

  writeCode(storageClass?: string): ErasureCode | undefined {
    if (storageClass === undefined) return this.#standard.opener.writeCode();
    return this.#classes.codeOf(storageClass) && this.#classes.of(storageClass).requests.opener.writeCode();
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

  async moveShards(work: VolumeWork & { moves: readonly ShardDestination[] }): Promise<ShardMoveOutcome[]> {
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

async function writeAll(
  writer: LargeBlobWriter,
  descriptor: Buffer,
  body: AsyncIterable<DataPiece> | readonly Buffer[],
): Promise<PinnedBlob> {
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

interface BufferSizes {
  slotSizeBytes: number;
  budgetBytes: number;
}

/** Of buffers that hold whole stripes, for the widest of the codes. */
function stripeBufferSizes(
  codes: readonly ErasureCode[],
  tunables: DataStoreTunables,
): Record<'stripe' | 'decode' | 'scratch', BufferSizes> {
  const width = Math.max(...codes.map(({ k, m }) => k + m));
  const stripeBytes = width * tunables.largeShardSizeBytes;
  const scratchBytes = width * Math.max(tunables.largeShardSizeBytes, tunables.smallShardLimitBytes);
  return {
    stripe: { slotSizeBytes: 2 * stripeBytes, budgetBytes: tunables.stripeBufferBudgetBytes },
    decode: { slotSizeBytes: stripeBytes, budgetBytes: tunables.readBufferBudgetBytes },
    scratch: { slotSizeBytes: scratchBytes, budgetBytes: SCRATCH_SLOTS * scratchBytes },
  };
}
