import { createHash } from 'node:crypto';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectTaggingCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { payloadOf } from '../payload.ts';

export const VERSIONED_BUCKET = 'versions';
/** The end of every retention. */
const RETAINED_UNTIL = new Date('2099-01-01T00:00:00.000Z');

/** A version, or a delete marker, with all that must survive with it. */
export interface VersionFacts {
  versionId: string;
  /** `undefined`: a delete marker. */
  content?: { sha256: string; tags: string; encryption: string; retention: string; legalHold: string };
}

/** A change of the versions of one key: what they are after it, newest first, as `describeHistory` says it. */
export interface RecordedHistory {
  key: string;
  history: string;
  beganBytes: number;
  acknowledgedBytes: number;
}

export function describeHistory(versions: readonly VersionFacts[]): string {
  return JSON.stringify(versions);
}

/** In place of the id of a version whose write has had no answer. */
const UNKNOWN_ID = '?';

/** Changes versions of the keys of a bucket with Object Lock, one change of a key at a time, and records what each leaves. */
export class VersionWorkload {
  readonly histories: RecordedHistory[] = [];
  readonly #client: () => S3Client;
  readonly #logBytes: () => number;
  readonly #versions = new Map<string, VersionFacts[]>();
  /** What a change that has had no answer leaves when it happens. */
  readonly #pending = new Map<string, VersionFacts[]>();

  /** `logBytes`: the length of the log of calls now. */
  constructor(client: () => S3Client, logBytes: () => number = () => 0) {
    this.#client = client;
    this.#logBytes = logBytes;
  }

  async createBucket(): Promise<void> {
    await this.#client().send(new CreateBucketCommand({ Bucket: VERSIONED_BUCKET, ObjectLockEnabledForBucket: true }));
  }

