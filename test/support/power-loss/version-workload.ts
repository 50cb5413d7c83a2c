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

/** Changes versions of the keys of a bucket with Object Lock, one change of a key at a time, and records what each leaves. */
export class VersionWorkload {
  readonly histories: RecordedHistory[] = [];
  readonly #client: S3Client;
  readonly #logBytes: () => number;
  readonly #versions = new Map<string, VersionFacts[]>();

  /** `logBytes`: the length of the log of calls now. */
  constructor(client: S3Client, logBytes: () => number) {
    this.#client = client;
    this.#logBytes = logBytes;
  }

  async createBucket(): Promise<void> {
    await this.#client.send(new CreateBucketCommand({ Bucket: VERSIONED_BUCKET, ObjectLockEnabledForBucket: true }));
  }

  /** Versions, delete markers, tags, encrypted bodies, retention and a legal hold: on three keys at once. */
  async work(round: number): Promise<void> {
    await Promise.all(['v/small', 'v/large', 'v/sealed'].map((key) => this.#changeKey(key, round)));
  }

  async #changeKey(key: string, round: number): Promise<void> {
    const sizeBytes = { 'v/small': 2000, 'v/large': 300_000, 'v/sealed': 70_000 }[key] ?? 0;
    const encryption = key === 'v/sealed' ? 'AES256' : '';
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

  async #put(
    key: string,
    body: Buffer,
    { encryption, tags = '', retention }: { encryption: string; tags?: string; retention?: Date },
  ): Promise<string> {
    return this.#change(key, async () => {
      const { VersionId = '' } = await this.#client.send(
        new PutObjectCommand({
          Bucket: VERSIONED_BUCKET,
          Key: key,
          Body: body,
          ...(tags !== '' && { Tagging: tags }),
          ...(encryption === 'AES256' && { ServerSideEncryption: encryption }),
          ...(retention && { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: retention }),
        }),
      );
      const sha256 = createHash('sha256').update(body).digest('hex');
      const retained = retention === undefined ? '' : retention.toISOString();
      const content = { sha256, tags, encryption, retention: retained, legalHold: '' };
      return { versionId: VersionId, change: (all) => [{ versionId: VersionId, content }, ...all] };
    });
  }

  /** Brings an older version back as the newest one, with its tags. */
  async #copyBack(key: string, versionId: string, encryption: string): Promise<void> {
    await this.#change(key, async () => {
      const { VersionId = '' } = await this.#client.send(
        new CopyObjectCommand({
          Bucket: VERSIONED_BUCKET,
          Key: key,
          CopySource: `${VERSIONED_BUCKET}/${key}?versionId=${versionId}`,
          ...(encryption === 'AES256' && { ServerSideEncryption: encryption }),
        }),
      );
      return {
        versionId: VersionId,
        change: (all) => {
          const source = all.find((each) => each.versionId === versionId)?.content;
          return [{ versionId: VersionId, ...(source && { content: source }) }, ...all];
        },
      };
    });
  }

  async #tag(key: string, versionId: string, tags: string): Promise<void> {
    const [Key = '', Value = ''] = tags.split('=');
    const at = { Bucket: VERSIONED_BUCKET, Key: key, VersionId: versionId };
    await this.#change(key, async () => {
      await this.#client.send(new PutObjectTaggingCommand({ ...at, Tagging: { TagSet: [{ Key, Value }] } }));
      return { versionId, change: withContent(versionId, { tags }) };
    });
  }

  async #hold(key: string, versionId: string): Promise<void> {
    const at = { Bucket: VERSIONED_BUCKET, Key: key, VersionId: versionId };
    await this.#change(key, async () => {
      await this.#client.send(new PutObjectLegalHoldCommand({ ...at, LegalHold: { Status: 'ON' } }));
      return { versionId, change: withContent(versionId, { legalHold: 'ON' }) };
    });
  }

  async #mark(key: string): Promise<string> {
    return this.#change(key, async () => {
      const { VersionId = '' } = await this.#client.send(
        new DeleteObjectCommand({ Bucket: VERSIONED_BUCKET, Key: key }),
      );
      return { versionId: VersionId, change: (all) => [{ versionId: VersionId }, ...all] };
    });
  }

  async #remove(key: string, versionId: string): Promise<void> {
    await this.#change(key, async () => {
      await this.#client.send(new DeleteObjectCommand({ Bucket: VERSIONED_BUCKET, Key: key, VersionId: versionId }));
      return { versionId, change: (all) => all.filter((each) => each.versionId !== versionId) };
    });
  }

  async #change(
    key: string,
    send: () => Promise<{ versionId: string; change: (all: VersionFacts[]) => VersionFacts[] }>,
  ): Promise<string> {
    const beganBytes = this.#logBytes();
    const { versionId, change } = await send();
    const versions = change(this.#versions.get(key) ?? []);
    this.#versions.set(key, versions);
    const history = describeHistory(versions);
    this.histories.push({ key, history, beganBytes, acknowledgedBytes: this.#logBytes() });
    return versionId;
  }
}

function withContent(versionId: string, changed: Partial<NonNullable<VersionFacts['content']>>) {
  return (all: VersionFacts[]): VersionFacts[] =>
    all.map((each) => {
      const isThis = each.versionId === versionId && each.content !== undefined;
      return isThis ? { versionId, content: { ...each.content!, ...changed } } : each;
    });
}
