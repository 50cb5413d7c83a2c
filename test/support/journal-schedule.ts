import { readFile } from 'node:fs/promises';
import { writeFile } from 'node:fs/promises';
import { FaultDiskFs } from '../../src/disk/fault-disk-fs.ts';
import type { SimulatedDiskImage } from '../../src/disk/simulated-disk-fs.ts';
import { isStoreError } from '../../src/errors/store-error.ts';
import type { DiskJournal } from '../../src/metadata-store/journal/disk-journal.ts';
import type { JournalFrame, JournalPosition } from '../../src/metadata-store/journal/journal.ts';
import { clusterTagOf, decodeFrame, hasFrameMagic } from '../../src/metadata-store/journal/frame.ts';
import { chooseJournalDisks } from '../../src/metadata-store/journal/journal-configuration.ts';
import { SEGMENT_BYTES, journalCluster, journalOf, levelDiskIds } from './journal-cluster.ts';
import { settle } from './simulated-clock.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';
import { SeededRandomness } from './simulated-randomness.ts';

/** What the checker knows: the one list of payloads that everybody must have seen, and those whose outcome is unknown. */
class Oracle {
  /** Acknowledged or read: from now on a prefix of what any start shows. */
  readonly truth: string[] = [];
  /** Appended, not acknowledged, not seen: may appear once, at the end. */
  #unknown = new Set<string>();
  /** A start without an epoch answered as if they had never been. */
  readonly #absent = new Set<string>();
  readonly #positions = new Map<string, string>();

  invoked(payload: string): void {
    this.#unknown.add(payload);
  }

  acknowledged(payload: string, position: JournalPosition): void {
    this.truth.push(payload);
    this.#unknown.delete(payload);
    this.#remember(position);
  }

  /** Refused before anything was written: must never appear. */
  refused(payload: string): void {
    this.#unknown.delete(payload);
  }

