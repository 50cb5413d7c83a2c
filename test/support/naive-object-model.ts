import { createHash } from 'node:crypto';
import { S3Error } from '../../src/errors/s3-error.ts';

/** What a version holds, as the model compares it. `etag` decides preconditions. */
export interface ModelContent {
  etag: string;
  sizeBytes: number;
}

export interface ModelVersion<Content extends ModelContent> {
  versionId: string;
  /** Undefined: a delete marker. */
  content: Content | undefined;
}

export interface ModelPreconditions {
  ifMatch?: readonly string[];
  ifNoneMatch?: readonly string[];
}

export interface ModelListQuery {
  prefix?: string;
  delimiter?: string;
  startAfter?: string;
  limit?: number;
}

export interface ModelPage {
  keys: string[];
  commonPrefixes: string[];
  isTruncated: boolean;
  lastEntry: string | undefined;
}

interface ModelUpload<Content extends ModelContent> {
  bucket: string;
  key: string;
  parts: Map<number, Content>;
}

interface ModelBucket<Content extends ModelContent> {
  versioning: 'Off' | 'Enabled' | 'Suspended';
  /** Newest first; never empty. */
  keys: Map<string, ModelVersion<Content>[]>;
}

/**
 * S3's object semantics in the plainest form: maps, full scans, no cleverness. The oracle of property, crash and chaos
 * tests, so it must be obviously right; it throws the same S3Error codes as the product.
 */
export class NaiveObjectModel<Content extends ModelContent> {
  readonly #buckets = new Map<string, ModelBucket<Content>>();
  readonly #uploads = new Map<string, ModelUpload<Content>>();
  #lastVersion = 0;

