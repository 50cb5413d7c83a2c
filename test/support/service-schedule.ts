import { S3Error } from '../../src/errors/s3-error.ts';
import { isStoreError } from '../../src/errors/store-error.ts';
import type { SimulatedDiskImage } from '../../src/disk/simulated-disk-fs.ts';
import type { ErasureCode } from '../../src/model/erasure-code.ts';
import { ALICE } from './metadata-fixtures.ts';
import { elementOf, elementsOf, type CallOptions } from './service-fixture.ts';
import { describeObserved, matches, md5Hex } from './service-model.ts';
import {
  areIndependent,
  BUCKET,
  observedOf,
  putOptions,
  ServiceOperations,
  valueOf,
  type Answer,
  type Operation,
  type Upload,
} from './service-operations.ts';
import { kindOfDice, noSteps, ScheduleViolation, STEP_SEED_FACTOR, type StepKind } from './schedule-steps.ts';
import { settle } from './simulated-clock.ts';
import type { SeededRandomness } from './simulated-randomness.ts';
import { SimulatedService, type IndexFate } from './simulated-service.ts';
import { LOCKED_BUCKET, VERSIONED_BUCKET, VersionOperations } from './version-operations.ts';

/** How often something is tried again that must work once faults are over. */
const PATIENCE = 40;
const PATIENCE_MS = 10_000;
/** Rounds of five seconds until everything must be at full redundancy. */
const HEALING_PATIENCE = 200;

export interface ServiceScheduleOptions {
  seed: number;
  code: ErasureCode;
  steps: number;
  /** Half of the operations go to a bucket with versions. Default false. */
  isVersioned?: boolean;
  /** A third of the operations go to a bucket with Object Lock: versions with tags, some locked, some encrypted. Default false. */
  hasLocks?: boolean;
  /** Numbers of steps to leave out, from 0: the others throw the same dice as with them. */
  without?: ReadonlySet<number>;
  /** How the seed is used: afresh for each step (default), or as one stream, as seeds were before steps could be left out. */
  dice?: 'by-step' | 'one-stream';
}

export interface ServiceScheduleOutcome {
  /** How often each kind of step was taken. */
  steps: Record<StepKind, number>;
  /** How many calls of each operation were judged. */
  calls: Record<string, number>;
  operations: number;
  unknown: number;
  starts: number;
}

/**
 * Drives the whole service through one random schedule on simulated disks: puts, reads, copies, deletes, multipart
 * uploads, lists, with power cuts, kills, lost and old indexes, disks that go and come back, stale disks and damage, never
 * more than m disks at a time; and checks every answer against the model.
 *
 * @throws ScheduleViolation with the seed and the story when an invariant is broken
 */
export async function runServiceSchedule(options: ServiceScheduleOptions): Promise<ServiceScheduleOutcome> {
  const service = await SimulatedService.format(options);
  const schedule = new ServiceSchedule(service, options);
  try {
    return await schedule.run(options);
  } catch (cause) {
    const { k, m } = options.code;
    const { story, currentStep: failedStep } = schedule;
    throw new ScheduleViolation(`seed ${options.seed} (${k}+${m}): ${String(cause)}`, { story, failedStep, cause });
  } finally {
    await service.destroy();
  }
}

class ServiceSchedule {
  readonly story: string[] = [];
  currentStep: number | undefined;
  readonly #service: SimulatedService;
  readonly #random: SeededRandomness;
  readonly #code: ErasureCode;
  readonly #operations: ServiceOperations;
  /** `undefined`: no bucket has versions. */
  readonly #versions: VersionOperations | undefined;
  /** `undefined`: no bucket has Object Lock. */
  readonly #locks: VersionOperations | undefined;
  readonly #images = new Map<number, SimulatedDiskImage>();
  /** Disks whose content went back in time or was damaged: as good as lost until something heals them. */
  readonly #damaged = new Set<number>();
  /** Seen by readers whose batch did not end. */
  readonly #violations: string[] = [];
  readonly #outcome: ServiceScheduleOutcome = { steps: noSteps(), calls: {}, operations: 0, unknown: 0, starts: 0 };

  constructor(service: SimulatedService, { code, isVersioned, hasLocks }: ServiceScheduleOptions) {
    this.#service = service;
    this.#random = service.cluster.random;
    this.#operations = new ServiceOperations(service.cluster.random);
    this.#versions = isVersioned ? new VersionOperations(service.cluster.random) : undefined;
    this.#locks = hasLocks ? new VersionOperations(service.cluster.random, LOCKED_BUCKET) : undefined;
    this.#code = code;
  }

