import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { ABSENT, type Outcome } from './key-history.ts';
import { payloadOf } from './payload.ts';
import type { Random } from './random.ts';
import type { OperationKind, Recorder } from './recorder.ts';

const KEY_COUNT = 6;
/** Beyond this the oldest are deleted by version id. */
const MOST_VERSIONS = 30;
const LARGEST_BYTES = 200_000;

/** A version in the order in which its write began; one write of a key at a time. */
interface Version {
  /** `ABSENT`: a delete marker. */
  readonly writeId: number;
  /** Unknown until the write was answered or a listing has shown it. */
  versionId: string | undefined;
  /** Its write or its removal had no answer: until a listing has decided, it may be there or not. */
  isCertain: boolean;
}

interface Versions {
  readonly name: string;
  list: Version[];
  /** Removed for good: never to be seen again. */
  readonly removed: Set<string>;
  isBusy: boolean;
  /** When an outcome stayed unknown, by `performance.now()`; 0: none. */
  unknownSinceMs: number;
}

export interface VersionedKeysOptions {
  client: () => S3Client;
  /** Versioning is enabled there. */
  bucket: string;
  seed: number;
  random: Random;
  recorder: Recorder;
  attempt: (kind: OperationKind, send: () => Promise<void>) => Promise<{ outcome: Outcome; status: number }>;
  newWrite: (sizeBytes: number) => number;
  sizeOf: (writeId: number) => number;
  /** A request without an answer may be at work in a living server for this long. */
  settleMs: number;
}

/**
 * Versions of a few keys: every acknowledged one reads back by its id, byte for byte, until it is removed; listings show
 * exactly the acknowledged ones in the order of their writes; what was removed never returns.
 */
export class VersionedKeys {
  readonly #options: VersionedKeysOptions;
  readonly #keys: Versions[];

