import type { ShardDestination, ShardMoveOutcome } from '../data-store/data-store.ts';
import { isStoreError, type StoreError } from '../errors/store-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { Clock } from '../model/clock.ts';
import type { MovesReport } from '../model/healing-report.ts';
import type { Log } from '../observability/log.ts';
import { BackgroundLoop } from './background-loop.ts';
import { PlacedVolumes } from './placed-volumes.ts';
import { type MovableDisk, type PlanOptions, planShardMoves, type ShardMove } from './plan-shard-moves.ts';

/** Moves shard files of one volume to other disks: rebuilt from the others when their own disk is lost. Done when read back. */
export interface ShardFileMover {
  /** Idempotent. @throws StoreError when nothing can be done now */
  moveShards(volumeId: number, moves: readonly ShardDestination[]): Promise<ShardMoveOutcome[]>;
}

export interface DiskMoverOptions {
  mover: ShardFileMover;
  metadataStore: Pick<MetadataStore, 'volumeChanges'>;
  /** The list of disks now. */
  disks: () => readonly MovableDisk[];
  groupsOf: PlanOptions['groupsOf'];
  /** Nothing is left on this draining disk. A StoreError: asked again in the next round, and no shard waits for it. */
  onDrained: (diskId: string) => Promise<void>;
  clock: Clock;
  log: Log;
  /** Bytes moved in a second, at most, only to even out use. What is lost or draining goes as fast as healing does. */
  balanceRateBytesPerSecond: number;
  balanceThreshold?: number;
  intervalMs?: number;
}

const INTERVAL_MS = 2_000;
const RETRY_AFTER_MS = 5_000;
const RETRY_LONGEST_MS = 600_000;
const BALANCE_THRESHOLD = 0.05;

/**
 * Brings shards to where they belong: from disks that left the list, from draining ones, and from fuller ones to emptier
 * ones. What is to be done is found anew from the journal's volumes, so a crash costs one move at most.
 */
export class DiskMover {
  readonly #options: DiskMoverOptions;
  readonly #loop: BackgroundLoop;
  readonly #volumes = new PlacedVolumes();
  readonly #retries = new Map<number, { atMs: number; delayMs: number }>();
  readonly #drained = new Set<string>();
  /** Why a drained disk is still there. */
  readonly #refusals = new Map<string, string>();
  #movedShardCount = 0;
  #movedBytes = 0;
  #left: { count: number; bytes: number; isBalancing: boolean } = { count: 0, bytes: 0, isBalancing: false };
  #stuckCount = 0;
  #began: { atMs: number; movedBytes: number } | undefined;
  #lastError: string | undefined;

