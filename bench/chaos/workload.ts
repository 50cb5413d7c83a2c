import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { ABSENT, KeyHistory, type Outcome } from './key-history.ts';
import { claimedWrite, payloadOf } from './payload.ts';
import type { Random } from './random.ts';
import type { OperationKind, Recorder } from './recorder.ts';
import { VersionedKeys } from './versioned-keys.ts';

const PART_BYTES = 5 * 1024 * 1024;
/** A request whose outcome is unknown may be at work in a living server for this long. */
const SETTLE_MS = 40_000;
/** So much of the work is on versions. */
const VERSIONS_SHARE = 0.15;

interface TrackedKey {
  name: string;
  history: KeyHistory;
  /** When an operation ended with an unknown outcome that has not settled, by `performance.now()`; 0: none. */
  unknownSinceMs: number;
}

export interface WorkloadOptions {
  client: () => S3Client;
  bucket: string;
  seed: number;
  random: Random;
  recorder: Recorder;
  keyCount: number;
  workerCount: number;
  /** Bodies are not larger. Multipart uploads are made only where two parts fit. */
  largestBodyBytes: number;
  /** A bucket with versioning enabled, for versions of a few keys; undefined: none. */
  versionedBucket?: string;
}

/**
 * Mixed work of AWS SDK clients on a set of keys, with a history of every key. `pause` waits until nothing is under way.
 * Bodies name the write they come from, so each read tells which write it saw and whether a byte of it is wrong.
 */
