import type { Pace, VolumeInspection, VolumeKeeper } from '../data-store/data-store.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../model/blob.ts';
import type { Clock } from '../model/clock.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import { STANDARD, type StorageClass } from '../model/storage-class.ts';
import { inspectLiveVolume, isWhole } from './inspect-live.ts';
import { isAlive } from './live-blobs.ts';

/** So many times volumes are listed in one census, when new ones keep coming. */
const LISTING_ROUNDS = 10;

/** What healing needs to know of a disk. */
export interface DiskFacts {
  readonly id: string;
  readonly index: number;
  readonly path: string | undefined;
  readonly state: string;
  readonly stateSinceMs: number;
}

export interface CensusSources {
  volumeKeeper: Pick<VolumeKeeper, 'inspectVolume' | 'listShardFiles'>;
  metadataStore: Pick<MetadataStore, 'listVolumes' | 'listBlobsInVolume' | 'status' | 'scrubJournal'>;
  disks: () => readonly DiskFacts[];
  /** STANDARD first: its code is the cluster's. */
  storageClasses: () => readonly StorageClass[];
  clock: Clock;
  pace: Pace;
  onProgress?: (fraction: number) => void;
}

/** What was counted, physically, just now. `holdfast census --json` prints it; fields are only ever added. */
export interface CensusReport {
  formatVersion: 1;
  startedAtMs: number;
  endedAtMs: number;
  /** Nothing is below full redundancy: every shard of every live blob is good, every journal copy whole and level. */
  isClean: boolean;
  /** Of the object that has the fewest shards to spare; undefined when nothing is stored. Below 0: it cannot be read now. */
  worstMargin: number | undefined;
  /** By storage class, by margin of the volume's worst stripe, and by what it would be at full redundancy. */
  classes: CensusClass[];
  shards: { expectedCount: number; goodCount: number };
  readBytes: number;
  /** At full redundancy, but over fewer disks than a volume opened with all of them; they are rewritten in time. */
  narrow: { volumeCount: number; blobCount: number; liveBytes: number };
  disks: CensusDisk[];
  journal: { copyCount: number; levelCount: number; checkpoints: { sequence: number; holderCount: number }[] };
  /** Every volume with a shard missing or bad. */
  below: CensusVolume[];
  /** A sentence for each thing that is not as it should be. */
  findings: string[];
}

export interface CensusClass {
  storageClass: string;
  margin: number;
  fullMargin: number;
  volumeCount: number;
  stripeCount: number;
  /** Live blobs in those volumes: objects of one piece are one blob, others one for each part. */
  blobCount: number;
}

export interface CensusDisk {
  diskId: string;
  index: number;
  path: string | undefined;
  state: string;
  expectedCount: number;
  goodCount: number;
  fileCount: number;
  /** Shard files that the journal does not know. */
  unknownFileCount: number;
  quarantinedFileCount: number;
  /** Of repairs and moves that ended before their end: the next start, return of the disk or repair removes them. */
  leftoverFileCount: number;
  isJournalLevel: boolean;
}

export interface CensusVolume {
  volumeId: number;
  purpose: VolumeRecord['purpose'];
  state: VolumeRecord['state'];
  code: ErasureCode;
  margin: number;
  blobCount: number;
  files: VolumeInspection['files'];
}

/**
 * Counts what is really there: reads every shard of every live blob on every disk, every journal record and checkpoint,
 * and the names of all files. Healer, tests and commands use this one piece of code. Reads only, except that the journal
 * repairs copies that it finds bad. @throws StoreError IndexFailed | NotReady, what `pace` rejects with
 */