  get #versioned(): VersionOperations[] {
    return [this.#versions, this.#locks].filter((one) => one !== undefined);
  }

  async run({ seed, steps, without, dice = 'by-step' }: ServiceScheduleOptions): Promise<ServiceScheduleOutcome> {
    await this.#start();
    const { buckets } = this.#service.process.services;
    await this.#service.withTime(buckets.createBucket({ name: BUCKET, owner: ALICE, locationConstraint: undefined }));
    if (this.#versions !== undefined) await this.#makeVersionedBucket();
    if (this.#locks !== undefined) {
      const headers = { 'x-amz-bucket-object-lock-enabled': 'true' };
      await this.#must('CreateBucket', { bucket: LOCKED_BUCKET, headers });
    }
    for (let step = 0; step < steps; step++) {
      this.currentStep = step;
      if (dice === 'by-step') this.#random.restart(seed * STEP_SEED_FACTOR + step);
      if (without?.has(step) !== true) await this.#step();
    }
    this.currentStep = undefined;
    await this.#end();
    return this.#outcome;
  }

  async #makeVersionedBucket(): Promise<void> {
    const { buckets } = this.#service.process.services;
    const made = buckets.createBucket({ name: VERSIONED_BUCKET, owner: ALICE, locationConstraint: undefined });
    await this.#service.withTime(made);
    const body = '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>';
    await this.#must('PutBucketVersioning', { bucket: VERSIONED_BUCKET, body });
  }

  async #step(): Promise<void> {
    const kind = kindOfDice(this.#random.below(100));
    this.#outcome.steps[kind]++;
    if (kind === 'batch') await this.#batch();
    else if (kind === 'crash') await this.#crashAndStart();
    else if (kind === 'detach') this.#detach();
    else if (kind === 'attach') await this.#attach();
    else if (kind === 'remember-index') await this.#service.rememberIndex();
    else if (kind === 'remember-disk') this.#rememberDisk();
    else if (kind === 'stale-disk') await this.#restoreStaleDisk();
    else if (kind === 'damage') this.#damage();
    else if (kind === 'heal') await this.#heal();
    else if (kind === 'list') await this.#checkList();
    else this.#service.cluster.clock.jumpWallClock((this.#random.below(3) - 1) * 3_600_000);
  }

  /** Disks that are back are whole again once a scrub and a census say so; then others may be lost. */
  async #heal(): Promise<void> {
    const { cluster, process } = this.#service;
    if (this.#indexes().some((index) => !this.#isAttached(index))) return;
    this.#tell('heal');
    process.scrubber.request();
    let findings: string[] = [];
    for (let tries = 0; tries < HEALING_PATIENCE; tries++) {
      await this.#service.withTime(cluster.clock.advance(5000));
      if (process.scrubber.report().isRunning) continue;
      try {
        const census = await this.#service.census();
        findings = census.findings;
        if (!census.isClean) continue;
      } catch (error) {
        // The index is being rebuilt, or a frame is undecided.
        if (!isStoreError(error)) throw error;
        continue;
      }
      this.#damaged.clear();
      return;
    }
    throw new Error(`it never became clean: ${findings.join('; ')} (${process.scrubber.report().lastError})`);
  }

