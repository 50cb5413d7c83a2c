import type { VolumeInspection, VolumeKeeper } from '../data-store/data-store.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { DamageRecord, MetadataStore } from '../metadata-store/metadata-store.ts';
import type { VolumeRecord } from '../model/blob.ts';
import type { Clock } from '../model/clock.ts';
import type { ScrubReport } from '../model/healing-report.ts';
import type { Log } from '../observability/log.ts';
import { BackgroundLoop } from './background-loop.ts';
import { inspectLiveVolume } from './inspect-live.ts';
import { isAlive } from './live-blobs.ts';
import { WorkPace } from './work-pace.ts';

export interface ScrubberOptions {
  volumeKeeper: Pick<VolumeKeeper, 'inspectVolume'>;
  metadataStore: Pick<MetadataStore, 'commit' | 'getDocument' | 'listVolumes' | 'listBlobsInVolume' | 'scrubJournal'>;
  clock: Clock;
  log: Log;
  /** Every shard and every journal record is read once in this time. */
  periodMs: number;
  /** Of a pass that was asked for; others go as slowly as the period allows. */
  rateBytesPerSecond: number;
  requestsInFlight: () => number;
  intervalMs?: number;
}

/** Document `healing/scrub`: where a pass stands, across restarts. */
interface ScrubState {
  formatVersion: 1;
  startedAtMs: number;
  isRequested: boolean;
  /** Volumes up to this id are done; ids ascend with time. */
  lastVolumeId: number;
  readBytes: number;
  damagedFileCount: number;
  /** Of this pass; undefined while it runs. */
  finishedAtMs?: number;
  lastFinishedAtMs?: number;
}

const ADDRESS = { collection: 'healing', id: 'scrub' };
const INTERVAL_MS = 5_000;
/** A pass means to end when so much of its period is over, to leave room for what slows it down. */
const TARGET_FRACTION = 0.8;
const SLOWEST_BYTES_PER_SECOND = 1024 * 1024;
const DAMAGE_BATCH = 500;

/**
 * Reads everything in turn, so that damage is found before it adds up: every shard of every volume, then every journal
 * record and checkpoint. What it finds is recorded as damage, which the healer repairs. The cursor is a document of the
 * journal: a pass goes on where it was after a restart. Volumes that are opened during a pass wait for the next one.
 */
export class Scrubber {
  readonly #options: ScrubberOptions;
  readonly #loop: BackgroundLoop;
  readonly #pace: WorkPace;
  #state: ScrubState | undefined;
  #isLoaded = false;
  #isRequested = false;
  #totalBytes = 0;
  #leftBytes = 0;
  #lastError: string | undefined;