  constructor(options: DiskMoverOptions) {
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

  /** Ends after the move under way. */
  stop(): Promise<void> {
    return this.#loop.stop();
  }

  report(): MovesReport {
    const { count, bytes, isBalancing } = this.#left;
    const rate = this.#rate();
    return {
      isRunning: count > 0,
      isBalancing: isBalancing && count > 0,
      movedShardCount: this.#movedShardCount,
      movedBytes: this.#movedBytes,
      leftShardCount: count,
      leftBytes: bytes,
      stuckShardCount: this.#stuckCount,
      rateBytesPerSecond: rate,
      timeLeftMs: rate === undefined || count === 0 ? undefined : Math.round((bytes / rate) * 1000),
      lastError: this.#lastError,
    };
  }

  #rate(): number | undefined {
    if (this.#began === undefined) return undefined;
    const tookMs = this.#options.clock.monotonicMs() - this.#began.atMs;
    const movedBytes = this.#movedBytes - this.#began.movedBytes;
    return tookMs > 0 && movedBytes > 0 ? (movedBytes / tookMs) * 1000 : undefined;
  }

  async #round(): Promise<void> {
    try {
      while (!this.#loop.isStopped && (await this.moveOnce()));
    } catch (error) {
      this.#lastError = error instanceof Error ? error.message : String(error);
      if (isStoreError(error)) this.#options.log.warn({ err: error }, 'moving shards stopped for now');
      else this.#options.log.error({ err: error }, 'moving shards failed');
    }
  }

  /** One plan and the first of its moves. @returns whether anything was moved, so that there may be more. */
  async moveOnce(): Promise<boolean> {
    const { metadataStore, clock } = this.#options;
    // One round at a time, so no older answer is applied after a newer one.
    this.#volumes.apply(await metadataStore.volumeChanges(this.#volumes.version));
    await this.#tellDrained();
    const { moves, left, stuckCount } = this.#plan();
    if (stuckCount > 0 && stuckCount !== this.#stuckCount) {
      this.#options.log.warn({ stuckCount }, 'shard files ought to move, but no disk has room for them');
    }
    this.#stuckCount = stuckCount;
    this.#left = { ...left, isBalancing: moves.every(({ reason }) => reason === 'balance') };
    if (left.count === 0) this.#began = undefined;
    else this.#began ??= { atMs: clock.monotonicMs(), movedBytes: this.#movedBytes };
    let isMoved = false;
    // What several lost disks held of one volume is made again from one reading of it.
    for (const [volumeId, together] of groupByVolume(moves)) {
      if (this.#loop.isStopped) return false;
      if (await this.#move(volumeId, together)) isMoved = true;
    }
    return isMoved;
  }

  #plan(): ReturnType<typeof planShardMoves> {
    const { disks, groupsOf, balanceThreshold = BALANCE_THRESHOLD } = this.#options;
    const isDeferred = (volumeId: number): boolean => this.#isDeferred(volumeId);
    return planShardMoves({ volumes: this.#volumes, disks: disks(), groupsOf, balanceThreshold, isDeferred });
  }

  #isDeferred(volumeId: number): boolean {
    return (this.#retries.get(volumeId)?.atMs ?? 0) > this.#options.clock.monotonicMs();
  }

  /** @returns whether any was moved */
  async #move(volumeId: number, moves: readonly ShardMove[]): Promise<boolean> {
    const { mover, clock, log, balanceRateBytesPerSecond } = this.#options;
    const beganAtMs = clock.monotonicMs();
    let outcomes: readonly ShardMoveOutcome[];
    try {
      outcomes = await mover.moveShards(volumeId, moves);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      this.#failed(volumeId, error);
      return false;
    }
    let movedBytes = 0;
    const done = { count: 0, bytes: 0 };
    for (const { shardIndex, toDiskId, failure, ...moved } of outcomes) {
      if (failure !== undefined) continue;
      const { fromDiskId, reason, sizeBytes } = moves.find((move) => move.shardIndex === shardIndex)!;
      this.#movedShardCount++;
      movedBytes += moved.movedBytes;
      done.count++;
      done.bytes += sizeBytes;
      log.debug({ volumeId, fromDiskId, toDiskId, reason }, 'a shard file was moved');
    }
    this.#movedBytes += movedBytes;
    const failure = outcomes.find((one) => one.failure !== undefined)?.failure;
    if (failure !== undefined) this.#failed(volumeId, failure);
    else {
      this.#retries.delete(volumeId);
      this.#lastError = undefined;
    }
    if (moves.some(({ reason }) => reason === 'balance')) {
      await this.#loop.pause((movedBytes / balanceRateBytesPerSecond) * 1000 - (clock.monotonicMs() - beganAtMs));
    }
    // It is at work as long as it pauses.
    const { count, bytes } = this.#left;
    this.#left = { ...this.#left, count: count - done.count, bytes: Math.max(0, bytes - done.bytes) };
    return done.count > 0;
  }

  #failed(volumeId: number, error: StoreError): void {
    this.#lastError = error.message;
    const delayMs = Math.min(RETRY_LONGEST_MS, 2 * (this.#retries.get(volumeId)?.delayMs ?? RETRY_AFTER_MS / 2));
    this.#retries.set(volumeId, { atMs: this.#options.clock.monotonicMs() + delayMs, delayMs });
    if (this.#loop.isStopped) return;
    this.#options.log.warn({ volumeId, err: error }, 'a shard file could not be moved, it is tried again');
  }

  /** Once for each draining disk that holds nothing any more. */
  async #tellDrained(): Promise<void> {
    for (const { id, isDraining, isOnline } of this.#options.disks()) {
      // Files that are to be removed there: a disk that is lost cannot confirm it, and needs not.
      const isDrained = isDraining && !this.#volumes.isHeldBy(id) && !(isOnline && this.#volumes.hasLeftovers(id));
      if (!isDrained) {
        this.#drained.delete(id);
        this.#refusals.delete(id);
      } else if (!this.#drained.has(id)) {
        try {
          await this.#options.onDrained(id);
          this.#drained.add(id);
          if (this.#refusals.delete(id)) this.#lastError = undefined;
        } catch (error) {
          if (!isStoreError(error)) throw error;
          this.#noteRefusal(id, error);
        }
      }
    }
  }

  /** Logged once, not in each round. */
  #noteRefusal(diskId: string, error: StoreError): void {
    this.#lastError = error.message;
    if (this.#refusals.get(diskId) === error.message) return;
    this.#refusals.set(diskId, error.message);
    this.#options.log.warn({ diskId, err: error }, 'a drained disk stays for now, it is tried again');
  }
}

/** In the order in which the volumes come. */
function groupByVolume(moves: readonly ShardMove[]): Map<number, ShardMove[]> {
  const groups = new Map<number, ShardMove[]>();
  for (const move of moves) {
    const group = groups.get(move.volumeId);
    if (group === undefined) groups.set(move.volumeId, [move]);
    else group.push(move);
  }
  return groups;
}