  /** Everything must be there after a quiet start, on all disks and on any legal subset. */
  async #end(): Promise<void> {
    await this.#checkEverything();
    const absent = this.#indexes().filter((index) => !this.#isAttached(index));
    for (const index of absent) this.#service.cluster.attach([index]);
    this.#tell('end');
    await this.#service.crash('keep-all', 'lost');
    await this.#start();
    await this.#checkEverything();
    await this.#heal();
    await this.#checkWithoutSomeDisks();
    const value = this.#operations.makeValue('last', 100);
    await this.#until('a write after all faults', async () => {
      const answer = await this.#answer('PutObject', putOptions('last', value));
      return typeof answer === 'object' && 'ok' in answer;
    });
    await this.#checkNothingLeaks();
  }

  /** After healing any m disks may go. */
  async #checkWithoutSomeDisks(): Promise<void> {
    const lost = this.#random.shuffle(this.#indexes()).slice(0, this.#code.m);
    this.#tell(`without ${lost.join()}`);
    this.#service.cluster.detach(lost);
    await this.#checkEverything();
    this.#service.cluster.attach(lost);
    await this.#service.withTime(this.#service.cluster.clock.advance(5000));
  }

  /** Once everything is deleted nothing is live, and the collector gives all closed volumes back. */
  async #checkNothingLeaks(): Promise<void> {
    for (const key of [...this.#operations.model.keys(), 'last']) {
      await this.#must('DeleteObject', { bucket: BUCKET, key });
    }
    const headers = { 'x-amz-bypass-governance-retention': 'true' };
    for (const { bucket, model } of this.#versioned) {
      for (const key of model.keys()) {
        for (const { versionId } of model.certain(key)) {
          await this.#must('DeleteObject', { bucket, key, query: { versionId }, headers });
        }
      }
    }
    const uploads = await this.#must('ListMultipartUploads', { bucket: BUCKET });
    const keys = elementsOf(uploads, 'Key');
    for (const [index, uploadId] of elementsOf(uploads, 'UploadId').entries()) {
      await this.#must('AbortMultipartUpload', { bucket: BUCKET, key: keys[index]!, query: { uploadId } });
    }
    const { metadata } = this.#service.process;
    const live = (await metadata.listVolumes()).filter(({ liveBytes }) => liveBytes !== 0);
    if (live.length > 0) throw new Error(`live bytes of nothing: ${JSON.stringify(live)}`);
    await this.#until('giving space back', async () => {
      const volumes = await metadata.listVolumes();
      return volumes.every(({ state }) => state !== 'sealed');
    });
  }

  async #must(name: string, options: CallOptions): Promise<Buffer> {
    let body: Buffer | undefined;
    await this.#until(name, async () => {
      const answer = await this.#answer(name, options);
      if (answer === 'unknown') return false;
      if ('refused' in answer) throw answer.refused;
      body = answer.ok.body;
      return true;
    });
    return body!;
  }

  // ——— operations ———

  /** Some operations on different keys at once, perhaps with a fault in the middle. */
  async #batch(): Promise<void> {
    const operations: Operation[] = [];
    for (let count = 1 + this.#random.below(5); count > 0; count--) {
      const operation = this.#makeOperation();
      if (operation && operations.every((other) => areIndependent(operation, other))) operations.push(operation);
    }
    this.#tell(operations.map(({ name, key }) => `${name}:${key}`).join('+'));
    const answers = operations.map((): Answer => 'unknown');
    const running = operations.map(async ({ name, options }, index) => {
      answers[index] = await this.#answer(name, options);
    });
    const readers = this.#raceReaders(operations);
    const dice = this.#random.below(10);
    const ends = Promise.all([...running, ...readers]);
    if (dice < 2) {
      await this.#turns(this.#random.below(dice === 0 ? 4 : 40));
      const known = [...answers];
      ends.catch(() => undefined);
      await this.#crash();
      this.#judge(operations, known);
      await this.#start();
      return;
    }
    if (dice < 4) {
      await this.#turns(this.#random.below(10));
      this.#detach();
    }
    await this.#service.withTime(ends);
    this.#judge(operations, answers);
  }

  #makeOperation(): Operation | undefined {
    if (this.#locks !== undefined && this.#random.below(3) === 0) return this.#locks.make();
    if (this.#versions !== undefined && this.#random.below(2) === 0) return this.#versions.make();
    return this.#operations.make();
  }

  #judge(operations: readonly Operation[], answers: readonly Answer[]): void {
    if (this.#violations.length > 0) throw new Error(this.#violations.join('; '));
    for (const [index, operation] of operations.entries()) {
      const answer = answers[index]!;
      this.#outcome.operations++;
      this.#outcome.calls[operation.name] = (this.#outcome.calls[operation.name] ?? 0) + 1;
      if (answer === 'unknown') {
        this.#outcome.unknown++;
        this.#tell(`?${operation.key}`);
      }
      operation.judge(answer);
    }
  }

  /** Readers of keys that are being written see the value before or after, whole. */
  #raceReaders(operations: readonly Operation[]): Promise<void>[] {
    return operations
      .filter(({ name, options }) => name === 'PutObject' && options.bucket === BUCKET && this.#random.below(3) === 0)
      .map(async ({ key, options }) => {
        const written = valueOf(options);
        const before = this.#operations.model.candidates(key);
        const answer = await this.#answer('GetObject', { bucket: BUCKET, key });
        if (answer === 'unknown') return;
        const observed = observedOf(answer);
        if (![...before, written].some((value) => matches(value, observed))) {
          this.#violations.push(`${key}: ${describeObserved(observed)} while it was written`);
        }
      });
  }

  // ——— checks ———

  async #checkEverything(): Promise<void> {
    for (const key of this.#operations.model.keys()) {
      await this.#until(`reading ${key}`, async () => {
        const answer = await this.#answer('GetObject', { bucket: BUCKET, key });
        if (answer === 'unknown') return false;
        this.#operations.judgeRead(key, answer);
        return true;
      });
    }
    await this.#checkList();
    for (const upload of this.#operations.uploads) await this.#checkParts(upload);
    for (const versions of this.#versioned) await this.#checkVersions(versions);
  }

  /** Every version is listed in its place, and read as what was written. */
  async #checkVersions(versions: VersionOperations): Promise<void> {
    const status = await this.#must('GetBucketVersioning', { bucket: versions.bucket });
    versions.learnStatus(elementOf(status, 'Status'));
    const judged = (name: string, options: CallOptions, judge: (answer: Exclude<Answer, 'unknown'>) => void) =>
      this.#until(`${name} of ${options.key ?? options.query?.['prefix']}`, async () => {
        const answer = await this.#answer(name, options);
        if (answer !== 'unknown') judge(answer);
        return answer !== 'unknown';
      });
    for (const key of versions.model.keys()) {
      await judged('ListObjectVersions', versions.listOptions(key), (answer) => versions.judgeList(key, answer));
      const ids = versions.model.certain(key).map(({ versionId }) => versionId);
      for (const versionId of [undefined, ...ids]) {
        const options = versions.readOptions(key, versionId);
        await judged('GetObject', options, (answer) => versions.judgeRead(key, versionId, answer));
      }
      if (versions !== this.#locks) continue;
      for (const { versionId, value } of versions.model.certain(key)) {
        if (value === undefined) continue;
        const options = versions.readOptions(key, versionId);
        await judged('GetObjectTagging', options, (answer) => versions.judgeTags(key, value, answer));
      }
    }
  }

  /** A listing names what GET finds, and nothing else. */
  async #checkList(): Promise<void> {
    this.#tell('list');
    await this.#until('a listing', async () => {
      const answer = await this.#answer('ListObjectsV2', { bucket: BUCKET });
      if (answer === 'unknown') return false;
      if ('refused' in answer) throw answer.refused;
      const xml = answer.ok.body;
      const listed = elementsOf(xml, 'Key');
      const etags = elementsOf(xml, 'ETag').map((etag) => etag.replaceAll('&quot;', ''));
      const sizes = elementsOf(xml, 'Size').map(Number);
      for (const key of listed)
        if (!this.#operations.model.keys().includes(key) && key !== 'last') throw new Error(`phantom ${key}`);
      for (const key of this.#operations.model.keys()) {
        const at = listed.indexOf(key);
        const entry = at === -1 ? 'not listed' : `listed with ${sizes[at]} bytes, ${etags[at]}`;
        this.#operations.model.keep(key, entry, (value) => {
          if (at === -1 || !value) return at === -1 && !value;
          return value.etag === etags[at] && value.body.length === sizes[at];
        });
      }
      return true;
    });
  }

  async #checkParts(upload: Upload): Promise<void> {
    const { uploadId, key } = upload;
    await this.#until(`parts of ${uploadId}`, async () => {
      const answer = await this.#answer('ListParts', { bucket: BUCKET, key, query: { uploadId } });
      if (answer === 'unknown') return false;
      if ('refused' in answer) {
        this.#operations.endUpload(upload, answer.refused);
        return true;
      }
      const numbers = elementsOf(answer.ok.body, 'PartNumber').map(Number);
      const etags = elementsOf(answer.ok.body, 'ETag').map((etag) => etag.replaceAll('&quot;', ''));
      for (const [number, body] of upload.parts) {
        if (upload.doubtfulParts.has(number)) continue;
        const etag = etags[numbers.indexOf(number)];
        if (etag !== md5Hex(body)) throw new Error(`part ${number} of ${uploadId} is ${etag}`);
      }
      return true;
    });
  }

  /** What must work with m + 1 disks; time passes between tries. Fewer may leave a write undecided, and reads of it 503. */
  async #until(what: string, attempt: () => Promise<boolean>): Promise<void> {
    // Threads and snapshots take real time, which on a busy machine is more than the simulated one that passes here.
    const endMs = performance.now() + PATIENCE_MS;
    for (let tries = 0; tries < PATIENCE || performance.now() < endMs; tries++) {
      if (await this.#service.withTime(attempt())) return;
      if (tries >= PATIENCE) await new Promise((resolve) => setTimeout(resolve, 20));
      this.#service.cluster.noticeDetached();
      this.#attachQuorum();
      await this.#service.cluster.clock.advance(1000);
    }
    throw new Error(`${what} never succeeded; the last error was ${String(this.#lastUnknown)}`);
  }

  // ——— faults ———

  async #crashAndStart(): Promise<void> {
    await this.#crash();
    await this.#start();
  }

  async #crash(): Promise<void> {
    const mode = this.#random.pick(['random', 'torn', 'drop-all', 'keep-all'] as const);
    const index: IndexFate = this.#random.pick(['kept', 'kept', 'older', 'lost'] as const);
    this.#tell(`crash(${mode},${index})`);
    await this.#service.crash(mode, index);
  }

  /** Also on too few disks to open an epoch: then reads go on and writes wait. */
  async #start(): Promise<void> {
    this.#outcome.starts++;
    await this.#service.start();
  }

  #attachQuorum(): void {
    const absent = this.#indexes().filter((index) => !this.#isAttached(index));
    while (this.#indexes().length - absent.length <= this.#code.m) this.#service.cluster.attach([absent.pop()!]);
  }

  #indexes(): number[] {
    return this.#service.cluster.disks.map((_, index) => index);
  }

  #isAttached(index: number): boolean {
    return this.#service.cluster.disks[index]!.isAttached;
  }

  /** May this disk be taken away or spoiled? Never more than m at a time. */
  #mayLose(index: number): boolean {
    const lost = this.#indexes().filter((each) => each === index || this.#damaged.has(each) || !this.#isAttached(each));
    return lost.length <= this.#code.m;
  }

  #detach(): void {
    const index = this.#random.pick(this.#indexes());
    if (!this.#isAttached(index) || !this.#mayLose(index)) return;
    const isNoticed = this.#random.below(2) === 0;
    this.#service.cluster.detach([index], { isNoticed });
    this.#tell(`-${index}${isNoticed ? '' : '!'}`);
  }

  async #attach(): Promise<void> {
    const absent = this.#indexes().filter((index) => !this.#isAttached(index));
    if (absent.length === 0) return;
    const index = this.#random.pick(absent);
    this.#service.cluster.noticeDetached();
    this.#service.cluster.attach([index]);
    this.#tell(`+${index}`);
    if (this.#random.below(4) === 0) this.#wipe(index);
    if (this.#random.below(2) === 0) await this.#service.cluster.clock.advance(3000);
  }

  /** The disk has come back without its shard files: a lost one, until it is healed. */
  #wipe(index: number): void {
    const disk = this.#service.cluster.disks[index]!;
    for (const path of disk.filePaths().filter((each) => each.startsWith('volumes/'))) {
      disk.unlink(path).catch(() => undefined);
    }
    this.#damaged.add(index);
    this.#tell(`wiped${index}`);
  }

  #rememberDisk(): void {
    const index = this.#random.pick(this.#indexes());
    if (this.#isAttached(index)) this.#images.set(index, this.#service.cluster.disks[index]!.snapshot());
  }

  async #restoreStaleDisk(): Promise<void> {
    const [index] = this.#random.shuffle([...this.#images.keys()]);
    if (index === undefined || !this.#isAttached(index) || !this.#mayLose(index)) return;
    await this.#crash();
    this.#service.cluster.replaceContent(index, this.#images.get(index)!);
    this.#service.cluster.restart();
    this.#damaged.add(index);
    this.#tell(`stale${index}`);
    await this.#start();
  }

  /** Flips a byte of a shard, on a disk that counts as lost from then on. */
  #damage(): void {
    const index = this.#random.pick(this.#indexes());
    if (!this.#isAttached(index) || !this.#mayLose(index)) return;
    const disk = this.#service.cluster.disks[index]!;
    const volumes = disk.filePaths().filter((path) => path.startsWith('volumes/') && disk.peek(path).length > 0);
    if (volumes.length === 0) return;
    this.#damaged.add(index);
    const path = this.#random.pick(volumes);
    disk.corrupt(path, this.#random.below(disk.peek(path).length));
    this.#tell(`flip${index}:${path}`);
  }

  // ——— helpers ———

  #lastUnknown: unknown;

  async #answer(name: string, options: CallOptions): Promise<Answer> {
    try {
      return { ok: await this.#service.call(name, options) };
    } catch (error) {
      if (error instanceof S3Error && error.status < 500) return { refused: error };
      if (!isStoreError(error) && !(error instanceof S3Error)) throw error;
      this.#lastUnknown = error;
      return 'unknown';
    }
  }

  async #turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await settle();
  }

  #tell(what: string): void {
    this.story.push(what);
  }
}
