import type { ShardDestination, ShardFileRepair, ShardMoveOutcome, VolumeKeeper } from '../data-store/data-store.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { DamagedFile, DamageRecord, MetadataStore } from '../metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../model/blob.ts';
import type { Clock } from '../model/clock.ts';
import type { HealingReport } from '../model/healing-report.ts';
import type { Log } from '../observability/log.ts';
import { BackgroundLoop } from './background-loop.ts';
import type { DiskFacts } from './census.ts';
import { HealingProgress } from './healing-progress.ts';
import { isAlive, liveBlobsOf, whenDecided } from './live-blobs.ts';
import { WorkPace } from './work-pace.ts';

export interface HealerOptions {
  volumeKeeper: VolumeKeeper;
  metadataStore: Pick<
    MetadataStore,
    'commit' | 'getDocument' | 'listVolumes' | 'listBlobsInVolume' | 'listDamagedFiles' | 'listDamage' | 'status'
  >;
  disks: () => readonly DiskFacts[];
  /** Told of every change of a disk's state; returns what ends that. */
  onDiskChange: (listener: (disk: DiskFacts, before: string) => void) => () => void;
  clock: Clock;
  log: Log;
  /** Bytes read and written in a second, all disks together, at most. */
  rateBytesPerSecond: number;
  /** Requests of clients being answered now: healing makes room for them. */
  requestsInFlight: () => number;
  intervalMs?: number;
}

const INTERVAL_MS = 1_000;
/** A volume whose repair failed is tried again after this long, twice as long each time up to the longest … */
const RETRY_AFTER_MS = 5_000;
/** … or as soon as a disk comes online. */
const RETRY_LONGEST_MS = 3_600_000;
/** Damage records that are cleared at once; a file with more of them is looked at again. */
const DAMAGE_LIMIT = 10_000;

/** Which disks are still to be read after their return, as JSON `{ diskIds }`. */
const TO_READ = { collection: 'healing', id: 'to-read' };

/** A shard file that may not be whole. */
interface Suspect {
  readonly sinceMs: number;
}

/**
 * Makes redundancy whole again. It repairs files of which it has reason to think that they are missing or bad: recorded
 * damage, files that an inventory misses, and what reading a disk that was away finds. Every repair reads the file
 * anew, every new file is read back before it counts, and only then recorded damage is cleared; so nothing is called
 * healed that a census would not find.
 *
 * What is to be done is found anew at each start, from the journal and the disks. Only which disks are still to be read
 * after their return is remembered (document `healing/to-read`): once level, the journal no longer tells.
 */
export class Healer {
  readonly #options: HealerOptions;
  readonly #loop: BackgroundLoop;
  readonly #pace: WorkPace;
  readonly #progress: HealingProgress;
  readonly #suspects = new Map<number, Map<string, Suspect>>();
  readonly #retries = new Map<number, { atMs: number; delayMs: number }>();
  /** Disks whose files are to be compared with the journal's volumes. */
  readonly #toList = new Set<string>();
  /**
   * Disks that missed something: they were away, or what is there now is of an earlier time. Files only grow, so the last
   * shard of each tells whether it is whole. A new return begins anew, with another object.
   */
  readonly #toRead = new Map<string, { lastVolumeId: number }>();
  #unsubscribe: (() => void) | undefined;
  #hasAskedJournal = false;
  /** What the document says. */
  #remembered: readonly string[] = [];

