import { bucketOfDocument } from '../records/bucket-configuration-codec.ts';
import type { JournalRecord } from '../records/journal-record.ts';

/** What the scope needs to know of the acknowledged index. */
export interface ScopeLookup {
  uploadKey(uploadOrder: number): { bucketId: number; key: Buffer } | undefined;
  bucketName(bucketId: number): string | undefined;
}

/**
 * What a read is about. Reads of volumes, blobs and damage are not here: they serve the data store, which may know the
 * acknowledged state and can do nothing irreversible without a commit.
 */
export type ReadSubject =
  | { kind: 'object'; bucketId: number; key: string }
  | { kind: 'bucket-listing'; bucketId: number }
  | { kind: 'bucket'; name: string }
  | { kind: 'buckets' }
  | { kind: 'uploads' }
  | { kind: 'document'; collection: string; id: string }
  | { kind: 'documents'; collection: string };

/**
 * What records of an undecided frame touch: nothing may be answered about it until a new epoch has decided whether the
 * frame is adopted (design §5). Where a record does not say what it touches, everything counts.
 */
export class UndecidedScope {
  readonly #objects = new Set<string>();
  readonly #bucketIds = new Set<number>();
  readonly #bucketNames = new Set<string>();
  readonly #documents = new Set<string>();
  readonly #collections = new Set<string>();
  /** Their names are not in the index. */
  readonly #createdBucketIds = new Set<number>();
  /** Documents of these go too. */
  readonly #deletedBucketIds = new Set<string>();
  #touchesUploads = false;
  #touchesEverything = false;

  add(records: readonly JournalRecord[], lookup: ScopeLookup): void {
    for (const record of records) this.#addRecord(record, lookup);
  }

  touches(subject: ReadSubject): boolean {
    if (this.#touchesEverything) return true;
    switch (subject.kind) {
      case 'object':
        return this.#bucketIds.has(subject.bucketId) && this.#objects.has(nameOf(subject.bucketId, subject.key));
      case 'bucket-listing':
        return this.#bucketIds.has(subject.bucketId);
      case 'bucket':
        return this.#bucketNames.has(subject.name);
      case 'buckets':
        return this.#bucketNames.size > 0;
      case 'uploads':
        return this.#touchesUploads;
      case 'document':
        return this.#documents.has(nameOf(subject.collection, subject.id)) || this.#deletedBucketIds.has(subject.id);
      case 'documents':
        return this.#collections.has(subject.collection) || this.#deletedBucketIds.size > 0;
    }
  }

  #addRecord(record: JournalRecord, lookup: ScopeLookup): void {
    switch (record.type) {
      case 'InternOwner':
      // Only commits look at tokens.
      case 'RememberToken':
        return;
      case 'PutObject':
      case 'DeleteObject':
      case 'PutVersion':
      case 'PutDeleteMarker':
      case 'DeleteVersion':
      case 'TransitionVersion':
      case 'ChangeDetails':
      case 'AppendObject':
        return this.#addObject(record.bucketId, record.key);
      case 'CreateBucket':
        this.#createdBucketIds.add(record.bucketId);
        this.#bucketNames.add(record.name);
        return;
      case 'DeleteBucket':
        this.#bucketIds.add(record.bucketId);
        this.#touchesUploads = true;
        this.#deletedBucketIds.add(String(record.bucketId));
        return this.#addBucketName(lookup.bucketName(record.bucketId));
      case 'CreateMultipartUpload':
      case 'PutPart':
      case 'PutEncryptedPart':
      case 'AbortMultipartUpload':
        this.#touchesUploads = true;
        return;
      case 'CompleteMultipartUpload':
      case 'CompleteVersion': {
        this.#touchesUploads = true;
        const upload = lookup.uploadKey(record.uploadOrder);
        if (upload === undefined) this.#touchesEverything = true;
        else this.#addObject(upload.bucketId, upload.key);
        return;
      }
      case 'PutDocument':
      case 'DeleteDocument':
        this.#documents.add(nameOf(record.address.collection, record.address.id));
        this.#collections.add(record.address.collection);
        return this.#addConfiguredBucket(bucketOfDocument(record.address), lookup);
      default:
    }
  }

  #addObject(bucketId: number, key: Buffer): void {
    this.#bucketIds.add(bucketId);
    this.#objects.add(nameOf(bucketId, key.toString()));
  }

  /** What is read of a bucket includes its configuration. */
  #addConfiguredBucket(bucketId: number | undefined, lookup: ScopeLookup): void {
    if (bucketId === undefined || this.#createdBucketIds.has(bucketId)) return;
    this.#addBucketName(lookup.bucketName(bucketId));
  }

  #addBucketName(name: string | undefined): void {
    if (name === undefined) this.#touchesEverything = true;
    else this.#bucketNames.add(name);
  }
}

function nameOf(container: number | string, name: string): string {
  return `${container} ${name}`;
}