  /** The payloads of `frames` from the sequence `from` on, as a start shows them. */
  shown(frames: readonly { payload: string; position: JournalPosition }[], skipped: number): void {
    for (const { position } of frames) this.#remember(position);
    const shown = frames.map((frame) => frame.payload);
    const known = this.truth.slice(skipped);
    for (const [index, payload] of known.entries()) {
      if (shown[index] !== payload) throw new Error(`lost or changed: ${payload} (shown ${String(shown[index])})`);
    }
    for (const payload of shown.slice(known.length)) {
      if (!this.#unknown.has(payload)) throw new Error(`out of nowhere or twice: ${payload}`);
      if (this.#absent.has(payload)) throw new Error(`was absent before: ${payload}`);
      this.truth.push(payload);
      this.#unknown.delete(payload);
    }
    this.#absent.clear();
    // What was not adopted by an open epoch is void for ever.
    this.#unknown.clear();
  }

  /** What a start without an epoch shows from the sequence `from` on, and what it knows to be open. */
  shownWithoutEpoch(prefix: readonly string[], pending: readonly string[], skipped: number): void {
    for (const [index, payload] of this.truth.slice(skipped).entries()) {
      const shown = prefix[index] ?? pending[index - prefix.length];
      if (shown !== payload) throw new Error(`lost or changed without an epoch: ${payload} (shown ${String(shown)})`);
    }
    for (const payload of prefix.slice(Math.max(0, this.truth.length - skipped))) {
      if (!this.#unknown.has(payload)) throw new Error(`out of nowhere or twice: ${payload}`);
      if (this.#absent.has(payload)) throw new Error(`was absent before: ${payload}`);
      this.truth.push(payload);
      this.#unknown.delete(payload);
    }
    for (const payload of this.#unknown) if (!pending.includes(payload)) this.#absent.add(payload);
  }

  /** A disk went back to an earlier state: what was noted there since is lost. */
  forgetAbsent(): void {
    this.#absent.clear();
  }

  /** Every good frame that lies on any disk, void ones too: a position names one content for ever. */
  foundOnDisk(bytes: Buffer): void {
    const key = `raw ${bytes.readUInt32LE(24)}.${bytes.readUInt32LE(32)}`;
    const checksum = bytes.toString('hex', 4, 8);
    const before = this.#positions.get(key);
    if (before === checksum) return;
    if (before !== undefined) throw new Error(`position ${key} was used twice`);
    this.#positions.set(key, checksum);
  }

  #remember({ epoch, sequence, hash }: JournalPosition): void {
    const key = `${epoch}.${sequence}`;
    const before = this.#positions.get(key);
    if (before !== undefined && before !== hash.toString('hex')) throw new Error(`position ${key} was used twice`);
    this.#positions.set(key, hash.toString('hex'));
  }
}

export interface ScheduleOptions {
  seed: number;
  k: number;
  m: number;
  diskCount?: number;
  steps: number;
  /** A folder for checkpoint files; without it no checkpoints are made. */
  folder?: string;
}

/**
 * Drives the real journal through one random schedule on simulated disks and checks after each start that nothing
 * acknowledged is lost, nothing flips, no position is used twice and nothing appears that was void.
 */
export async function runSchedule(options: ScheduleOptions): Promise<{ starts: number; acknowledged: number }> {
  const schedule = await Schedule.make(options);
  try {
    return await schedule.run(options.steps);
  } catch (error) {
    throw new Error(`seed ${options.seed} (${options.k}+${options.m}): ${schedule.story()}`, { cause: error });
  }
}

class Schedule {
  readonly #options: ScheduleOptions;
  readonly #random: SeededRandomness;
  readonly #cluster: SimulatedCluster;
  readonly #oracle = new Oracle();
  readonly #clusterTag: Buffer;
  readonly #faults: FaultDiskFs[];
  readonly #story: string[] = [];
  /** Disks whose content went back in time or was damaged: they count as lost until they are level in an open epoch. */
  readonly #damaged = new Set<number>();
  readonly #images = new Map<number, SimulatedDiskImage>();
  #journal: DiskJournal | undefined;
  readonly #journalDisks: readonly number[];
  #payloads = 0;
  #starts = 0;
  /** Payloads of `truth` that lie before the oldest kept frame, by checkpoint. */
  #checkpoints: { position: JournalPosition; truthLength: number }[] = [];

  private constructor(options: ScheduleOptions, cluster: SimulatedCluster, faults: FaultDiskFs[]) {
    this.#options = options;
    this.#random = cluster.random;
    this.#cluster = cluster;
    this.#clusterTag = clusterTagOf(cluster.diskSet.clusterId);
    this.#faults = faults;
    const carriers = chooseJournalDisks(cluster.diskIds, options);
    this.#journalDisks = carriers.map((diskId) => cluster.diskIds.indexOf(diskId));
  }

  static async make(options: ScheduleOptions): Promise<Schedule> {
    const { k, m, seed, diskCount = k + m } = options;
    const faults: FaultDiskFs[] = [];
    const cluster: SimulatedCluster = await journalCluster(
      { k, m },
      {
        seed,
        diskCount,
        wrap: (fs, index) =>
          (faults[index] = new FaultDiskFs(fs, { nowMs: () => 0, monotonicMs: () => 0, schedule: () => () => {} })),
      },
    );
    return new Schedule(options, cluster, faults);
  }

  story(): string {
    return this.#story.join(' ');
  }

  async run(steps: number): Promise<{ starts: number; acknowledged: number }> {
    await this.#start();
    for (let i = 0; i < steps; i++) await this.#step();
    this.#faults.forEach((fault) => fault.clearFaults());
    this.#restart('keep-all', true);
    await this.#start();
    return { starts: this.#starts, acknowledged: this.#oracle.truth.length };
  }

  async #step(): Promise<void> {
    const dice = this.#random.below(100);
    if (dice < 34) await this.#append();
    else if (dice < 50) await this.#appendAndCrash();
    else if (dice < 60) await this.#crashInStart();
    else if (dice < 66) await this.#crashAndStart();
    else if (dice < 73) this.#detach();
    else if (dice < 80) await this.#attach();
    else if (dice < 83) this.#remember();
    else if (dice < 88) this.#breakNthCall();
    else if (dice < 91) await this.#restoreStale();
    else if (dice < 94) await this.#corrupt();
    else if (dice < 96) await this.#illegalStart();
    else await this.#checkpoint();
  }

  // ——— steps ———

  async #append(): Promise<void> {
    const journal = await this.#writable();
    if (journal === undefined) return;
    const payload = this.#makePayload();
    try {
      this.#oracle.acknowledged(payload, await journal.append(Buffer.from(payload)));
      this.#tell('a');
    } catch (error) {
      if (isStoreError(error, 'QuorumLost')) this.#oracle.refused(payload);
      else if (!isStoreError(error, 'Undecided')) throw error;
      this.#tell(isStoreError(error, 'Undecided') ? 'u' : 'q');
      this.#reviveSome();
    }
    if (this.#random.below(3) === 0) await settle();
  }

  /** The journal if it can be written to; after Undecided it is opened again when that is possible. */
  async #writable(): Promise<DiskJournal | undefined> {
    const journal = this.#journal;
    if (journal === undefined || journal.isWritable) return journal;
    try {
      const knownBefore = journal.acknowledged;
      await journal.reopen();
      this.#tell('reopen');
      if (journal.acknowledged.sequence <= knownBefore.sequence) throw new Error('acknowledged went back');
      await this.#look(journal);
      return journal;
    } catch (error) {
      if (!isStoreError(error, 'QuorumLost', 'JournalCorrupt')) throw error;
      this.#tell('no-reopen');
      this.#reviveSome();
      return undefined;
    }
  }

  async #appendAndCrash(): Promise<void> {
    const journal = await this.#writable();
    if (journal === undefined) return;
    const payload = this.#makePayload();
    let outcome: JournalPosition | undefined;
    try {
      void journal.append(Buffer.from(payload)).then(
        (position) => void (outcome = position),
        () => undefined,
      );
    } catch {
      this.#oracle.refused(payload);
    }
    await this.#turns(this.#random.below(60));
    if (outcome !== undefined) this.#oracle.acknowledged(payload, outcome);
    this.#tell(outcome === undefined ? 'crash-append' : 'crash-after');
    await this.#crashAndStart();
  }

  async #crashAndStart(): Promise<void> {
    this.#restart(this.#random.pick(['random', 'torn', 'keep-all', 'drop-all'] as const), false);
    await this.#start();
  }

  /** Several starts in a row on different disks, each killed somewhere. */
  async #crashInStart(): Promise<void> {
    do {
      this.#restart('random', false);
      const journal = journalOf(this.#cluster);
      journal.start(() => {}).catch(() => undefined);
      await this.#turns(this.#random.below(this.#random.below(2) === 0 ? 250 : 800));
      this.#tell('crash-in-start');
    } while (this.#random.below(2) === 0);
    await this.#crashAndStart();
  }

  #detach(): void {
    const present = this.#indexes().filter((index) => this.#cluster.disks[index]!.isAttached);
    if (present.length === 0) return;
    const index = this.#random.pick(present);
    this.#cluster.detach([index], { isNoticed: this.#random.below(2) === 0 });
    this.#tell(`-${index}`);
  }

  async #attach(): Promise<void> {
    const absent = this.#indexes().filter((index) => !this.#cluster.disks[index]!.isAttached);
    if (absent.length === 0) return;
    const index = this.#random.pick(absent);
    this.#cluster.noticeDetached();
    this.#cluster.attach([index]);
    this.#tell(`+${index}`);
    if (this.#random.below(2) === 0) await this.#letLevel();
  }

  #remember(): void {
    const index = this.#random.pick(this.#indexes());
    this.#images.set(index, this.#cluster.disks[index]!.snapshot());
  }

