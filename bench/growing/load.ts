import { createCipheriv, createHash } from 'node:crypto';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { SeededRandomness } from '../../test/support/simulated-randomness.ts';

const WORKERS = 4;
const KIB = 1024;
/** Most objects are small, most bytes are in large ones. */
const SIZES = [4 * KIB, 4 * KIB, 20 * KIB, 100 * KIB, 1024 * KIB, 8192 * KIB];

/** A body that only this write can have. */
function bodyOf(identity: string, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(identity).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

interface Known {
  readonly identity: string;
  readonly sizeBytes: number;
}

/** What the clients saw in one phase of the story. */
export interface PhaseFigures {
  readonly writeCount: number;
  readonly writtenBytes: number;
  readonly failedCount: number;
  readonly putP50Ms: number;
  readonly putP99Ms: number;
}

/**
 * Writes, overwrites, deletes and reads back while disks come and go. Each worker has keys of its own, so each knows what must be
 * there; a write that failed is sent again until it is acknowledged.
 */
export class Load {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #liveBytesLimit: number;
  readonly #random: SeededRandomness;
  readonly #expected = new Map<string, Known>();
  readonly violations: string[] = [];
  #liveBytes = 0;
  #isOver = false;
  #latenciesMs: number[] = [];
  #counts = { writeCount: 0, writtenBytes: 0, failedCount: 0 };

  constructor(options: { client: S3Client; bucket: string; liveBytesLimit: number; seed: number }) {
    this.#client = options.client;
    this.#bucket = options.bucket;
    this.#liveBytesLimit = options.liveBytesLimit;
    this.#random = new SeededRandomness(options.seed);
  }

  get liveBytes(): number {
    return this.#liveBytes;
  }

  get objectCount(): number {
    return this.#expected.size;
  }

  async run(): Promise<void> {
    await Promise.all(Array.from({ length: WORKERS }, (_, worker) => this.#work(worker)));
  }

  end(): void {
    this.#isOver = true;
  }

  /** Since the last call. */
  takeFigures(): PhaseFigures {
    const sorted = this.#latenciesMs.toSorted((a, b) => a - b);
    const at = (share: number): number => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
    const figures = { ...this.#counts, putP50Ms: at(0.5), putP99Ms: at(0.99) };
    this.#latenciesMs = [];
    this.#counts = { writeCount: 0, writtenBytes: 0, failedCount: 0 };
    return figures;
  }

  async #work(worker: number): Promise<void> {
    const keys: string[] = [];
    for (let n = 0; !this.#isOver; n++) {
      const isFull = this.#liveBytes > this.#liveBytesLimit;
      const draw = this.#random.fraction();
      const known = keys[this.#random.below(Math.max(1, keys.length))];
      if (known !== undefined && draw < 0.2) await this.#check(known);
      else if (known !== undefined && isFull) await this.#remove(known, keys);
      else if (known !== undefined && draw < 0.3) await this.#put(known, `${known} again ${n}`);
      else {
        const key = `${worker}/${n}`;
        await this.#put(key, key);
        keys.push(key);
      }
    }
  }

  async #put(key: string, identity: string): Promise<void> {
    const sizeBytes = SIZES[this.#random.below(SIZES.length)]! + this.#random.below(1000);
    const Body = bodyOf(identity, sizeBytes);
    const beganAt = performance.now();
    await this.#untilAcknowledged(() =>
      this.#client.send(new PutObjectCommand({ Bucket: this.#bucket, Key: key, Body })),
    );
    this.#latenciesMs.push(performance.now() - beganAt);
    this.#counts.writeCount++;
    this.#counts.writtenBytes += sizeBytes;
    this.#liveBytes += sizeBytes - (this.#expected.get(key)?.sizeBytes ?? 0);
    this.#expected.set(key, { identity, sizeBytes });
  }

  async #remove(key: string, keys: string[]): Promise<void> {
    await this.#untilAcknowledged(() => this.#client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key })));
    this.#liveBytes -= this.#expected.get(key)?.sizeBytes ?? 0;
    this.#expected.delete(key);
    keys.splice(keys.indexOf(key), 1);
  }

  async #untilAcknowledged(send: () => Promise<unknown>): Promise<void> {
    for (let failures = 0; ; failures++) {
      try {
        await send();
        return;
      } catch (error) {
        this.#counts.failedCount++;
        if (failures > 100) throw error;
      }
    }
  }

  async #check(key: string): Promise<void> {
    const { identity, sizeBytes } = this.#expected.get(key)!;
    try {
      const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: this.#bucket, Key: key }));
      const bytes = Buffer.from((await Body?.transformToByteArray()) ?? []);
      if (!bytes.equals(bodyOf(identity, sizeBytes))) this.violations.push(`${key}: wrong bytes`);
    } catch (error) {
      this.violations.push(`${key}: ${String(error)}`);
    }
  }

  /** Every object, and that no others are listed. @returns how many were compared */
  async checkAll(): Promise<number> {
    const keys = [...this.#expected.keys()];
    for (let at = 0; at < keys.length; at += WORKERS) {
      await Promise.all(keys.slice(at, at + WORKERS).map((key) => this.#check(key)));
    }
    let token: string | undefined;
    do {
      const page = { Bucket: this.#bucket, ...(token === undefined ? {} : { ContinuationToken: token }) };
      const { Contents = [], NextContinuationToken } = await this.#client.send(new ListObjectsV2Command(page));
      for (const { Key = '' } of Contents) {
        if (!this.#expected.has(Key)) this.violations.push(`${Key}: listed, but it was deleted or never written`);
      }
      token = NextContinuationToken;
    } while (token !== undefined);
    return keys.length;
  }
}