export class Workload {
  readonly #options: WorkloadOptions;
  readonly #keys: TrackedKey[];
  /** Size of each write, by id; id 0 is the absent object. */
  readonly #sizes: number[] = [0];
  readonly #versions: VersionedKeys | undefined;
  #isRunning = false;
  #workers: Promise<void>[] = [];

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#keys = Array.from({ length: options.keyCount }, (_, index) => ({
      name: index % 3 === 0 ? `k${index}` : `dir${index % 17}/sub/k${index}`,
      history: new KeyHistory(),
      unknownSinceMs: 0,
    }));
    const { client, seed, random, recorder, versionedBucket } = options;
    if (versionedBucket === undefined) return;
    this.#versions = new VersionedKeys({
      client,
      bucket: versionedBucket,
      seed,
      random: random.fork(),
      recorder,
      attempt: (kind, send) => this.#attempt(kind, send),
      newWrite: (sizeBytes) => this.#newWrite(sizeBytes),
      sizeOf: (writeId) => this.#sizes[writeId] ?? 0,
      settleMs: SETTLE_MS,
    });
  }

  resume(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#workers = Array.from({ length: this.#options.workerCount }, () => this.#work());
  }

  async pause(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#workers);
  }

  /** A new process has begun: no request of before is at work any more. */
  settleBefore(atMs: number): void {
    for (const key of this.#keys) this.#settleIf(key, key.unknownSinceMs < atMs);
    this.#versions?.settleBefore(atMs);
  }

  #settleIf(key: TrackedKey, isOver: boolean): void {
    if (key.unknownSinceMs === 0 || !isOver) return;
    key.unknownSinceMs = 0;
    key.history.settle();
  }

  /** Reads and lists everything once; only while paused. Errors are violations here. */
  async verifyAll(): Promise<void> {
    const { recorder } = this.#options;
    const pending = [...this.#keys];
    const present = new Set<string>();
    const uncertain = new Set<string>();
    const check = async (): Promise<void> => {
      for (let key = pending.pop(); key !== undefined; key = pending.pop()) {
        const seen = await this.#readWhole(key, true);
        if (seen === undefined) recorder.violation(`${key.name} cannot be read with everything back`);
        else if (seen !== ABSENT) present.add(key.name);
        if (key.history.certain === undefined) uncertain.add(key.name);
      }
    };
    await Promise.all(Array.from({ length: this.#options.workerCount }, check));
    await this.#versions?.verifyAll();
    const listed = await this.#listAll();
    for (const name of present) if (!listed.has(name)) recorder.violation(`${name} reads back but is not listed`);
    for (const name of listed) {
      if (!present.has(name) && !uncertain.has(name)) recorder.violation(`${name} is listed but does not exist`);
    }
  }

  async #work(): Promise<void> {
    while (this.#isRunning) {
      const { random } = this.#options;
      if (this.#versions !== undefined && random.next() < VERSIONS_SHARE) {
        await this.#versions.step();
        continue;
      }
      const key = random.pick(this.#keys);
      this.#settleIf(key, performance.now() - key.unknownSinceMs > SETTLE_MS);
      const draw = random.next();
      if (draw < 0.4 && !key.history.isBusy) await this.#write(key);
      else if (draw < 0.75) await this.#readWhole(key, false);
      else if (draw < 0.85) await this.#readRange(key);
      else if (draw < 0.97) await this.#head(key);
      else await this.#attempt('list', async () => void (await this.#listPage(undefined)));
    }
  }

  async #write(key: TrackedKey): Promise<void> {
    const { random } = this.#options;
    const draw = random.next();
    if (draw < 0.2) return await this.#delete(key);
    if (draw < 0.3) return await this.#copy(key);
    if (draw < 0.33 && this.#options.largestBodyBytes > 2 * PART_BYTES) return await this.#multipart(key);
    const sizeBytes = Math.min(pickSize(random), this.#options.largestBodyBytes);
    const writeId = this.#newWrite(sizeBytes);
    const { client, bucket: Bucket, seed } = this.#options;
    await this.#mutate('put', key, writeId, async () => {
      await client().send(new PutObjectCommand({ Bucket, Key: key.name, Body: payloadOf(seed, writeId, sizeBytes) }));
    });
  }

  async #delete(key: TrackedKey): Promise<void> {
    const { client, bucket: Bucket } = this.#options;
    await this.#mutate('delete', key, ABSENT, async () => {
      await client().send(new DeleteObjectCommand({ Bucket, Key: key.name }));
    });
  }

  /** From a key whose value is certain; it is held busy meanwhile so that it stays so. */
  async #copy(target: TrackedKey): Promise<void> {
    const { client, bucket: Bucket, random } = this.#options;
    const source = random.pick(this.#keys);
    const value = source.history.certain ?? ABSENT;
    if (source === target || source.history.isBusy || value === ABSENT) return;
    source.history.beginWrite(value);
    try {
      await this.#mutate('copy', target, value, async () => {
        const CopySource = `${Bucket}/${encodeURIComponent(source.name)}`;
        await client().send(new CopyObjectCommand({ Bucket, Key: target.name, CopySource }));
      });
    } finally {
      source.history.endWrite('refused');
    }
  }

  async #multipart(key: TrackedKey): Promise<void> {
    const { client, bucket: Bucket, random, seed } = this.#options;
    const sizeBytes = PART_BYTES + 1 + random.below(PART_BYTES);
    const writeId = this.#newWrite(sizeBytes);
    const body = payloadOf(seed, writeId, sizeBytes);
    await this.#mutate('multipart', key, writeId, async () => {
      const target = { Bucket, Key: key.name };
      const { UploadId } = await client().send(new CreateMultipartUploadCommand(target));
      const Parts = [];
      for (let at = 0, PartNumber = 1; at < sizeBytes; at += PART_BYTES, PartNumber++) {
        const Body = body.subarray(at, at + PART_BYTES);
        const { ETag } = await client().send(new UploadPartCommand({ ...target, UploadId, PartNumber, Body }));
        Parts.push({ ETag, PartNumber });
      }
      await client().send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }));
    });
  }

  async #mutate(kind: OperationKind, key: TrackedKey, value: number, send: () => Promise<void>): Promise<void> {
    key.history.beginWrite(value);
    const { outcome } = await this.#attempt(kind, send);
    key.history.endWrite(outcome);
    if (outcome === 'unknown') key.unknownSinceMs = performance.now();
    if (outcome !== 'ok') return;
    this.#options.recorder.acknowledgedWrites++;
    this.#options.recorder.acknowledgedBytes += this.#sizes[value] ?? 0;
  }

  /** @returns the write it saw; undefined when there was no answer. */
  async #readWhole(key: TrackedKey, isRetried: boolean): Promise<number | undefined> {
    const { client, bucket: Bucket } = this.#options;
    for (let attempt = 0; ; attempt++) {
      const read = key.history.beginRead();
      let body: Buffer | undefined;
      const { status } = await this.#attempt('get', async () => {
        const answer = await client().send(new GetObjectCommand({ Bucket, Key: key.name }));
        body = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
      });
      if (body === undefined && status !== 404) {
        if (isRetried && attempt < 5) continue;
        return undefined;
      }
      const seen = body === undefined ? ABSENT : this.#identify(key, body, read.allowed);
      if (seen !== undefined && !key.history.endRead(read, seen)) {
        this.#options.recorder.violation(
          `${key.name} showed ${describe(seen)}; allowed were ${read.allowed.map(describe).join(', ')}`,
        );
      }
      this.#options.recorder.verifiedReads++;
      return seen ?? ABSENT;
    }
  }

  /** Which write a body is; a body that is no write, or a wrong byte, is a violation. */
  #identify(key: TrackedKey, body: Buffer, allowed: readonly number[]): number | undefined {
    const { seed, recorder } = this.#options;
    const claimed = claimedWrite(seed, body);
    const possible = claimed === undefined ? [...allowed, ...key.history.begunSince(0)] : [claimed];
    for (const writeId of possible) {
      const size = this.#sizes[writeId];
      if (writeId !== ABSENT && size === body.length && payloadOf(seed, writeId, size).equals(body)) return writeId;
    }
    recorder.violation(`${key.name}: ${body.length} bytes that no write has (it claims ${claimed ?? 'nothing'})`);
    return undefined;
  }

  async #readRange(key: TrackedKey): Promise<void> {
    const { client, bucket: Bucket, random, recorder, seed } = this.#options;
    const read = key.history.beginRead();
    const value = random.pick(read.allowed);
    const size = this.#sizes[value] ?? 0;
    if (size === 0) return;
    const start = random.below(size);
    const end = Math.min(size - 1, start + random.below(200_000));
    let body: Buffer | undefined;
    await this.#attempt('range', async () => {
      const answer = await client().send(
        new GetObjectCommand({ Bucket, Key: key.name, Range: `bytes=${start}-${end}` }),
      );
      body = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
    });
    if (body === undefined) return;
    const got = body;
    const possible = [...read.allowed, ...key.history.begunSince(read.revision)];
    const isRight = possible.some(
      (writeId) =>
        writeId !== ABSENT &&
        payloadOf(seed, writeId, this.#sizes[writeId] ?? 0)
          .subarray(start, end + 1)
          .equals(got),
    );
    if (isRight) recorder.verifiedReads++;
    else recorder.violation(`${key.name} bytes ${start}-${end}: wrong bytes`);
  }

  async #head(key: TrackedKey): Promise<void> {
    const { client, bucket: Bucket, recorder } = this.#options;
    const read = key.history.beginRead();
    let size: number | undefined;
    const { status } = await this.#attempt('head', async () => {
      size = (await client().send(new HeadObjectCommand({ Bucket, Key: key.name }))).ContentLength;
    });
    if (size === undefined && status !== 404) return;
    const isLegal = [...read.allowed, ...key.history.begunSince(read.revision)].some((writeId) =>
      size === undefined ? writeId === ABSENT : writeId !== ABSENT && this.#sizes[writeId] === size,
    );
    if (!isLegal) recorder.violation(`${key.name}: HEAD says ${size ?? 'absent'}`);
  }

  async #listAll(): Promise<Set<string>> {
    const names = new Set<string>();
    let token: string | undefined;
    do {
      const page = await this.#listPage(token);
      for (const name of page.names) names.add(name);
      token = page.next;
    } while (token !== undefined);
    return names;
  }

  async #listPage(token: string | undefined): Promise<{ names: string[]; next: string | undefined }> {
    const { client, bucket: Bucket } = this.#options;
    const page = await client().send(
      new ListObjectsV2Command({ Bucket, ...(token === undefined ? {} : { ContinuationToken: token }) }),
    );
    return { names: (page.Contents ?? []).flatMap(({ Key }) => Key ?? []), next: page.NextContinuationToken };
  }

  /** 404 of a read is an answer; other 4xx refuse; everything else leaves the outcome unknown. */
  async #attempt(kind: OperationKind, send: () => Promise<void>): Promise<Answer> {
    const { recorder } = this.#options;
    const isCounted = recorder.isCounting;
    const beganMs = recorder.nowMs();
    let outcome: Outcome = 'ok';
    let status = 200;
    try {
      await send();
    } catch (error) {
      const { name, code, $metadata } = error as SdkError;
      status = $metadata?.httpStatusCode ?? 0;
      // Nobody listened: the request never reached a server.
      outcome = (status >= 400 && status < 500) || code === 'ECONNREFUSED' ? 'refused' : 'unknown';
      const isAbsence = status === 404 && (kind === 'get' || kind === 'head' || kind === 'range' || kind === 'copy');
      if (!isAbsence && status !== 416) {
        const label = `${kind} ${status === 0 ? (code ?? '') : status} ${name ?? 'error'}`;
        recorder.errorCodes.set(label, (recorder.errorCodes.get(label) ?? 0) + 1);
      }
      if (outcome === 'unknown' && this.#isRunning) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    recorder.operation(kind, beganMs, outcome, isCounted);
    return { outcome, status };
  }

  #newWrite(sizeBytes: number): number {
    this.#sizes.push(sizeBytes);
    return this.#sizes.length - 1;
  }
}

function describe(value: number): string {
  return value === ABSENT ? 'absent' : `write ${value}`;
}

/** `status` 0: nobody answered. */
interface Answer {
  outcome: Outcome;
  status: number;
}

interface SdkError {
  name?: string;
  code?: string;
  $metadata?: { httpStatusCode?: number };
}

/** Biased to the borders of the small path, of shards and stripes. */
function pickSize(random: Random): number {
  const draw = random.next();
  if (draw < 0.5) return random.pick([0, 1, 15, 16, 17, 511, 4095, 4096, 4097, 65_536]);
  if (draw < 0.8) return random.below(131_072);
  if (draw < 0.9) return random.pick([131_071, 131_072, 131_073, 262_144, 1_048_575, 1_048_576, 1_048_577]);
  return random.below(4 * 1024 * 1024);
}
