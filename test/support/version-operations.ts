import { createHash } from 'node:crypto';
import { S3Error } from '../../src/errors/s3-error.ts';
import { payloadOf } from './payload.ts';
import type { CallOptions, CallResult } from './service-fixture.ts';
import { matches, md5Hex, type ObjectValue } from './service-model.ts';
import { observedOf, type Answer, type Operation } from './service-operations.ts';
import type { SeededRandomness } from './simulated-randomness.ts';
import { type KnownVersion, VersionModel, withoutVersion, withVersion, type ListedEntry } from './version-model.ts';

export const VERSIONED_BUCKET = 'versioned';
/** Has Object Lock. */
export const LOCKED_BUCKET = 'locked';
/** Behind every clock that a schedule shows. */
const RETAINED_UNTIL = '2099-01-01T00:00:00Z';
/** No key is the beginning of another. */
const KEYS = ['v/a', 'v/b', 'v/c', 'v/d'];
/** None is empty: bytes tell which write it was. */
const SIZES = [100, 4096, 16 * 1024 + 1, 70_000];
/** More histories than this are sorted out by a listing before more is written. */
const DOUBT_LIMIT = 8;
type Status = 'Enabled' | 'Suspended';

/**
 * Makes random operations on a bucket whose versioning is enabled and suspended meanwhile, and judges their answers. In
 * the bucket with Object Lock versioning stays enabled; versions there have tags, some are encrypted, and some are locked.
 */
export class VersionOperations {
  readonly bucket: string;
  readonly model = new VersionModel();
  readonly #random: SeededRandomness;
  /** What the bucket may be set to. */
  #statuses: readonly Status[] = ['Enabled'];
  #writes = 0;

  constructor(random: SeededRandomness, bucket: typeof VERSIONED_BUCKET | typeof LOCKED_BUCKET = VERSIONED_BUCKET) {
    this.#random = random;
    this.bucket = bucket;
  }