  constructor(options: HealerOptions) {
    this.#options = options;
    const { clock } = options;
    this.#loop = new BackgroundLoop({
      clock,
      intervalMs: options.intervalMs ?? INTERVAL_MS,
      step: () => this.#round(),
    });
    this.#pace = new WorkPace({ ...this.#paceOptions(), loop: this.#loop });
    this.#progress = new HealingProgress(clock);
    for (const { id } of options.disks()) this.#toList.add(id);
  }

  #paceOptions() {
    const { clock, rateBytesPerSecond, requestsInFlight } = this.#options;
    return { clock, rateBytesPerSecond: () => rateBytesPerSecond, requestsInFlight };
  }

  start(): void {
    this.#unsubscribe = this.#options.onDiskChange((disk, before) => {
      // From the beginning of the return, so that it is remembered before the journal calls the disk level.
      if (disk.state === 'returning') this.#toRead.set(disk.id, { lastVolumeId: -1 });
      if (disk.state !== 'online' || before === 'online') return;
      this.#toList.add(disk.id);
      this.#retries.clear();
      if (before === 'returning') this.#toRead.set(disk.id, { lastVolumeId: -1 });
    });
    this.#loop.start();
  }

  /** Ends after the step under way; a repair that is not finished is begun anew by the next run. */
  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#loop.stop();
  }

  report(): HealingReport {
    const suspects = [...this.#suspects.values()].flatMap((files) => [...files.values()]);
    const since = suspects.map(({ sinceMs }) => sinceMs);
    return this.#progress.report({
      suspectFileCount: suspects.length,
      suspectVolumeCount: this.#suspects.size,
      suspectSinceMs: since.length === 0 ? undefined : Math.min(...since),
      disksToRead: this.#toRead.size,
      rateLimitBytesPerSecond: this.#options.rateBytesPerSecond,
    });
  }

  /** This file is missing or bad, or may be; it is inspected and repaired soon. */
  #suspect(volumeId: number, diskId: string, damage?: Pick<DamagedFile, 'sinceMs' | 'isMissing'>): void {
    let files = this.#suspects.get(volumeId);
    if (files === undefined) this.#suspects.set(volumeId, (files = new Map()));
    const known = files.get(diskId);
    // Where one file is gone others may be.
    if (known === undefined && damage?.isMissing === true) this.#toList.add(diskId);
    const sinceMs = damage?.sinceMs ?? this.#options.clock.nowMs();
    files.set(diskId, { sinceMs: Math.min(sinceMs, known?.sinceMs ?? Infinity) });
  }

  /**
   * Moves shard files of a sealed volume to other disks, from where they lie or from k others: for disks that are
   * replaced, drained or evened out. Nothing is done for one that the volume has there already, or when it is gone.
   * @returns an outcome for each, see `VolumeKeeper.moveShards`
   * @throws StoreError when nothing can be moved now: NotReady (the volume is written to) | QuorumLost | Undecided
   */
  async moveShards(volumeId: number, moves: readonly ShardDestination[]): Promise<ShardMoveOutcome[]> {
    const unmoved = moves.map((move) => ({ ...move, movedBytes: 0, failure: undefined }));
    const { volumeKeeper, metadataStore } = this.#options;
    const find = async (): Promise<VolumeRecord | undefined> =>
      (await metadataStore.listVolumes()).find((each) => each.volumeId === volumeId);
    if ((await find())?.state === 'open') volumeKeeper.retireVolume(volumeId);
    await whenDecided(metadataStore);
    const volume = await find();
    if (volume === undefined || volume.state === 'dropped') return unmoved;
    const pace = new WorkPace({ ...this.#paceOptions(), loop: this.#loop }).spend;
    const blobs = liveBlobsOf(metadataStore, volumeId);
    try {
      const outcomes = await volumeKeeper.moveShards({ volume, blobs, pace, moves });
      return outcomes.map((one) => (one.failure?.code === 'BlobGone' ? { ...one, failure: undefined } : one));
    } catch (error) {
      if (isStoreError(error, 'BlobGone')) return unmoved;
      throw error;
    }
  }

  async #round(): Promise<void> {
    try {
      await this.healOnce();
    } catch (error) {
      if (this.#loop.isStopped) return;
      this.#progress.failed(error);
      if (isStoreError(error)) this.#options.log.warn({ err: error }, 'healing stopped for now');
      else this.#options.log.error({ err: error }, 'healing failed');
    }
  }

  /** One round over everything that is known to be due. @returns whether something was repaired or cleared. */
  async healOnce(): Promise<boolean> {
    this.#pace.begin();
    await this.#askJournal();
    await this.#rememberToRead();
    await this.#listDisks();
    const isHealed = await this.#healSuspects();
    const isRead = await this.#readReturnedDisks();
    await this.#rememberToRead();
    if (this.#suspects.size === 0) this.#progress.ended();
    return isHealed || isRead;
  }

  #onlineIds(): Set<string> {
    return new Set(this.#options.disks().flatMap(({ id, state }) => (state === 'online' ? [id] : [])));
  }

  // ——— what is due ———

  /** Once: which disks missed the end of the run before, and which an earlier run had not finished reading. */
  async #askJournal(): Promise<void> {
    if (this.#hasAskedJournal) return;
    const { metadataStore } = this.#options;
    const body = await metadataStore.getDocument(TO_READ);
    if (body !== undefined) this.#remembered = (JSON.parse(body.toString('utf8')) as { diskIds: string[] }).diskIds;
    const { disks } = await metadataStore.status();
    const behind = disks.filter(({ wasBehindAtStart }) => wasBehindAtStart).map(({ diskId }) => diskId);
    for (const diskId of [...this.#remembered, ...behind]) {
      if (!this.#toRead.has(diskId)) this.#toRead.set(diskId, { lastVolumeId: -1 });
    }
    this.#hasAskedJournal = true;
  }

  /** Durable when it resolves. A disk that has left the list needs no reading. */
  async #rememberToRead(): Promise<void> {
    const listed = new Set(this.#options.disks().map(({ id }) => id));
    for (const diskId of this.#toRead.keys()) if (!listed.has(diskId)) this.#toRead.delete(diskId);
    const diskIds = [...this.#toRead.keys()].sort();
    if (diskIds.join() === this.#remembered.join()) return;
    const body = Buffer.from(JSON.stringify({ diskIds }));
    await this.#options.metadataStore.commit({ type: 'PutDocument', address: TO_READ, body });
    this.#remembered = diskIds;
  }

  /** Files that should be there and are not, by name alone: fast, at each start and each return of a disk. */
  async #listDisks(): Promise<void> {
    const online = this.#onlineIds();
    const due = [...this.#toList].filter((diskId) => online.has(diskId));
    if (due.length === 0) return;
    const volumes = (await this.#options.metadataStore.listVolumes()).filter(isAlive);
    for (const diskId of due) {
      const present = await this.#shardFilesOf(diskId);
      if (present === undefined) continue;
      for (const volume of volumes) {
        if (volume.diskIds.includes(diskId) && !present.has(volume.volumeId)) this.#suspect(volume.volumeId, diskId);
      }
      this.#toList.delete(diskId);
    }
  }

  /** Undefined when this disk cannot tell now: it is asked again, and the others are healed meanwhile. */
  async #shardFilesOf(diskId: string): Promise<ReadonlyMap<number, number> | undefined> {
    try {
      return (await this.#options.volumeKeeper.listShardFiles(diskId)).volumes;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      this.#options.log.warn({ diskId, err: error }, 'the shard files of a disk cannot be listed now');
      return undefined;
    }
  }

  /** The end of every file on disks that were away, volume by volume. */
  async #readReturnedDisks(): Promise<boolean> {
    const { metadataStore, volumeKeeper } = this.#options;
    let isChanged = false;
    for (const [diskId, reading] of this.#toRead) {
      if (!this.#onlineIds().has(diskId)) continue;
      const volumes = (await metadataStore.listVolumes()).filter(
        (volume) => isAlive(volume) && volume.volumeId > reading.lastVolumeId && volume.diskIds.includes(diskId),
      );
      for (const volume of volumes) {
        const blobs = liveBlobsOf(metadataStore, volume.volumeId);
        const work = { volume, blobs, pace: this.#pace.spend, diskIds: [diskId], onlyEnds: true };
        const { files } = await volumeKeeper.inspectVolume(work);
        if (files.some(({ condition }) => condition === 'unreachable')) break;
        if (files.some(({ condition }) => condition !== 'good')) {
          this.#suspect(volume.volumeId, diskId);
          if (await this.#healSuspects()) isChanged = true;
        }
        reading.lastVolumeId = volume.volumeId;
      }
      if (this.#onlineIds().has(diskId) && this.#toRead.get(diskId) === reading) this.#toRead.delete(diskId);
    }
    return isChanged;
  }

  // ——— repairing ———

  async #healSuspects(): Promise<boolean> {
    const { metadataStore, clock } = this.#options;
    for (const file of await metadataStore.listDamagedFiles()) this.#suspect(file.volumeId, file.diskId, file);
    if (this.#suspects.size === 0) return false;
    const volumes = new Map((await metadataStore.listVolumes()).map((volume) => [volume.volumeId, volume]));
    const online = this.#onlineIds();
    this.#progress.due(this.#bytesDue(volumes, online));
    let isChanged = false;
    for (const volumeId of [...this.#suspects.keys()].sort((a, b) => a - b)) {
      if ((this.#retries.get(volumeId)?.atMs ?? 0) > clock.monotonicMs()) continue;
      if (await this.#healVolume(volumeId, volumes.get(volumeId), online)) isChanged = true;
    }
    return isChanged;
  }

  #bytesDue(volumes: ReadonlyMap<number, VolumeRecord>, online: ReadonlySet<string>): number {
    let bytes = 0;
    for (const [volumeId, files] of this.#suspects) {
      const count = [...files.keys()].filter((diskId) => online.has(diskId)).length;
      bytes += count * (volumes.get(volumeId)?.lengthBytes ?? 0);
    }
    return bytes;
  }

  async #healVolume(volumeId: number, volume: VolumeRecord | undefined, online: ReadonlySet<string>): Promise<boolean> {
    const { volumeKeeper, metadataStore, clock, log } = this.#options;
    const files = this.#suspects.get(volumeId);
    if (files === undefined) return false;
    // As of now: what is recorded during the repair may be newer than what the repair reads.
    const damage = await metadataStore.listDamage({ volumeId, limit: DAMAGE_LIMIT });
    for (const diskId of files.keys()) {
      // Nothing lives there any more, or the file was moved to another disk.
      if (!isAlive(volume) || !volume.diskIds.includes(diskId)) await this.#clear(files, diskId, damage);
    }
    if (!isAlive(volume)) return this.#forget(volumeId);
    const diskIds = [...files.keys()].filter((diskId) => online.has(diskId));
    if (diskIds.length === 0) return false;
    if (volume.state === 'open') volumeKeeper.retireVolume(volumeId);
    if (volume.state === 'open' || !volumeKeeper.isSettled(volumeId)) return false;
    const delayMs = Math.min(RETRY_LONGEST_MS, 2 * (this.#retries.get(volumeId)?.delayMs ?? RETRY_AFTER_MS / 2));
    this.#retries.set(volumeId, { atMs: clock.monotonicMs() + delayMs, delayMs });
    // What waits for its commit was excluded just now; with this nothing that was decided is missing from the list below.
    await whenDecided(metadataStore);
    const blobs = liveBlobsOf(metadataStore, volumeId);
    const repair = await volumeKeeper.repairVolume({ volume, blobs, pace: this.#pace.spend, diskIds });
    this.#progress.repaired(repair, volume.lengthBytes * diskIds.length);
    let isChanged = false;
    for (const file of repair.files) {
      if (file.outcome === 'good' || file.outcome === 'repaired') {
        isChanged = true;
        await this.#clear(files, file.diskId, damage);
      }
      if (file.outcome !== 'good') this.#tell(volumeId, file);
    }
    if (files.size === 0) this.#forget(volumeId);
    else log.warn({ volumeId, fileCount: files.size }, 'a volume could not be healed completely yet');
    return isChanged;
  }

  #tell(volumeId: number, { diskId, outcome, rebuiltCount, lostCount, reason }: ShardFileRepair): void {
    const facts = { volumeId, diskId, rebuiltCount, lostCount, reason };
    if (outcome === 'repaired') this.#options.log.info(facts, 'a shard file was healed');
    else this.#options.log.error(facts, `a shard file could not be healed: ${outcome}`);
  }

  #forget(volumeId: number): boolean {
    this.#suspects.delete(volumeId);
    this.#retries.delete(volumeId);
    return true;
  }

  async #clear(files: Map<string, Suspect>, diskId: string, ofVolume: readonly DamageRecord[]): Promise<void> {
    const damage = ofVolume.filter((record) => record.diskId === diskId);
    await this.#options.metadataStore.commit({ type: 'ClearDamage', damage });
    files.delete(diskId);
  }
}