export async function takeCensus(sources: CensusSources): Promise<CensusReport> {
  const startedAtMs = sources.clock.nowMs();
  const tally = new Tally(sources);
  const seen = new Set<number>();
  let doneBytes = 0;
  // Again for what was opened meanwhile: blobs that lived all along may have been moved there.
  for (let round = 0; ; round++) {
    const volumes = (await sources.metadataStore.listVolumes()).filter(
      (volume) => isAlive(volume) && !seen.has(volume.volumeId),
    );
    if (volumes.length === 0) break;
    if (round === LISTING_ROUNDS) {
      tally.addFinding(`${volumes.length} volumes were opened while counting and are not in this count`);
      break;
    }
    const totalBytes = volumes.reduce((sum, { storedBytes }) => sum + storedBytes + 1, doneBytes);
    for (const volume of volumes) {
      await tally.addVolume(volume);
      seen.add(volume.volumeId);
      doneBytes += volume.storedBytes + 1;
      sources.onProgress?.(doneBytes / totalBytes);
    }
  }
  await tally.addFiles();
  await tally.addJournal();
  return tally.report(startedAtMs);
}

class Tally {
  readonly #sources: CensusSources;
  readonly #classes = new Map<string, CensusClass>();
  readonly #below: CensusVolume[] = [];
  readonly #disks = new Map<string, CensusDisk>();
  readonly #narrow = { volumeCount: 0, blobCount: 0, liveBytes: 0 };
  readonly #shards = { expectedCount: 0, goodCount: 0 };
  #readBytes = 0;
  readonly #journal: CensusReport['journal'] = { copyCount: 0, levelCount: 0, checkpoints: [] };
  readonly #findings: string[] = [];

  constructor(sources: CensusSources) {
    this.#sources = sources;
    for (const { id, index, path, state } of sources.disks()) this.#addDisk({ id, index, path, state });
  }

