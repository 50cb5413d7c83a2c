import type { DataStore, PinnedBlob } from '../data-store/data-store.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { MetadataStore, VolumeChanges } from '../metadata-store/metadata-store.ts';
import type { BlobRecord, VolumeRecord } from '../model/blob.ts';
import type { Clock } from '../model/clock.ts';
import { STANDARD } from '../model/storage-class.ts';
import type { CollectorReport } from '../model/healing-report.ts';
import type { Log } from '../observability/log.ts';
import type { Recoder } from './recoder.ts';
import { BackgroundLoop } from './background-loop.ts';
import { type CodePolicy, isCollectible, planCollection } from './collection-policy.ts';

export interface CollectorOptions {
  dataStore: DataStore;
  /** Seals an open volume as soon as no write is under way in it; new writes go to another at once. */
  retireVolume: (volumeId: number) => void;
  metadataStore: Pick<MetadataStore, 'commit' | 'volumeChanges' | 'listBlobsInVolume'>;
  /** Says which volumes get another code. */
  recoder?: Pick<Recoder, 'isRunning' | 'isOfEarlierCode' | 'isDue' | 'finishIfDone'>;
  clock: Clock;
  log: Log;
  /** Bytes that are rewritten in a second, at most. Drops cost nothing and are not limited. */
  rateBytesPerSecond: number;
  intervalMs?: number;
}

const INTERVAL_MS = 2_000;
/** Live blobs written at once: together they fill stripes. */
const BATCH_BLOBS = 128;
const BATCH_BYTES = 4 * 1024 * 1024;
/** A volume whose rewriting failed is left alone for this long. */
const RETRY_AFTER_MS = 300_000;

/**
 * Gives space back: drops volumes in which nothing lives, writes live blobs out of mostly dead and of many tiny volumes,
 * and repeats drops until every disk has confirmed. Only volumes the journal knows as sealed, that no reader, writer or
 * un-committed blob pins, are touched; nothing is decided by time.
 *
 * A crash anywhere is harmless: a copy that was not committed is garbage in a new volume, a committed one leaves
 * garbage in the old volume, and a drop is remembered in the journal before the first file goes.
 */
export class Collector {
  readonly #options: CollectorOptions;
  readonly #loop: BackgroundLoop;
  readonly #retryAtMs = new Map<number, number>();
  /** Of all volumes, as of `#version`, those that a plan could name. */
  readonly #collectible = new Map<number, VolumeRecord>();
  #version: number | undefined;
  /** Of each class, as of the last round: which volumes are narrow depends on it. */
  #codes = '';
  #movedBytes = 0;
  #movedBlobCount = 0;
  #droppedVolumeCount = 0;
  #lastError: string | undefined;