  constructor(options: ScrubberOptions) {
    this.#options = options;
    const { clock, requestsInFlight } = options;
    this.#loop = new BackgroundLoop({
      clock,
      intervalMs: options.intervalMs ?? INTERVAL_MS,
      step: () => this.#round(),
    });
    this.#pace = new WorkPace({ clock, loop: this.#loop, rateBytesPerSecond: () => this.#rate(), requestsInFlight });
  }

  start(): void {
    this.#loop.start();
  }

  /** The volume under way is read again by the next run. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** A whole pass, now and at the rate of healing; one that is under way begins anew. */
  request(): void {
    this.#isRequested = true;
  }

  report(): ScrubReport {
    const state = this.#state;
    const isRunning = state !== undefined && state.finishedAtMs === undefined;
    const rate = this.#rate();
    return {
      isRunning: isRunning || this.#isRequested,
      isRequested: this.#isRequested || (isRunning && state.isRequested),
      startedAtMs: state?.startedAtMs,
      fraction: !isRunning || this.#totalBytes === 0 ? 0 : 1 - this.#leftBytes / this.#totalBytes,
      timeLeftMs: isRunning ? Math.round((this.#leftBytes / rate) * 1000) : undefined,
      readBytes: state?.readBytes ?? 0,
      damagedFileCount: state?.damagedFileCount ?? 0,
      lastFinishedAtMs: state?.finishedAtMs ?? state?.lastFinishedAtMs,
      nextDueAtMs: state === undefined ? undefined : state.startedAtMs + this.#options.periodMs,
      periodMs: this.#options.periodMs,
      lastError: this.#lastError,
    };
  }

  /** Bytes a second, all disks together. */
  #rate(): number {
    const { periodMs, rateBytesPerSecond, clock } = this.#options;
    const state = this.#state;
    if (state === undefined || state.isRequested) return rateBytesPerSecond;
    const leftMs = state.startedAtMs + periodMs * TARGET_FRACTION - clock.nowMs();
    const needed = leftMs <= 0 ? Infinity : (this.#leftBytes / leftMs) * 1000;
    return Math.min(rateBytesPerSecond, Math.max(SLOWEST_BYTES_PER_SECOND, needed));
  }

  async #round(): Promise<void> {
    try {
      await this.scrubOnce();
      this.#lastError = undefined;
    } catch (error) {
      if (this.#loop.isStopped) return;
      this.#lastError = error instanceof Error ? error.message : String(error);
      if (isStoreError(error)) this.#options.log.warn({ err: error }, 'scrubbing stopped for now');
      else this.#options.log.error({ err: error }, 'scrubbing failed');
    }
  }

  /** Goes on with the pass that is due until it ends. @returns whether one was */
  async scrubOnce(): Promise<boolean> {
    await this.#load();
    if (!(await this.#beginIfDue())) return false;
    this.#pace.begin();
    while (this.#state !== undefined && this.#state.finishedAtMs === undefined) {
      if (this.#isRequested) await this.#beginIfDue();
      const next = await this.#nextVolume();
      if (next === undefined) await this.#finish();
      else await this.#scrubVolume(next);
    }
    return true;
  }

  async #load(): Promise<void> {
    if (this.#isLoaded) return;
    const body = await this.#options.metadataStore.getDocument(ADDRESS);
    if (body !== undefined) this.#state = JSON.parse(body.toString('utf8')) as ScrubState;
    this.#isLoaded = true;
  }

  async #save(state: ScrubState): Promise<void> {
    const body = Buffer.from(JSON.stringify(state));
    await this.#options.metadataStore.commit({ type: 'PutDocument', address: ADDRESS, body });
    this.#state = state;
  }

  /** @returns whether a pass is under way now */
  async #beginIfDue(): Promise<boolean> {
    const { clock, periodMs, log } = this.#options;
    const state = this.#state;
    const now = clock.nowMs();
    const isDue = state === undefined || now - state.startedAtMs >= periodMs || now < state.startedAtMs;
    if (state !== undefined && !this.#isRequested && (state.finishedAtMs === undefined || !isDue)) {
      return state.finishedAtMs === undefined;
    }
    const isRequested = this.#isRequested;
    this.#isRequested = false;
    const lastFinishedAtMs = state?.finishedAtMs ?? state?.lastFinishedAtMs;
    await this.#save({
      formatVersion: 1,
      startedAtMs: now,
      isRequested,
      lastVolumeId: -1,
      readBytes: 0,
      damagedFileCount: 0,
      ...(lastFinishedAtMs === undefined ? {} : { lastFinishedAtMs }),
    });
    log.info({ isRequested }, 'a scrub begins');
    return true;
  }

  async #nextVolume(): Promise<VolumeRecord | undefined> {
    const volumes = (await this.#options.metadataStore.listVolumes()).filter(isAlive);
    const after = this.#state?.lastVolumeId ?? -1;
    this.#totalBytes = volumes.reduce((sum, volume) => sum + bytesOf(volume), 0);
    const left = volumes.filter(({ volumeId }) => volumeId > after);
    this.#leftBytes = left.reduce((sum, volume) => sum + bytesOf(volume), 0);
    return left.reduce<VolumeRecord | undefined>(
      (least, volume) => (least === undefined || volume.volumeId < least.volumeId ? volume : least),
      undefined,
    );
  }

  async #scrubVolume(listed: VolumeRecord): Promise<void> {
    const { volumeKeeper, metadataStore } = this.#options;
    const found = await inspectLiveVolume({ volumeKeeper, metadataStore, pace: this.#pace.spend }, listed);
    const state = this.#state;
    if (state === undefined) return;
    const damage = found === undefined ? [] : this.#damageOf(found.inspection);
    for (let at = 0; at < damage.length; at += DAMAGE_BATCH) {
      const batch = damage.slice(at, at + DAMAGE_BATCH);
      await metadataStore.commit({ type: 'RecordDamage', damage: batch });
    }
    const damagedFiles = new Set(damage.map(({ diskId }) => diskId)).size;
    if (damagedFiles > 0)
      this.#options.log.warn({ volumeId: listed.volumeId, first: damage[0] }, 'a scrub found damage');
    await this.#save({
      ...state,
      lastVolumeId: listed.volumeId,
      readBytes: state.readBytes + (found?.inspection.readBytes ?? 0),
      damagedFileCount: state.damagedFileCount + damagedFiles,
    });
  }

  /** One record for each bad shard, up to what the inspection tells; a missing file is one. */
  #damageOf({ volumeId, files }: VolumeInspection): DamageRecord[] {
    const seenAtMs = this.#options.clock.nowMs();
    return files.flatMap(({ diskId, condition, damage }): DamageRecord[] => {
      if (condition === 'missing') return [{ volumeId, diskId, shardIndex: 0, offset: 0, kind: 'missing', seenAtMs }];
      if (condition !== 'damaged') return [];
      return damage.map((place) => ({ volumeId, diskId, ...place, seenAtMs }));
    });
  }

  async #finish(): Promise<void> {
    const { metadataStore, clock, log } = this.#options;
    await metadataStore.scrubJournal();
    const state = this.#state;
    if (state === undefined) return;
    const finishedAtMs = clock.nowMs();
    await this.#save({ ...state, finishedAtMs, lastFinishedAtMs: finishedAtMs });
    log.info({ readBytes: state.readBytes, damagedFileCount: state.damagedFileCount }, 'a scrub has read everything');
  }
}

/** Of all files of a volume, about. */
function bytesOf({ k, m, lengthBytes, storedBytes }: VolumeRecord): number {
  return (k + m) * Math.max(lengthBytes, storedBytes / k);
}