  #addDisk({ id, index, path, state }: Omit<DiskFacts, 'stateSinceMs'>): CensusDisk {
    const shards = { expectedCount: 0, goodCount: 0 };
    const files = { fileCount: 0, unknownFileCount: 0, quarantinedFileCount: 0, leftoverFileCount: 0 };
    const disk = { diskId: id, index, path, state, ...shards, ...files, isJournalLevel: false };
    this.#disks.set(id, disk);
    return disk;
  }

  addFinding(text: string): void {
    this.#findings.push(text);
  }

  async addVolume(listed: VolumeRecord): Promise<void> {
    const found = await inspectLiveVolume(this.#sources, listed);
    if (found !== undefined) this.#count(found.volume, found.inspection);
  }

  #count(volume: VolumeRecord, inspection: VolumeInspection): void {
    const { volumeId, k, m, purpose, state, storageClass = STANDARD } = volume;
    const { blobCount, stripeCount, files, stripesByMargin } = inspection;
    this.#readBytes += inspection.readBytes;
    const margin = Math.min(...stripesByMargin.keys());
    const key = `${storageClass} ${margin}/${m}`;
    const counts = { volumeCount: 0, stripeCount: 0, blobCount: 0 };
    const group = this.#classes.get(key) ?? { storageClass, margin, fullMargin: m, ...counts };
    group.volumeCount++;
    group.stripeCount += stripeCount;
    group.blobCount += blobCount;
    this.#classes.set(key, group);
    const code = this.#sources.storageClasses().find(({ name }) => name === storageClass)?.code;
    const possible = code === undefined ? 0 : Math.min(code.k + code.m, this.#sources.disks().length);
    if (k + m < possible) {
      this.#narrow.volumeCount++;
      this.#narrow.blobCount += blobCount;
      this.#narrow.liveBytes += volume.liveBytes;
    }
    for (const { diskId, shardCount, goodCount } of files) {
      const disk =
        this.#disks.get(diskId) ?? this.#addDisk({ id: diskId, index: -1, path: undefined, state: 'removed' });
      disk.expectedCount += shardCount;
      disk.goodCount += goodCount;
      this.#shards.expectedCount += shardCount;
      this.#shards.goodCount += goodCount;
    }
    if (!isWhole(inspection)) {
      const bad = files.filter(({ condition }) => condition !== 'good');
      this.#below.push({ volumeId, purpose, state, code: { k, m }, margin, blobCount, files: bad });
    }
  }

  /** Names on every disk, against what the journal knows afterwards. */
  async addFiles(): Promise<void> {
    const { volumeKeeper, metadataStore } = this.#sources;
    const lists = new Map<string, Awaited<ReturnType<VolumeKeeper['listShardFiles']>>>();
    for (const disk of this.#disks.values()) {
      if (disk.state !== 'online') continue;
      try {
        lists.set(disk.diskId, await volumeKeeper.listShardFiles(disk.diskId));
      } catch (error) {
        // It went away meanwhile; its shards say so.
        if (!isStoreError(error)) throw error;
      }
    }
    const known = new Map((await metadataStore.listVolumes()).map((volume) => [volume.volumeId, volume]));
    for (const [diskId, { volumes, otherNames, quarantinedNames }] of lists) {
      const disk = this.#disks.get(diskId);
      if (disk === undefined) continue;
      disk.fileCount = volumes.size;
      disk.quarantinedFileCount = quarantinedNames.length;
      disk.leftoverFileCount = otherNames.length;
      for (const volumeId of volumes.keys()) {
        const volume = known.get(volumeId);
        const belongs = volume?.diskIds.includes(diskId) === true || volume?.undroppedDiskIds.includes(diskId) === true;
        if (!belongs) disk.unknownFileCount++;
      }
    }
  }

  async addJournal(): Promise<void> {
    const { metadataStore, storageClasses } = this.#sources;
    const needed = (storageClasses()[0]?.code.m ?? 0) + 1;
    await metadataStore.scrubJournal();
    const { disks, checkpoints } = await metadataStore.status();
    for (const { diskId, isLevel, carriesJournal } of disks) {
      if (!carriesJournal) continue;
      this.#journal.copyCount++;
      if (isLevel) this.#journal.levelCount++;
      else this.#findings.push(`the journal copy on ${this.#nameOf(diskId)} is missing, damaged or behind`);
      const disk = this.#disks.get(diskId);
      if (disk !== undefined) disk.isJournalLevel = isLevel;
    }
    for (const { sequence, holders } of checkpoints) {
      this.#journal.checkpoints.push({ sequence, holderCount: holders.length });
      if (holders.length < needed) {
        this.#findings.push(`the checkpoint of frame ${sequence} lies on ${holders.length} disks, not on ${needed}`);
      }
    }
  }

  #nameOf(diskId: string): string {
    const disk = this.#disks.get(diskId);
    return disk === undefined || disk.index < 0 ? `disk ${diskId}` : `disk ${disk.index} (${disk.path ?? diskId})`;
  }

  report(startedAtMs: number): CensusReport {
    const classes = [...this.#classes.values()].sort((a, b) => a.margin - b.margin || a.fullMargin - b.fullMargin);
    const findings = [...this.#below.map((volume) => this.#describe(volume)), ...this.#findings];
    return {
      formatVersion: 1,
      startedAtMs,
      endedAtMs: this.#sources.clock.nowMs(),
      isClean: findings.length === 0,
      worstMargin: classes[0]?.margin,
      classes,
      shards: this.#shards,
      readBytes: this.#readBytes,
      narrow: this.#narrow,
      disks: [...this.#disks.values()],
      journal: this.#journal,
      below: this.#below,
      findings,
    };
  }

  #describe({ volumeId, code, margin, blobCount, files }: CensusVolume): string {
    const where = files.map(({ diskId, condition, goodCount, shardCount }) => {
      return `${this.#nameOf(diskId)}: ${condition}, ${goodCount} of ${shardCount} shards`;
    });
    const what = margin < 0 ? 'some of it CANNOT BE READ' : `margin ${margin} of ${code.m}`;
    return `volume ${volumeId.toString(16)} (${code.k}+${code.m}, ${blobCount} blobs): ${what}; ${where.join('; ')}`;
  }
}