  constructor(options: CollectorOptions) {
    this.#options = options;
    this.#loop = new BackgroundLoop({
      clock: options.clock,
      intervalMs: options.intervalMs ?? INTERVAL_MS,
      step: () => this.#round(),
    });
  }

  start(): void {
    this.#loop.start();
  }

  /** Ends after the batch under way. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  report(): CollectorReport & { movedBlobCount: number } {
    return {
      isRunning: this.#loop.isRunning,
      rateLimitBytesPerSecond: this.#options.rateBytesPerSecond,
      movedBytes: this.#movedBytes,
      movedBlobCount: this.#movedBlobCount,
      droppedVolumeCount: this.#droppedVolumeCount,
      lastError: this.#lastError,
    };
  }

  async #round(): Promise<void> {
    try {
      await this.collectOnce();
    } catch (error) {
      this.#lastError = messageOf(error);
      // Without a quorum or an index there is nothing to collect by: the next round tries again.
      if (isStoreError(error)) this.#options.log.warn({ err: error }, 'collecting stopped for now');
      else this.#options.log.error({ err: error }, 'collecting failed');
    }
  }

  /** One round over what has changed and what was left before. @returns whether anything was dropped or moved. */
  async collectOnce(): Promise<boolean> {
    const { dataStore, metadataStore, clock } = this.#options;
    const { recoder } = this.#options;
    const now = dataStore.storageClasses().map(({ name, code }) => [code, dataStore.writeCode(name)]);
    const codes = JSON.stringify([now, recoder?.isRunning]);
    if (codes !== this.#codes) this.#version = undefined;
    this.#codes = codes;
    this.#follow(await metadataStore.volumeChanges(this.#version));
    const plan = planCollection([...this.#collectible.values()], dataStore.pinnedVolumeIds(), this.#codePolicy);
    let isChanged = false;
    for (const { volumeId } of plan.toRetire) this.#options.retireVolume(volumeId);
    for (const volume of plan.toConfirm) {
      if (this.#loop.isStopped) return isChanged;
      await this.#removeFiles(volume, volume.undroppedDiskIds);
    }
    for (const volume of plan.toDrop) {
      if (this.#loop.isStopped) return isChanged;
      if (await this.#drop(volume)) isChanged = true;
    }
    for (const volume of plan.toRewrite) {
      if (this.#loop.isStopped) return isChanged;
      if ((this.#retryAtMs.get(volume.volumeId) ?? 0) > clock.monotonicMs()) continue;
      // Rewriting over fewer disks would take more space and leave the result to be rewritten again.
      if (this.#isNarrowerNow(volume)) continue;
      if (await this.#rewrite(volume)) isChanged = true;
    }
    if (recoder?.isRunning === true && !plan.toRewrite.some((volume) => recoder.isDue(volume))) {
      await recoder.finishIfDone();
    }
    return isChanged;
  }

  readonly #codePolicy: CodePolicy = {
    now: (storageClass = STANDARD) => this.#options.dataStore.writeCode(storageClass),
    isOfEarlierCode: (volume) => this.#options.recoder?.isOfEarlierCode(volume) ?? false,
    isDue: (volume) => this.#options.recoder?.isDue(volume) ?? false,
  };

  /** While disks are lost: a volume opened now would be narrower than this one, and than what its class is meant to have. */
  #isNarrowerNow(volume: VolumeRecord): boolean {
    const { k, storageClass = STANDARD } = volume;
    const { dataStore } = this.#options;
    const now = dataStore.writeCode(storageClass);
    const wanted = dataStore.storageClasses().find(({ name }) => name === storageClass)?.code;
    // What is rewritten only to have another code can wait until it gets all of it.
    const least = this.#codePolicy.isDue(volume) ? (wanted?.k ?? k) : Math.min(k, wanted?.k ?? k);
    return now !== undefined && now.k < least;
  }

  #follow({ version, isWhole, volumes, forgottenVolumeIds }: VolumeChanges): void {
    if (isWhole) this.#collectible.clear();
    for (const volume of volumes) {
      if (isCollectible(volume, this.#codePolicy)) this.#collectible.set(volume.volumeId, volume);
      else this.#collectible.delete(volume.volumeId);
    }
    for (const volumeId of forgottenVolumeIds) {
      this.#collectible.delete(volumeId);
      this.#retryAtMs.delete(volumeId);
    }
    this.#version = version;
  }

  async #drop(volume: VolumeRecord): Promise<boolean> {
    const { dataStore, metadataStore } = this.#options;
    if (dataStore.pinnedVolumeIds().has(volume.volumeId)) return false;
    // Refused inside the commit while a live blob names it.
    if (!(await metadataStore.commit({ type: 'DropVolume', volumeId: volume.volumeId }))) return false;
    this.#droppedVolumeCount++;
    this.#retryAtMs.delete(volume.volumeId);
    await this.#removeFiles({ ...volume, state: 'dropped', undroppedDiskIds: volume.diskIds }, volume.diskIds);
    return true;
  }

  async #removeFiles(volume: VolumeRecord, awaited: readonly string[]): Promise<void> {
    const { dataStore, metadataStore } = this.#options;
    // A reader may have begun between the plan and the drop: its bytes stay until it ends.
    if (dataStore.pinnedVolumeIds().has(volume.volumeId)) return;
    const removed = await dataStore.removeVolumeFiles(volume);
    const diskIds = removed.filter((diskId) => awaited.includes(diskId));
    if (diskIds.length > 0) {
      await metadataStore.commit({ type: 'ConfirmDrop', volumeId: volume.volumeId, diskIds });
    }
  }

  /** Writes every live blob of a volume elsewhere; the volume itself is dropped by a later round. */
  async #rewrite(volume: VolumeRecord): Promise<boolean> {
    const { metadataStore, clock, log } = this.#options;
    let isChanged = false;
    let afterBlobId = -1;
    let failedCount = 0;
    for (;;) {
      const blobs = await metadataStore.listBlobsInVolume({
        volumeId: volume.volumeId,
        afterBlobId,
        limit: BATCH_BLOBS,
      });
      const last = blobs.at(-1);
      if (last === undefined) break;
      for (const batch of batchesOf(blobs)) {
        if (this.#loop.isStopped) return isChanged;
        const beganAtMs = clock.monotonicMs();
        const { movedBytes, failures } = await this.#moveBatch(batch);
        failedCount += failures.length;
        if (movedBytes > 0) isChanged = true;
        const dueMs = (movedBytes / this.#options.rateBytesPerSecond) * 1000;
        await this.#loop.pause(dueMs - (clock.monotonicMs() - beganAtMs));
        const failure = failures[0];
        if (failure === undefined) continue;
        this.#lastError = messageOf(failure);
        if (isStoreError(failure, 'DiskFull', 'QuorumLost', 'Overloaded', 'NotReady')) {
          // Nothing can be written now: trying the rest would only repeat it.
          this.#retryAtMs.set(volume.volumeId, clock.monotonicMs() + INTERVAL_MS * 5);
          return isChanged;
        }
      }
      afterBlobId = last.blobId;
    }
    if (failedCount > 0) {
      this.#retryAtMs.set(volume.volumeId, clock.monotonicMs() + RETRY_AFTER_MS);
      log.warn({ volumeId: volume.volumeId, failedCount }, 'some blobs of a mostly dead volume could not be moved');
    }
    return isChanged;
  }

  async #moveBatch(batch: readonly BlobRecord[]): Promise<{ movedBytes: number; failures: unknown[] }> {
    const { dataStore, metadataStore } = this.#options;
    const failures: unknown[] = [];
    const copies: { blob: BlobRecord; pinned: PinnedBlob }[] = [];
    try {
      const rewrite = async (blob: BlobRecord): Promise<void> => {
        try {
          copies.push({ blob, pinned: await dataStore.rewriteBlob(blob) });
        } catch (error) {
          // Deleted or moved meanwhile: nothing to do.
          if (!isStoreError(error, 'BlobGone')) failures.push(error);
        }
      };
      // Small ones at once, so that they fill stripes; large ones one by one, so that they take few buffers.
      const isSmall = (blob: BlobRecord): boolean => blob.sizeBytes <= dataStore.smallBlobLimitBytes;
      await Promise.all(batch.filter(isSmall).map(rewrite));
      for (const blob of batch) if (!isSmall(blob)) await rewrite(blob);
      if (copies.length === 0) return { movedBytes: 0, failures };
      const { movedBlobIds } = await metadataStore.commit({
        type: 'MoveBlobs',
        moves: copies.map(({ blob, pinned }) => ({
          blobId: blob.blobId,
          fromLayout: blob.layout,
          toLayout: pinned.blob.layout,
          toFootprint: pinned.blob.footprint,
        })),
      });
      const movedBytes = copies.reduce((sum, { blob }) => sum + blob.sizeBytes, 0);
      this.#movedBlobCount += movedBlobIds.length;
      this.#movedBytes += movedBytes;
      return { movedBytes: movedBytes + copies.length, failures };
    } finally {
      for (const { pinned } of copies) pinned.unpin();
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown error';
}

/** Batches of bounded bytes; a large blob is one of its own. */
function* batchesOf(blobs: readonly BlobRecord[]): Generator<BlobRecord[]> {
  let batch: BlobRecord[] = [];
  let bytes = 0;
  for (const blob of blobs) {
    if (batch.length > 0 && bytes + blob.sizeBytes > BATCH_BYTES) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(blob);
    bytes += blob.sizeBytes;
  }
  if (batch.length > 0) yield batch;
}