  constructor(options: VersionedKeysOptions) {
    this.#options = options;
    this.#keys = Array.from({ length: KEY_COUNT }, (_, index) => {
      return { name: `versions/${index}`, list: [], removed: new Set(), isBusy: false, unknownSinceMs: 0 };
    });
  }

  /** No request that began before is at work any more. */
  settleBefore(atMs: number): void {
    for (const key of this.#keys) if (key.unknownSinceMs < atMs) key.unknownSinceMs = 0;
  }

  /** One operation on one key. */
  async step(): Promise<void> {
    const { random, settleMs } = this.#options;
    const key = random.pick(this.#keys);
    if (performance.now() - key.unknownSinceMs > settleMs) key.unknownSinceMs = 0;
    const draw = random.next();
    if (draw < 0.5) return await this.#readOne(key);
    if (key.isBusy || key.unknownSinceMs !== 0) return;
    key.isBusy = true;
    try {
      // Nothing is written on top of what is uncertain: a listing decides it first.
      if (draw < 0.58 || key.list.some(({ isCertain }) => !isCertain)) await this.#checkListing(key, false);
      else if (key.list.length > MOST_VERSIONS || draw < 0.68) await this.#remove(key);
      else if (draw < 0.76) await this.#write(key, ABSENT);
      else await this.#write(key, this.#options.newWrite(random.below(LARGEST_BYTES)));
    } finally {
      key.isBusy = false;
    }
  }

  /** Everything listed and read once; only while nothing else is under way. */
  async verifyAll(): Promise<void> {
    for (const key of this.#keys) {
      await this.#checkListing(key, true);
      for (const version of key.list) await this.#read(key, version, true);
    }
  }

  async #write(key: Versions, writeId: number): Promise<void> {
    const { client, bucket: Bucket, seed, sizeOf, attempt, recorder } = this.#options;
    const version: Version = { writeId, versionId: undefined, isCertain: false };
    key.list.push(version);
    const target = { Bucket, Key: key.name };
    const { outcome } = await attempt(writeId === ABSENT ? 'delete' : 'put', async () => {
      const answer =
        writeId === ABSENT
          ? await client().send(new DeleteObjectCommand(target))
          : await client().send(new PutObjectCommand({ ...target, Body: payloadOf(seed, writeId, sizeOf(writeId)) }));
      version.versionId = answer.VersionId;
    });
    if (outcome === 'refused') key.list = key.list.filter((one) => one !== version);
    if (outcome === 'unknown') key.unknownSinceMs = performance.now();
    if (outcome !== 'ok') return;
    version.isCertain = true;
    recorder.acknowledgedWrites++;
    recorder.acknowledgedBytes += sizeOf(writeId);
    if (version.versionId === undefined) recorder.violation(`${key.name}: a write was answered without a version id`);
  }

  async #remove(key: Versions): Promise<void> {
    const { client, bucket: Bucket, random, attempt } = this.#options;
    const known = key.list.filter(({ versionId, isCertain }) => isCertain && versionId !== undefined);
    if (known.length === 0) return;
    const version = random.pick(known);
    version.isCertain = false;
    const { outcome } = await attempt('delete', async () => {
      const target = { Bucket, Key: key.name, VersionId: version.versionId };
      await client().send(new DeleteObjectCommand(target));
    });
    if (outcome === 'refused') version.isCertain = true;
    else if (outcome === 'ok') this.#forget(key, version);
    else key.unknownSinceMs = performance.now();
  }

  #forget(key: Versions, version: Version): void {
    key.list = key.list.filter((one) => one !== version);
    if (version.versionId !== undefined) key.removed.add(version.versionId);
  }

  async #readOne(key: Versions): Promise<void> {
    const { random } = this.#options;
    const readable = key.list.filter(({ versionId, writeId }) => versionId !== undefined && writeId !== ABSENT);
    if (readable.length > 0) await this.#read(key, random.pick(readable), false);
  }

  async #read(key: Versions, version: Version, isDemanded: boolean): Promise<void> {
    const { recorder, seed, sizeOf } = this.#options;
    if (version.writeId === ABSENT || version.versionId === undefined) return;
    const { body, status } = await this.#get(key, version.versionId, isDemanded ? 5 : 1);
    const what = `${key.name} version ${version.versionId}`;
    // It may have been removed while it was read.
    const isExpected = version.isCertain && key.list.includes(version);
    if (body === undefined) {
      if (isExpected && (status === 404 || isDemanded)) recorder.violation(`${what} cannot be read (${status})`);
      return;
    }
    recorder.verifiedReads++;
    const wanted = payloadOf(seed, version.writeId, sizeOf(version.writeId));
    if (!wanted.equals(body)) recorder.violation(`${what}: not the bytes of write ${version.writeId}`);
  }

  async #get(key: Versions, versionId: string, tries: number): Promise<{ body: Buffer | undefined; status: number }> {
    const { client, bucket: Bucket, attempt } = this.#options;
    for (let tried = 1; ; tried++) {
      let body: Buffer | undefined;
      const { status } = await attempt('get', async () => {
        const answer = await client().send(new GetObjectCommand({ Bucket, Key: key.name, VersionId: versionId }));
        body = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
      });
      if (body !== undefined || status === 404 || tried >= tries) return { body, status };
    }
  }

  /** What a listing shows of a key that no write is at work on, it shows from now on. */
  async #checkListing(key: Versions, isDemanded: boolean): Promise<void> {
    const { recorder } = this.#options;
    const shown = await this.#listed(key, isDemanded ? 5 : 1);
    if (shown === undefined) {
      if (isDemanded) recorder.violation(`the versions of ${key.name} cannot be listed with everything back`);
      return;
    }
    for (const { versionId } of shown) {
      if (key.removed.has(versionId)) recorder.violation(`${key.name} version ${versionId} was removed and is back`);
    }
    // The SDK gives versions and delete markers apart, each newest first.
    for (const isMarker of [false, true]) {
      const versionIds = shown.filter((one) => one.isMarker === isMarker).map(({ versionId }) => versionId);
      this.#compare(key, versionIds.toReversed(), isMarker);
    }
    const latest = shown.filter(({ isLatest }) => isLatest).map(({ versionId }) => versionId);
    const last = key.list.at(-1)?.versionId;
    if (latest.join() !== (last ?? '')) {
      recorder.violation(`${key.name}: the latest version is ${latest.join()}, written last was ${last}`);
    }
    // A write without an answer that the listing shows: is it that one?
    for (const version of key.list) if (!version.isCertain) await this.#read(key, version, isDemanded);
    for (const version of key.list) version.isCertain = true;
  }

  /** One kind of a key's versions, oldest first. At most one of them is uncertain; if it was being written, the newest. */
  #compare(key: Versions, versionIds: readonly string[], isMarker: boolean): void {
    let seen = 0;
    for (const version of key.list.filter(({ writeId }) => (writeId === ABSENT) === isMarker)) {
      const versionId = versionIds[seen];
      const isShown = versionId !== undefined && (version.versionId ?? versionId) === versionId;
      if (isShown) {
        version.versionId = versionId;
        seen++;
        continue;
      }
      if (version.isCertain) {
        this.#options.recorder.violation(`${key.name} version ${version.versionId} is not listed where it was written`);
      }
      this.#forget(key, version);
    }
    for (const versionId of versionIds.slice(seen)) {
      this.#options.recorder.violation(`${key.name} shows version ${versionId}, which nobody wrote there`);
    }
  }

  async #listed(
    key: Versions,
    tries: number,
  ): Promise<{ versionId: string; isMarker: boolean; isLatest: boolean }[] | undefined> {
    const { client, bucket: Bucket, attempt } = this.#options;
    for (let tried = 0; tried < tries; tried++) {
      const shown: { versionId: string; isMarker: boolean; isLatest: boolean }[] = [];
      const { outcome } = await attempt('list', async () => {
        const page = await client().send(new ListObjectVersionsCommand({ Bucket, Prefix: key.name }));
        for (const [isMarker, entries] of [
          [false, page.Versions ?? []],
          [true, page.DeleteMarkers ?? []],
        ] as const) {
          for (const { VersionId = '', IsLatest = false } of entries) {
            shown.push({ versionId: VersionId, isMarker, isLatest: IsLatest });
          }
        }
      });
      if (outcome === 'ok') return shown;
    }
    return undefined;
  }
}