  /** Versions, delete markers, tags, encrypted bodies, retention and a legal hold: on three keys at once. */
  async work(round: number, folder = 'v'): Promise<void> {
    const names = ['small', 'large', 'sealed'] as const;
    await Promise.all(names.map((name) => this.#changeKey(`${folder}/${name}`, name, round)));
  }

  keys(): string[] {
    return [...new Set([...this.#versions.keys(), ...this.#pending.keys()])];
  }

  /**
   * What is wrong with the versions of a key as they are seen after a crash: they are those of the last answer, or those of the
   * change that had none. From now on they are what was seen.
   */
  judge(key: string, seen: VersionFacts[]): string | undefined {
    const known = this.#versions.get(key) ?? [];
    const pending = this.#pending.get(key);
    const ids = new Set(known.map(({ versionId }) => versionId));
    const asPending = seen.map((one) => (ids.has(one.versionId) ? one : { ...one, versionId: UNKNOWN_ID }));
    this.#versions.set(key, seen);
    this.#pending.delete(key);
    if (describeHistory(seen) === describeHistory(known)) return undefined;
    if (pending !== undefined && describeHistory(asPending) === describeHistory(pending)) return undefined;
    return `${key}: its versions may not be ${describeHistory(seen)} after ${describeHistory(known)}`;
  }

  async #changeKey(key: string, name: 'small' | 'large' | 'sealed', round: number): Promise<void> {
    const sizeBytes = { small: 2000, large: 300_000, sealed: 70_000 }[name];
    const encryption = name === 'sealed' ? 'AES256' : '';
    const first = await this.#put(key, payloadOf(`${key} ${round} first`, sizeBytes), { encryption });
    await this.#tag(key, first, `round=${round}`);
    const marker = await this.#mark(key);
    const held = await this.#put(key, payloadOf(`${key} ${round} held`, sizeBytes + 1), {
      encryption,
      tags: 'kept=yes',
      retention: RETAINED_UNTIL,
    });
    await this.#hold(key, held);
    await this.#remove(key, marker);
    await this.#copyBack(key, first, encryption);
    await this.#remove(key, first);
    if (round % 2 === 1) await this.#mark(key);
  }

  #put(
    key: string,
    body: Buffer,
    { encryption, tags = '', retention }: { encryption: string; tags?: string; retention?: Date },
  ): Promise<string> {
    const sha256 = createHash('sha256').update(body).digest('hex');
    const content = { sha256, tags, encryption, retention: retention?.toISOString() ?? '', legalHold: '' };
    return this.#change(key, withVersion(content), async () => {
      const { VersionId } = await this.#client().send(
        new PutObjectCommand({
          Bucket: VERSIONED_BUCKET,
          Key: key,
          Body: body,
          ...(tags !== '' && { Tagging: tags }),
          ...(encryption === 'AES256' && { ServerSideEncryption: encryption }),
          ...(retention && { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: retention }),
        }),
      );
      return VersionId;
    });
  }

  /** Brings an older version back as the newest one, with its tags. */
  async #copyBack(key: string, versionId: string, encryption: string): Promise<void> {
    const source = this.#versions.get(key)?.find((each) => each.versionId === versionId)?.content;
    await this.#change(key, withVersion(source), async () => {
      const { VersionId } = await this.#client().send(
        new CopyObjectCommand({
          Bucket: VERSIONED_BUCKET,
          Key: key,
          CopySource: `${VERSIONED_BUCKET}/${key}?versionId=${versionId}`,
          ...(encryption === 'AES256' && { ServerSideEncryption: encryption }),
        }),
      );
      return VersionId;
    });
  }

  async #tag(key: string, versionId: string, tags: string): Promise<void> {
    const [Key = '', Value = ''] = tags.split('=');
    const at = { Bucket: VERSIONED_BUCKET, Key: key, VersionId: versionId };
    await this.#change(key, withContent(versionId, { tags }), async () => {
      await this.#client().send(new PutObjectTaggingCommand({ ...at, Tagging: { TagSet: [{ Key, Value }] } }));
      return versionId;
    });
  }

  async #hold(key: string, versionId: string): Promise<void> {
    const at = { Bucket: VERSIONED_BUCKET, Key: key, VersionId: versionId };
    await this.#change(key, withContent(versionId, { legalHold: 'ON' }), async () => {
      await this.#client().send(new PutObjectLegalHoldCommand({ ...at, LegalHold: { Status: 'ON' } }));
      return versionId;
    });
  }

  #mark(key: string): Promise<string> {
    return this.#change(key, withVersion(undefined), async () => {
      const { VersionId } = await this.#client().send(new DeleteObjectCommand({ Bucket: VERSIONED_BUCKET, Key: key }));
      return VersionId;
    });
  }

  async #remove(key: string, versionId: string): Promise<void> {
    const without = (all: VersionFacts[]): VersionFacts[] => all.filter((each) => each.versionId !== versionId);
    await this.#change(
      key,
      () => without,
      async () => {
        await this.#client().send(
          new DeleteObjectCommand({ Bucket: VERSIONED_BUCKET, Key: key, VersionId: versionId }),
        );
        return versionId;
      },
    );
  }

  /** `send` tells the id of the version that was changed. */
  async #change(key: string, change: Change, send: () => Promise<string | undefined>): Promise<string> {
    const beganBytes = this.#logBytes();
    const before = this.#versions.get(key) ?? [];
    this.#pending.set(key, change(UNKNOWN_ID)(before));
    const versionId = (await send()) ?? '';
    const versions = change(versionId)(before);
    this.#versions.set(key, versions);
    this.#pending.delete(key);
    const history = describeHistory(versions);
    this.histories.push({ key, history, beganBytes, acknowledgedBytes: this.#logBytes() });
    return versionId;
  }
}

/** What the change of a version with this id makes of all versions of its key. */
type Change = (versionId: string) => (all: VersionFacts[]) => VersionFacts[];

/** Without content: a delete marker. */
function withVersion(content: VersionFacts['content']): Change {
  return (versionId) => (all) => [{ versionId, ...(content && { content }) }, ...all];
}

function withContent(versionId: string, changed: Partial<NonNullable<VersionFacts['content']>>): Change {
  return () => (all) =>
    all.map((each) => {
      const isThis = each.versionId === versionId && each.content !== undefined;
      return isThis ? { versionId, content: { ...each.content!, ...changed } } : each;
    });
}
