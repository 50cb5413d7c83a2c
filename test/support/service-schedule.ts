import { S3Error } from '../../src/errors/s3-error.ts';
import { isStoreError } from '../../src/errors/store-error.ts';
import type { SimulatedDiskImage } from '../../src/disk/simulated-disk-fs.ts';
import type { ErasureCode } from '../../src/model/erasure-code.ts';
import { ALICE } from './metadata-fixtures.ts';
import { payloadOf } from './payload.ts';
import { elementOf, elementsOf, type CallOptions, type CallResult } from './service-fixture.ts';
import {
  md5Hex,
  multipartEtagOf,
  ServiceModel,
  type Observed,
  type ObjectValue,
  matches,
  describeObserved,
} from './service-model.ts';
import { settle } from './simulated-clock.ts';
import type { SeededRandomness } from './simulated-randomness.ts';
import { SimulatedService, type IndexFate } from './simulated-service.ts';

const BUCKET = 'bucket';
const KEY_COUNT = 14;
const PART_MINIMUM_BYTES = 5 * 1024 * 1024;
/** Biased to what is written in different ways: empty, shared stripes, the limit of small blobs, several stripes. */
const SIZES = [0, 1, 100, 4095, 4096, 4097, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 70_000, 300_000];
/** How often something is tried again that must work once faults are over. */
const PATIENCE = 40;

export interface ServiceScheduleOptions {
  seed: number;
  code: ErasureCode;
  steps: number;
}

export interface ServiceScheduleOutcome {
  operations: number;
  unknown: number;
  starts: number;
}

/**
 * Drives the whole service through one random schedule on simulated disks: puts, reads, copies, deletes, multipart
 * uploads, lists, with power cuts, kills, lost and old indexes, disks that go and come back, stale disks and damage, never
 * more than m disks at a time; and checks every answer against the model.
 *
 * @throws Error with the seed and the story when an invariant is broken
 */
export async function runServiceSchedule(options: ServiceScheduleOptions): Promise<ServiceScheduleOutcome> {
  const service = await SimulatedService.format(options);
  const schedule = new ServiceSchedule(service, options.code);
  try {
    return await schedule.run(options.steps);
  } catch (error) {
    const { k, m } = options.code;
    throw new Error(`seed ${options.seed} (${k}+${m}): ${String(error)}\n${schedule.story.join(' ')}`, {
      cause: error,
    });
  } finally {
    await service.destroy();
  }
}

/** How a call ended: as the client knows it. `unknown`: 5xx, or the process died. */
type Answer = { ok: CallResult } | { refused: S3Error } | 'unknown';

interface Upload {
  readonly uploadId: string;
  readonly key: string;
  readonly note: string;
  /** Acknowledged parts; the client knows these ETags. */
  readonly parts: Map<number, Buffer>;
  /** Part numbers whose last upload had no answer. */
  readonly doubtfulParts: Set<number>;
  /** A Complete or Abort had no answer. */
  isDoubtful: boolean;
}

/** One call that runs beside others: which key it writes, how it is sent, what its answer means. */
interface Operation {
  key: string;
  /** A key, or an upload, that must not be written in the same batch. */
  source?: string;
  name: string;
  options: CallOptions;
  /** Called once the batch is over. */
  judge(answer: Answer): void;
}

class ServiceSchedule {
  readonly story: string[] = [];
  readonly #service: SimulatedService;
  readonly #random: SeededRandomness;
  readonly #code: ErasureCode;
  readonly #model = new ServiceModel();
  readonly #uploads = new Set<Upload>();
  readonly #images = new Map<number, SimulatedDiskImage>();
  /** Disks whose content went back in time or was damaged: as good as lost until something heals them. */
  readonly #damaged = new Set<number>();
  /** Seen by readers whose batch did not end. */
  readonly #violations: string[] = [];
  #writes = 0;
  readonly #outcome: ServiceScheduleOutcome = { operations: 0, unknown: 0, starts: 0 };

  constructor(service: SimulatedService, code: ErasureCode) {
    this.#service = service;
    this.#random = service.cluster.random;
    this.#code = code;
  }

  async run(steps: number): Promise<ServiceScheduleOutcome> {
    await this.#start();
    const { buckets } = this.#service.process.services;
    await this.#service.withTime(buckets.createBucket({ name: BUCKET, owner: ALICE, locationConstraint: undefined }));
    for (let step = 0; step < steps; step++) await this.#step();
    await this.#end();
    return this.#outcome;
  }

