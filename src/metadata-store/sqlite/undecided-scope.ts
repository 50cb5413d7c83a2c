import type { JournalRecord } from '../records/journal-record.ts';

/** What the scope needs to know of the acknowledged index. */
export interface ScopeLookup {
  uploadKey(uploadOrder: number): { bucketId: number; key: Buffer } | undefined;
  bucketName(bucketId: number): string | undefined;
}

/** What a read is about. */
export type ReadSubject =
  | { kind: 'object'; bucketId: number; key: string }
  | { kind: 'bucket-listing'; bucketId: number }
  | { kind: 'bucket'; name: string }
  | { kind: 'buckets' }
  | { kind: 'uploads' }
  | { kind: 'documents' }
  | { kind: 'volumes' };

/**
 * What records of an undecided frame touch: nothing may be answered about it until a new epoch has decided whether the
 * frame is adopted (design §5). Where a record does not say what it touches, everything counts.
 */
export class UndecidedScope {
  readonly #objects = new Set<string>();
  readonly #bucketIds = new Set<number>();
  readonly #bucketNames = new Set<string>();
  #touchesUploads = false;
  #touchesDocuments = false;
  #touchesVolumes = false;
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
      case 'documents':
        return this.#touchesDocuments;
      case 'volumes':
        return this.#touchesVolumes;
    }
  }

  #addRecord(record: JournalRecord, lookup: ScopeLookup): void {
    switch (record.type) {
      case 'InternOwner':
        return;
      case 'PutObject':
      case 'DeleteObject':
        this.#touchesVolumes = true;
        return this.#addObject(record.bucketId, record.key);
      case 'CreateBucket':
        this.#bucketNames.add(record.name);
        return;
      case 'DeleteBucket':
        this.#bucketIds.add(record.bucketId);
        this.#touchesUploads = true;
        this.#touchesDocuments = true;
        return this.#addBucketName(lookup.bucketName(record.bucketId));
      case 'CreateMultipartUpload':
      case 'PutPart':
      case 'AbortMultipartUpload':
        this.#touchesUploads = true;
        this.#touchesVolumes = true;
        return;
      case 'CompleteMultipartUpload': {
        this.#touchesUploads = true;
        this.#touchesVolumes = true;
        const upload = lookup.uploadKey(record.uploadOrder);
        if (upload === undefined) this.#touchesEverything = true;
        else this.#addObject(upload.bucketId, upload.key);
        return;
      }
      case 'PutDocument':
      case 'DeleteDocument':
        this.#touchesDocuments = true;
        return;
      default:
        this.#touchesVolumes = true;
    }
  }

  #addObject(bucketId: number, key: Buffer): void {
    this.#bucketIds.add(bucketId);
    this.#objects.add(nameOf(bucketId, key.toString()));
  }

  #addBucketName(name: string | undefined): void {
    if (name === undefined) this.#touchesEverything = true;
    else this.#bucketNames.add(name);
  }
}

function nameOf(bucketId: number, key: string): string {
  return `${bucketId} ${key}`;
}