  get #hasLock(): boolean {
    return this.bucket === LOCKED_BUCKET;
  }

  make(): Operation {
    const key = this.#random.pick(KEYS);
    const dice = this.#random.below(100);
    if (this.model.candidates(key).length > DOUBT_LIMIT || dice < 12) return this.#list(key);
    if (dice < 45) return this.#put(key);
    if (dice < 60) return this.#read(key);
    if (dice < 75) return this.#delete(key);
    if (dice < 88) return this.#deleteVersion(key) ?? this.#put(key);
    if (dice < 94) return this.#copyBack(key) ?? this.#put(key);
    if (this.#hasLock) return this.#readTags(key) ?? this.#put(key);
    return this.#setVersioning(this.#random.pick(['Enabled', 'Suspended'] as const));
  }

  listOptions(key: string): CallOptions {
    return { bucket: this.bucket, query: { prefix: key } };
  }

  judgeList(key: string, answer: Exclude<Answer, 'unknown'>): void {
    if ('refused' in answer) throw answer.refused;
    this.model.observe(key, listedIn(answer.ok.body.toString()));
  }

  readOptions(key: string, versionId?: string): CallOptions {
    return { bucket: this.bucket, key, query: versionId === undefined ? {} : { versionId } };
  }

  /** The current version, or the one that was named. */
  judgeRead(key: string, versionId: string | undefined, answer: Exclude<Answer, 'unknown'>): void {
    const isMarker = 'refused' in answer && answer.refused.headers['x-amz-delete-marker'] === 'true';
    const observed = isMarker || isMissing(answer) ? undefined : observedOf(answer);
    const what = `${versionId ?? 'current'} read as ${observed?.note ?? (isMarker ? 'marker' : 'missing')}`;
    this.model.keep(key, what, (history) => {
      const version = versionId === undefined ? history[0] : history.find((each) => each.versionId === versionId);
      if (version === undefined) return !isMarker && observed === undefined;
      if (version.value === undefined) return isMarker;
      return observed !== undefined && matches(version.value, observed) && isShownAs(version, answer);
    });
  }

  #list(key: string): Operation {
    return this.#operation(key, 'ListObjectVersions', this.listOptions(key), (answer) => {
      if (answer !== 'unknown') this.judgeList(key, answer);
    });
  }

  #read(key: string): Operation {
    const versions = this.model.certain(key);
    const versionId =
      versions.length > 0 && this.#random.below(2) === 0 ? this.#random.pick(versions).versionId : undefined;
    return this.#operation(key, 'GetObject', this.readOptions(key, versionId), (answer) => {
      if (answer !== 'unknown') this.judgeRead(key, versionId, answer);
    });
  }

  #put(key: string): Operation {
    const note = `${key}@${++this.#writes}`;
    const body = payloadOf(note, this.#random.pick(SIZES));
    const isLocked = this.#hasLock && this.#random.below(3) === 0;
    const isEncrypted = this.#hasLock && this.#random.below(2) === 0;
    const value: ObjectValue = { body, etag: md5Hex(body), note, isLocked, isEncrypted };
    const headers = {
      'x-amz-meta-note': note,
      ...(this.#hasLock && { 'x-amz-tagging': `note=${encodeURIComponent(note)}` }),
      ...(isEncrypted && { 'x-amz-server-side-encryption': 'AES256' }),
      ...(isLocked && {
        'content-md5': createHash('md5').update(body).digest('base64'),
        'x-amz-object-lock-mode': 'GOVERNANCE',
        'x-amz-object-lock-retain-until-date': RETAINED_UNTIL,
      }),
    };
    const options = { bucket: this.bucket, key, body, headers };
    return this.#operation(key, 'PutObject', options, (answer) => this.#judgeWrite(key, value, answer));
  }

  /** Brings an older version back as the newest one. */
  #copyBack(key: string): Operation | undefined {
    const versions = this.model.certain(key).filter(({ value }) => value !== undefined);
    if (versions.length === 0) return undefined;
    const { versionId, value } = this.#random.pick(versions);
    const headers = { 'x-amz-copy-source': `${this.bucket}/${key}?versionId=${versionId}` };
    return this.#operation(key, 'CopyObject', { bucket: this.bucket, key, headers }, (answer) =>
      this.#judgeWrite(key, { ...value!, isLocked: false, isEncrypted: false }, answer),
    );
  }

  #delete(key: string): Operation {
    return this.#operation(key, 'DeleteObject', { bucket: this.bucket, key }, (answer) =>
      this.#judgeWrite(key, undefined, answer),
    );
  }

  /** The answer tells what the bucket was set to: an id, or none; of a marker, an id or `null`. */
  #judgeWrite(key: string, value: ObjectValue | undefined, answer: Answer): void {
    if (answer === 'unknown') {
      const ids = this.#statuses.map((status) => (status === 'Enabled' ? undefined : 'null'));
      return this.model.doubt(
        key,
        ids.map((versionId) => withVersion(versionId, value)),
      );
    }
    if ('refused' in answer) throw answer.refused;
    const versionId = String(answer.ok.headers['x-amz-version-id'] ?? 'null');
    this.model.acknowledge(key, withVersion(versionId, value));
  }

  #deleteVersion(key: string): Operation | undefined {
    const versions = this.model.certain(key);
    if (versions.length === 0) return undefined;
    const { versionId, value } = this.#random.pick(versions);
    return this.#operation(key, 'DeleteObject', this.readOptions(key, versionId), (answer) => {
      if (value?.isLocked === true) {
        if (answer === 'unknown' || ('refused' in answer && answer.refused.code === 'AccessDenied')) return;
        throw new Error(`${key}: the locked version ${versionId} was deleted: ${JSON.stringify(answer)}`);
      }
      const change = withoutVersion(versionId);
      if (answer === 'unknown') return this.model.doubt(key, [change]);
      if ('refused' in answer) throw answer.refused;
      this.model.acknowledge(key, change);
    });
  }

  /** Each version keeps the tags that came with its bytes. */
  #readTags(key: string): Operation | undefined {
    const versions = this.model.certain(key).filter(({ value }) => value !== undefined);
    if (versions.length === 0) return undefined;
    const { versionId, value } = this.#random.pick(versions);
    return this.#operation(key, 'GetObjectTagging', this.readOptions(key, versionId), (answer) => {
      if (answer !== 'unknown') this.judgeTags(key, value!, answer);
    });
  }

  judgeTags(key: string, value: ObjectValue, answer: Exclude<Answer, 'unknown'>): void {
    if ('refused' in answer) throw answer.refused;
    const xml = answer.ok.body.toString();
    if (!xml.includes(`<Tag><Key>note</Key><Value>${value.note}</Value></Tag>`)) {
      throw new Error(`${key}: the tags of ${value.note} are ${xml}`);
    }
  }

  /** Others of the same batch may be decided before it or after it. */
  #setVersioning(status: Status): Operation {
    const body = `<VersioningConfiguration><Status>${status}</Status></VersioningConfiguration>`;
    this.#statuses = [...new Set([...this.#statuses, status])];
    return this.#operation('versioning', 'PutBucketVersioning', { bucket: this.bucket, body }, (answer) => {
      if (answer !== 'unknown' && 'refused' in answer) throw answer.refused;
    });
  }

  /** Once nothing else runs: what the bucket is set to. */
  learnStatus(status: string | undefined): void {
    if (status !== 'Enabled' && status !== 'Suspended') throw new Error(`versioning is ${status}`);
    if (!this.#statuses.includes(status))
      throw new Error(`versioning is ${status}, but it may only be ${this.#statuses.join()}`);
    this.#statuses = [status];
  }

  #operation(key: string, name: string, options: CallOptions, judge: (answer: Answer) => void): Operation {
    return { key: `${this.bucket}/${key}`, name, options, judge };
  }
}

/** As the version that it is, where its id is known, and as encrypted as it was written. */
function isShownAs({ versionId, value }: KnownVersion, answer: Exclude<Answer, 'unknown'>): boolean {
  if (!('ok' in answer)) return true;
  const { headers } = answer.ok satisfies CallResult;
  if ((headers['x-amz-server-side-encryption'] === 'AES256') !== (value?.isEncrypted === true)) return false;
  return versionId === undefined || headers['x-amz-version-id'] === versionId;
}

function isMissing(answer: Exclude<Answer, 'unknown'>): boolean {
  return (
    'refused' in answer &&
    answer.refused instanceof S3Error &&
    ['NoSuchKey', 'NoSuchVersion'].includes(answer.refused.code)
  );
}

function listedIn(xml: string): ListedEntry[] {
  return [...xml.matchAll(/<(Version|DeleteMarker)>(.*?)<\/\1>/gs)].map(([, kind, inner]) => {
    const element = (name: string) => new RegExp(`<${name}>(.*?)</${name}>`).exec(inner!)?.[1] ?? '';
    return {
      versionId: element('VersionId'),
      isLatest: element('IsLatest') === 'true',
      content:
        kind === 'Version'
          ? { etag: element('ETag').replaceAll('&quot;', ''), sizeBytes: Number(element('Size')) }
          : undefined,
    };
  });
}