  async #step(): Promise<void> {
    const dice = this.#random.below(100);
    if (dice < 62) await this.#batch();
    else if (dice < 68) await this.#crashAndStart();
    else if (dice < 76) this.#detach();
    else if (dice < 85) await this.#attach();
    else if (dice < 88) await this.#service.rememberIndex();
    else if (dice < 90) this.#rememberDisk();
    else if (dice < 92) await this.#restoreStaleDisk();
    else if (dice < 94) this.#damage();
    else if (dice < 97) await this.#checkList();
    else this.#service.cluster.clock.jumpWallClock((this.#random.below(3) - 1) * 3_600_000);
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
    const value = this.#makeValue('last', 100);
    await this.#until('a write after all faults', async () => {
      const answer = await this.#answer('PutObject', putOptions('last', value));
      return typeof answer === 'object' && 'ok' in answer;
    });
    await this.#checkNothingLeaks();
  }

  /** Once everything is deleted nothing is live, and the collector gives all closed volumes back. */
  async #checkNothingLeaks(): Promise<void> {
    for (const key of [...this.#model.keys(), 'last']) {
      await this.#must('DeleteObject', { bucket: BUCKET, key });
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

  #judge(operations: readonly Operation[], answers: readonly Answer[]): void {
    if (this.#violations.length > 0) throw new Error(this.#violations.join('; '));
    for (const [index, operation] of operations.entries()) {
      const answer = answers[index]!;
      this.#outcome.operations++;
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
      .filter(({ name }) => name === 'PutObject' && this.#random.below(3) === 0)
      .map(async ({ key, options }) => {
        const written = valueOf(options);
        const before = this.#model.candidates(key);
        const answer = await this.#answer('GetObject', { bucket: BUCKET, key });
        if (answer === 'unknown') return;
        const observed = observedOf(answer);
        if (![...before, written].some((value) => matches(value, observed))) {
          this.#violations.push(`${key}: ${describeObserved(observed)} while it was written`);
        }
      });
  }

  #makeOperation(): Operation | undefined {
    const key = `key/${this.#random.below(KEY_COUNT)}`;
    const dice = this.#random.below(100);
    if (dice < 40) return this.#put(key);
    if (dice < 60) return this.#read(key);
    if (dice < 70) return this.#delete(key);
    if (dice < 80) return this.#copy(key);
    if (dice < 84) return this.#createUpload(key);
    if (dice < 92) return this.#uploadPart();
    if (dice < 98) return this.#complete();
    return this.#abort();
  }

  #put(key: string): Operation {
    const value = this.#makeValue(key, this.#random.pick(SIZES));
    const onlyNew = this.#random.below(6) === 0;
    const certain = this.#model.certain(key);
    const ifMatch = !onlyNew && certain && this.#random.below(6) === 0 ? certain.etag : undefined;
    const options = putOptions(key, value);
    if (onlyNew) options.headers = { ...options.headers, 'if-none-match': '*' };
    if (ifMatch) options.headers = { ...options.headers, 'if-match': `"${ifMatch}"` };
    return {
      key,
      name: 'PutObject',
      options,
      judge: (answer) => {
        if (answer === 'unknown') return this.#model.doubt(key, value);
        if ('ok' in answer) {
          if (onlyNew) this.#model.keep(key, 'If-None-Match: * succeeded', (before) => !before);
          return this.#model.acknowledge(key, value);
        }
        if (!onlyNew || answer.refused.code !== 'PreconditionFailed') throw answer.refused;
        this.#model.keep(key, 'If-None-Match: * failed', (before) => before !== undefined);
      },
    };
  }

  #read(key: string): Operation {
    const options: CallOptions = { bucket: BUCKET, key };
    if (this.#random.below(2) === 0) {
      const start = this.#random.below(20_000);
      options.headers = { range: `bytes=${start}-${start + this.#random.below(80_000)}` };
    }
    return {
      key,
      name: 'GetObject',
      options,
      judge: (answer) => {
        if (answer !== 'unknown') this.#judgeRead(key, answer, options.headers?.['range']);
      },
    };
  }

  #judgeRead(key: string, answer: Exclude<Answer, 'unknown'>, range?: string): void {
    if ('refused' in answer && answer.refused.code === 'InvalidRange') {
      const start = Number(/=(\d+)/.exec(range ?? '')?.[1]);
      this.#model.keep(key, `range at ${start} refused`, (value) => value !== undefined && value.body.length <= start);
      return;
    }
    this.#model.observe(key, observedOf(answer));
  }

  #delete(key: string): Operation {
    return {
      key,
      name: 'DeleteObject',
      options: { bucket: BUCKET, key },
      judge: (answer) => {
        if (answer === 'unknown') return this.#model.doubt(key, undefined);
        if ('refused' in answer) throw answer.refused;
        this.#model.acknowledge(key, undefined);
      },
    };
  }

  /** Of a key whose value is known. Its bytes stay where they are. */
  #copy(key: string): Operation | undefined {
    const sources = this.#model.keys().filter((each) => each !== key && this.#model.certain(each));
    if (sources.length === 0) return undefined;
    const source = this.#random.pick(sources);
    const value = this.#model.certain(source)!;
    return {
      key,
      source,
      name: 'CopyObject',
      options: {
        bucket: BUCKET,
        key,
        headers: { 'x-amz-copy-source': `${BUCKET}/${source}`, 'x-amz-copy-source-if-match': value.etag },
      },
      judge: (answer) => {
        const copied = { ...value };
        if (answer === 'unknown') return this.#model.doubt(key, copied);
        if ('refused' in answer) throw answer.refused;
        this.#model.acknowledge(key, copied);
      },
    };
  }

  #createUpload(key: string): Operation {
    const note = `u${++this.#writes}`;
    return {
      key: `create/${note}`,
      name: 'CreateMultipartUpload',
      options: { bucket: BUCKET, key, headers: { 'x-amz-meta-note': note } },
      judge: (answer) => {
        if (answer === 'unknown') return;
        if ('refused' in answer) throw answer.refused;
        this.#uploads.add({
          uploadId: elementOf(answer.ok.body, 'UploadId')!,
          key,
          note,
          parts: new Map(),
          doubtfulParts: new Set(),
          isDoubtful: false,
        });
      },
    };
  }

  #uploadPart(): Operation | undefined {
    const upload = this.#pickUpload();
    if (!upload) return undefined;
    const isLarge = this.#random.below(12) === 0;
    const partNumber = isLarge ? 1 : 1 + this.#random.below(3);
    const sizeBytes = isLarge ? PART_MINIMUM_BYTES : this.#random.pick(SIZES);
    const body = payloadOf(`part-${++this.#writes}`, sizeBytes);
    return {
      key: `upload/${upload.uploadId}`,
      name: 'UploadPart',
      options: {
        bucket: BUCKET,
        key: upload.key,
        query: { uploadId: upload.uploadId, partNumber: String(partNumber) },
        body,
      },
      judge: (answer) => {
        if (answer === 'unknown') return void upload.doubtfulParts.add(partNumber);
        if ('refused' in answer) return this.#endUpload(upload, answer.refused);
        upload.parts.set(partNumber, body);
        upload.doubtfulParts.delete(partNumber);
      },
    };
  }

  #complete(): Operation | undefined {
    const upload = this.#pickUpload((each) => each.parts.size > 0);
    if (!upload) return undefined;
    const numbers = [...upload.parts.keys()].toSorted((a, b) => a - b);
    // Only a last part may be small.
    const listed = numbers.filter(
      (number) => number === numbers.at(-1) || upload.parts.get(number)!.length >= PART_MINIMUM_BYTES,
    );
    const bodies = listed.map((number) => upload.parts.get(number)!);
    const value: ObjectValue = {
      body: Buffer.concat(bodies),
      etag: multipartEtagOf(bodies),
      note: upload.note,
    };
    const parts = listed.map(
      (number, index) => `<Part><PartNumber>${number}</PartNumber><ETag>"${md5Hex(bodies[index]!)}"</ETag></Part>`,
    );
    const { key } = upload;
    return {
      key,
      source: `upload/${upload.uploadId}`,
      name: 'CompleteMultipartUpload',
      options: {
        bucket: BUCKET,
        key,
        query: { uploadId: upload.uploadId },
        body: `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`,
      },
      judge: (answer) => {
        if (answer === 'unknown') {
          upload.isDoubtful = true;
          return this.#model.doubt(key, value);
        }
        if ('refused' in answer) {
          const isExplained = answer.refused.code === 'InvalidPart' && listed.some((n) => upload.doubtfulParts.has(n));
          if (isExplained) return void upload.parts.clear();
          return this.#endUpload(upload, answer.refused);
        }
        this.#uploads.delete(upload);
        // An earlier try without an answer may have been the one: then later writes stay.
        if (upload.isDoubtful) this.#model.doubt(key, value);
        else this.#model.acknowledge(key, value);
      },
    };
  }

  #abort(): Operation | undefined {
    const upload = this.#pickUpload();
    if (!upload) return undefined;
    return {
      key: `upload/${upload.uploadId}`,
      name: 'AbortMultipartUpload',
      options: { bucket: BUCKET, key: upload.key, query: { uploadId: upload.uploadId } },
      judge: (answer) => {
        if (answer === 'unknown') upload.isDoubtful = true;
        else if ('refused' in answer) this.#endUpload(upload, answer.refused);
        else this.#uploads.delete(upload);
      },
    };
  }

  /** An upload that may have been ended before may be gone; any other must be there. */
  #endUpload(upload: Upload, refused: S3Error): void {
    if (refused.code !== 'NoSuchUpload' || !upload.isDoubtful) throw refused;
    this.#uploads.delete(upload);
  }

  #pickUpload(isWanted: (upload: Upload) => boolean = () => true): Upload | undefined {
    const wanted = [...this.#uploads].filter(isWanted);
    return wanted.length > 0 ? this.#random.pick(wanted) : undefined;
  }

  // ——— checks ———

  async #checkEverything(): Promise<void> {
    for (const key of this.#model.keys()) {
      await this.#until(`reading ${key}`, async () => {
        const answer = await this.#answer('GetObject', { bucket: BUCKET, key });
        if (answer === 'unknown') return false;
        this.#judgeRead(key, answer);
        return true;
      });
    }
    await this.#checkList();
    for (const upload of this.#uploads) await this.#checkParts(upload);
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
        if (!this.#model.keys().includes(key) && key !== 'last') throw new Error(`phantom ${key}`);
      for (const key of this.#model.keys()) {
        const at = listed.indexOf(key);
        const entry = at === -1 ? 'not listed' : `listed with ${sizes[at]} bytes, ${etags[at]}`;
        this.#model.keep(key, entry, (value) => {
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
        this.#endUpload(upload, answer.refused);
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
    for (let tries = 0; tries < PATIENCE; tries++) {
      if (await this.#service.withTime(attempt())) return;
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

  /** With at least m + 1 disks, so that an epoch can be opened. */
  async #start(): Promise<void> {
    this.#outcome.starts++;
    this.#attachQuorum();
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
    if (this.#random.below(2) === 0) await this.#service.cluster.clock.advance(3000);
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

  #makeValue(key: string, sizeBytes: number): ObjectValue {
    const note = `${key}@${++this.#writes}`;
    const body = payloadOf(note, sizeBytes);
    return { body, etag: md5Hex(body), note };
  }

  async #turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await settle();
  }

  #tell(what: string): void {
    this.story.push(what);
  }
}

/** Neither writes what the other writes or copies from. */
function areIndependent(one: Operation, other: Operation): boolean {
  return one.key !== other.key && one.source !== other.key && one.key !== other.source;
}

function putOptions(key: string, value: ObjectValue): CallOptions {
  return { bucket: BUCKET, key, body: value.body, headers: { 'x-amz-meta-note': value.note } };
}

function valueOf({ body, headers }: CallOptions): ObjectValue {
  const bytes = body as Buffer;
  return { body: bytes, etag: md5Hex(bytes), note: headers!['x-amz-meta-note']! };
}

function observedOf(answer: Exclude<Answer, 'unknown'>): Observed | undefined {
  if ('refused' in answer) {
    if (answer.refused.code === 'NoSuchKey') return undefined;
    throw answer.refused;
  }
  const { headers, body } = answer.ok;
  const start = Number(/bytes (\d+)-/.exec(String(headers['content-range'] ?? ''))?.[1] ?? 0);
  const totalBytes = Number(/\/(\d+)$/.exec(String(headers['content-range'] ?? ''))?.[1] ?? body.length);
  if (Number(headers['content-length']) !== body.length) {
    throw new Error(`${body.length} bytes of ${String(headers['content-length'])}: a short body that ended well`);
  }
  return {
    bytes: body,
    start,
    etag: String(headers['etag']).slice(1, -1),
    totalBytes,
    note: String(headers['x-amz-meta-note']),
  };
}