  async #restoreStale(): Promise<void> {
    const [index, image] = this.#random.pick([...this.#images, [undefined, undefined] as const]);
    if (index === undefined || image === undefined || !this.#mayDamage(index)) return;
    this.#damaged.add(index);
    this.#oracle.forgetAbsent();
    this.#restart('keep-all', false);
    this.#cluster.replaceContent(index, image);
    this.#cluster.restart();
    this.#tell(`stale${index}`);
    await this.#start();
  }

  async #corrupt(): Promise<void> {
    const index = this.#random.pick(this.#indexes());
    if (!this.#mayDamage(index)) return;
    const disk = this.#cluster.disks[index]!;
    const paths = disk.filePaths().filter((path) => /\d-\d+\.seg$|state$|checkpoint-/.test(path));
    if (paths.length === 0) return;
    const path = this.#random.pick(paths);
    disk.corrupt(path, this.#random.below(disk.peek(path).length));
    this.#damaged.add(index);
    this.#tell(`flip${index}:${path}`);
    await this.#crashAndStart();
  }

  #breakNthCall(): void {
    const index = this.#random.pick(this.#indexes());
    const isDone = this.#random.below(2) === 0;
    this.#faults[index]!.addFault({
      operation: this.#random.pick(['mutation', 'any', 'write'] as const),
      nth: 1 + this.#random.below(20),
      effect: { kind: 'error', errno: 'EIO', isDone },
    });
    this.#tell(`eio${index}`);
  }

  async #illegalStart(): Promise<void> {
    const { k, m } = this.#options;
    this.#restart('keep-all', true);
    const journalDisks = this.#journalDisks;
    const gone = this.#random
      .shuffle(journalDisks)
      .slice(0, Math.min(journalDisks.length, m + 1 + this.#random.below(k)));
    this.#cluster.detach(gone);
    this.#cluster.restart();
    const journal = journalOf(this.#cluster);
    const outcome = await journal
      .start(() => {})
      .then(
        () => 'started',
        (error: unknown) => error,
      );
    if (!isStoreError(outcome, 'QuorumLost'))
      throw new Error(`a start without ${gone.join()} must be refused`, { cause: outcome });
    this.#tell(`refused-${gone.join()}`);
    this.#restart('keep-all', true);
    await this.#start();
  }

  async #checkpoint(): Promise<void> {
    const { folder } = this.#options;
    const journal = this.#journal;
    if (folder === undefined || journal === undefined || !journal.isWritable) return;
    const position = journal.acknowledged;
    const truthLength = this.#oracle.truth.length;
    const source = `${folder}/${this.#options.seed}.snapshot`;
    await writeFile(source, JSON.stringify(this.#oracle.truth));
    this.#checkpoints.push({ position, truthLength });
    const work = journal.installCheckpoint(source, position);
    if (this.#random.below(4) === 0) {
      work.catch(() => undefined);
      await new Promise((resolve) => setTimeout(resolve, this.#random.below(3)));
      this.#tell('crash-checkpoint');
      return this.#crashAndStart();
    }
    await work.catch((error: unknown) => {
      if (!isStoreError(error)) throw error;
    });
    this.#tell('checkpoint');
  }

  // ——— helpers ———

  #indexes(): number[] {
    return this.#cluster.disks.map((_, index) => index);
  }

  #mayDamage(index: number): boolean {
    return this.#damaged.has(index) || this.#damaged.size < this.#options.m;
  }

  /** A new process. `isWhole`: with every disk; otherwise any disks are away, with the damaged ones at most m. */
  #restart(mode: 'random' | 'torn' | 'keep-all' | 'drop-all', isWhole: boolean): void {
    const allowed = isWhole ? 0 : Math.max(0, this.#options.m - this.#damaged.size);
    const away = this.#random.shuffle(this.#indexes()).slice(0, this.#random.below(allowed + 1));
    for (const disk of this.#cluster.disks) disk.attach();
    for (const index of away) this.#cluster.disks[index]!.detach();
    this.#cluster.crash(mode);
    this.#cluster.clock.jumpWallClock(1); // so that frames of two lives differ
    this.#journal = undefined;
    this.#tell(`| ${mode}`);
    this.#lookAtFrames();
  }

  #lookAtFrames(): void {
    for (const [index, disk] of this.#cluster.disks.entries()) {
      if (this.#damaged.has(index)) continue;
      for (const path of disk.filePaths().filter((one) => one.endsWith('.seg'))) {
        const bytes = disk.peek(path);
        for (let offset = 0; offset < bytes.length; offset += 4096) {
          if (!hasFrameMagic(bytes, offset)) continue;
          const frame = decodeFrame(bytes.subarray(offset), this.#clusterTag);
          if (frame !== undefined) this.#oracle.foundOnDisk(frame.bytes);
        }
      }
    }
  }

  async #start(): Promise<void> {
    const { m } = this.#options;
    this.#starts++;
    const journal = journalOf(this.#cluster);
    try {
      await journal.start(() => {});
    } catch (error) {
      // Injected errors during a start may take it below its quorum; then it is refused, and a later one succeeds.
      const hadFaults = this.#faults.some((fault) => fault.struckCount > 0);
      if (!isStoreError(error) || (!hadFaults && this.#damaged.size <= m)) throw error;
      this.#tell(`refused:${error.code}`);
      this.#faults.forEach((fault) => fault.clearFaults());
      this.#restart('keep-all', true);
      return this.#start();
    }
    this.#tell(
      `start${journal.epoch}(${this.#indexes()
        .filter((index) => this.#cluster.disks[index]!.isAttached)
        .join('')})`,
    );
    this.#journal = journal;
    if (!journal.isWritable) return this.#lookWithoutEpoch(journal);
    await this.#look(journal);
    if (this.#random.below(2) === 0) await this.#letLevel();
  }

  async #look(journal: DiskJournal): Promise<void> {
    const { skipped, after } = await this.#restorable(journal);
    this.#oracle.shown(await listOf(journal.frames(after)), skipped);
  }

  async #lookWithoutEpoch(journal: DiskJournal): Promise<void> {
    const { skipped, after } = await this.#restorable(journal);
    const prefix = await listOf(journal.frames(after));
    const pending = await listOf(journal.pendingFrames());
    this.#oracle.shownWithoutEpoch(
      prefix.map((frame) => frame.payload),
      pending.map((frame) => frame.payload),
      skipped,
    );
    this.#tell(`reads-only(${prefix.length}+${pending.length})`);
  }

  /** The oldest checkpoint that can be read, else the genesis: the more is read, the more is checked. */
  async #restorable(journal: DiskJournal): Promise<{ skipped: number; after: JournalPosition | undefined }> {
    const genesis = { epoch: 0, sequence: 0, hash: Buffer.alloc(16) };
    if (await journal.canReplayFrom(genesis)) return { skipped: 0, after: undefined };
    for (const checkpoint of [...journal.checkpoints()].reverse()) {
      const known = this.#checkpoints.find((one) => one.position.hash.equals(checkpoint.position.hash));
      if (known === undefined) throw new Error('unknown checkpoint');
      if (!(await journal.canReplayFrom(checkpoint.position)))
        throw new Error('the journal is cut behind its checkpoint');
      const target = `${this.#options.folder}/${this.#options.seed}.restored`;
      try {
        await journal.restoreCheckpoint(checkpoint, target, () => {});
      } catch (error) {
        if (!isStoreError(error, 'JournalCorrupt')) throw error;
        continue;
      }
      const restored = JSON.parse(await readFile(target, 'utf8')) as string[];
      const expected = this.#oracle.truth.slice(0, known.truthLength);
      if (restored.join('\n') !== expected.join('\n')) throw new Error('wrong checkpoint');
      return { skipped: known.truthLength, after: checkpoint.position };
    }
    throw new Error('no checkpoint can be read');
  }

  async #letLevel(): Promise<void> {
    for (let i = 0; i < 8; i++) {
      await settle();
      if (i % 4 === 3) await this.#cluster.clock.advance(1000);
    }
    // Damage that no start reads is found by a scrub.
    if (this.#damaged.size > 0 && this.#journal?.isWritable === true) {
      await this.#journal.scrub().catch((error: unknown) => {
        if (!isStoreError(error)) throw error;
      });
      for (let i = 0; i < 4; i++) await settle();
    }
    const level = new Set(this.#journal?.isWritable === true ? levelDiskIds(this.#journal) : []);
    for (const index of this.#damaged) if (level.has(this.#cluster.diskIds[index]!)) this.#damaged.delete(index);
  }

  /** So that schedules go on: failed disks come back as returning ones, and sometimes an absent one. */
  #reviveSome(): void {
    this.#faults.forEach((fault) => fault.clearFaults());
    this.#cluster.noticeDetached();
    for (const disk of this.#cluster.diskSet.disks) {
      if (disk.state === 'failed') this.#cluster.diskSet.setState(disk.id, 'returning', 'the disk answers again');
    }
    const absent = this.#indexes().filter((index) => !this.#cluster.disks[index]!.isAttached);
    if (absent.length > 0) this.#cluster.attach([this.#random.pick(absent)]);
  }

  #makePayload(): string {
    const limit = this.#random.below(8) === 0 ? SEGMENT_BYTES / 2 : 500;
    const payload = `p${++this.#payloads}.${'x'.repeat(this.#random.below(limit))}`;
    this.#oracle.invoked(payload);
    return payload;
  }

  async #turns(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await Promise.resolve();
  }

  #tell(what: string): void {
    this.#story.push(what);
  }
}

async function listOf(frames: AsyncIterable<JournalFrame>): Promise<{ payload: string; position: JournalPosition }[]> {
  const found: { payload: string; position: JournalPosition }[] = [];
  for await (const { payload, position } of frames) found.push({ payload: payload.toString(), position });
  return found;
}