  createBucket(bucket: string): void {
    if (this.#buckets.has(bucket)) throw new S3Error('BucketAlreadyOwnedByYou');
    this.#buckets.set(bucket, { versioning: 'Off', keys: new Map() });
  }

  deleteBucket(bucket: string): void {
    if (this.#bucket(bucket).keys.size > 0) throw new S3Error('BucketNotEmpty');
    this.#buckets.delete(bucket);
    for (const [uploadId, upload] of this.#uploads) if (upload.bucket === bucket) this.#uploads.delete(uploadId);
  }

  setVersioning(bucket: string, versioning: 'Enabled' | 'Suspended'): void {
    this.#bucket(bucket).versioning = versioning;
  }

  bucketNames(): string[] {
    return [...this.#buckets.keys()].sort(compareBytes);
  }

  hasBucket(bucket: string): boolean {
    return this.#buckets.has(bucket);
  }

  put(bucket: string, key: string, content: Content, preconditions: ModelPreconditions = {}): { versionId: string } {
    this.#checkPreconditions(bucket, key, preconditions);
    return { versionId: this.#addVersion(bucket, key, content) };
  }

  /** The content of the current or the named version; `undefined` for none and for delete markers. */
  get(bucket: string, key: string, versionId?: string): Content | undefined {
    const versions = this.#bucket(bucket).keys.get(key) ?? [];
    const version = versionId === undefined ? versions[0] : versions.find((each) => each.versionId === versionId);
    return version?.content;
  }

  /** All versions of a key, newest first. */
  versions(bucket: string, key: string): readonly ModelVersion<Content>[] {
    return this.#bucket(bucket).keys.get(key) ?? [];
  }

  /** Without a version id: a delete marker where versioning is on, else the null version goes. */
  delete(bucket: string, key: string, preconditions: ModelPreconditions = {}): void {
    this.#checkPreconditions(bucket, key, preconditions);
    const { versioning, keys } = this.#bucket(bucket);
    if (versioning === 'Off') keys.delete(key);
    else this.#addVersion(bucket, key, undefined);
  }

  deleteVersion(bucket: string, key: string, versionId: string): void {
    const { keys } = this.#bucket(bucket);
    const left = (keys.get(key) ?? []).filter((version) => version.versionId !== versionId);
    if (left.length === 0) keys.delete(key);
    else keys.set(key, left);
  }

  createUpload(bucket: string, key: string, uploadId: string): void {
    this.#bucket(bucket);
    this.#uploads.set(uploadId, { bucket, key, parts: new Map() });
  }

  putPart(uploadId: string, partNumber: number, content: Content): void {
    this.#upload(uploadId).parts.set(partNumber, content);
  }

  /** `join` makes the content of the object from those of the parts named. */
  completeUpload(
    uploadId: string,
    parts: readonly { partNumber: number; etag: string }[],
    join: (parts: readonly Content[]) => Content,
    preconditions: ModelPreconditions = {},
  ): { versionId: string } {
    const upload = this.#upload(uploadId);
    this.#checkPreconditions(upload.bucket, upload.key, preconditions);
    const contents = parts.map(({ partNumber, etag }) => {
      const part = upload.parts.get(partNumber);
      if (part === undefined || part.etag !== etag) throw new S3Error('InvalidPart');
      return part;
    });
    this.#uploads.delete(uploadId);
    return { versionId: this.#addVersion(upload.bucket, upload.key, join(contents)) };
  }

  abortUpload(uploadId: string): void {
    this.#upload(uploadId);
    this.#uploads.delete(uploadId);
  }

  /** Ids of uploads in progress. */
  uploadIds(): string[] {
    return [...this.#uploads.keys()].sort();
  }

  partNumbers(uploadId: string): number[] {
    return [...this.#upload(uploadId).parts.keys()].sort((a, b) => a - b);
  }

  /** Keys whose current version is an object, by UTF-8 bytes. */
  keys(bucket: string): string[] {
    return [...this.#bucket(bucket).keys]
      .filter(([, versions]) => versions[0]?.content !== undefined)
      .map(([key]) => key)
      .sort(compareBytes);
  }

  list(bucket: string, query: ModelListQuery = {}): ModelPage {
    return naiveListing(this.keys(bucket), query);
  }

  usage(bucket: string): { objectCount: number; sizeBytes: number } {
    const contents = this.keys(bucket).map((key) => this.get(bucket, key));
    return {
      objectCount: contents.length,
      sizeBytes: contents.reduce((sum, content) => sum + (content?.sizeBytes ?? 0), 0),
    };
  }

  /** One value for the whole state: two models are equal when theirs are. */
  digest(): string {
    const state = this.bucketNames().map((bucket) => {
      const { versioning, keys } = this.#bucket(bucket);
      return [bucket, versioning, [...keys].sort(([a], [b]) => compareBytes(a, b))];
    });
    const uploads = this.uploadIds().map((id) => [id, [...this.#upload(id).parts].sort(([a], [b]) => a - b)]);
    return createHash('sha256')
      .update(JSON.stringify([state, uploads]))
      .digest('hex');
  }

  /** Independent of this one from now on. Contents are shared. */
  clone(): NaiveObjectModel<Content> {
    const copy = new NaiveObjectModel<Content>();
    copy.#lastVersion = this.#lastVersion;
    for (const [name, { versioning, keys }] of this.#buckets) {
      copy.#buckets.set(name, { versioning, keys: new Map([...keys].map(([key, list]) => [key, [...list]])) });
    }
    for (const [id, upload] of this.#uploads) copy.#uploads.set(id, { ...upload, parts: new Map(upload.parts) });
    return copy;
  }

  #bucket(bucket: string): ModelBucket<Content> {
    const found = this.#buckets.get(bucket);
    if (found === undefined) throw new S3Error('NoSuchBucket');
    return found;
  }

  #upload(uploadId: string): ModelUpload<Content> {
    const found = this.#uploads.get(uploadId);
    if (found === undefined) throw new S3Error('NoSuchUpload');
    return found;
  }

  #addVersion(bucket: string, key: string, content: Content | undefined): string {
    const { versioning, keys } = this.#bucket(bucket);
    const versionId = versioning === 'Enabled' ? `v${(this.#lastVersion += 1)}` : 'null';
    // Without versioning, and while it is suspended, there is one null version, replaced by each write.
    const kept = (keys.get(key) ?? []).filter((version) => version.versionId !== versionId);
    keys.set(key, [{ versionId, content }, ...kept]);
    return versionId;
  }

  #checkPreconditions(bucket: string, key: string, { ifMatch, ifNoneMatch }: ModelPreconditions): void {
    const etag = this.get(bucket, key)?.etag;
    if (ifMatch !== undefined) {
      if (etag === undefined) throw new S3Error('NoSuchKey');
      if (!ifMatch.includes('*') && !ifMatch.includes(etag)) throw new S3Error('PreconditionFailed');
    }
    if (ifNoneMatch !== undefined && etag !== undefined && (ifNoneMatch.includes('*') || ifNoneMatch.includes(etag))) {
      throw new S3Error('PreconditionFailed');
    }
  }
}

/** Folds, sorts and cuts a full scan: what LIST answers, from its definition. */
export function naiveListing(keys: readonly string[], query: ModelListQuery): ModelPage {
  const { prefix = '', delimiter = '', startAfter = '', limit = 1000 } = query;
  const entries = new Map<string, boolean>();
  for (const key of keys) {
    if (!key.startsWith(prefix)) continue;
    const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    if (at === -1) entries.set(key, false);
    else entries.set(key.slice(0, at + delimiter.length), true);
  }
  const after = [...entries]
    .filter(([entry]) => startAfter === '' || compareBytes(entry, startAfter) > 0)
    .sort(([a], [b]) => compareBytes(a, b));
  const page = after.slice(0, limit);
  return {
    keys: page.filter(([, isPrefix]) => !isPrefix).map(([entry]) => entry),
    commonPrefixes: page.filter(([, isPrefix]) => isPrefix).map(([entry]) => entry),
    isTruncated: limit > 0 && after.length > limit,
    lastEntry: page.at(-1)?.[0],
  };
}

export function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
