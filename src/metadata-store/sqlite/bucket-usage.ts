import type { Database } from 'better-sqlite3';

/** What a record adds to the counters of a bucket. */
export interface UsageChange {
  /** Current objects, and their bytes. */
  objects?: number;
  objectBytes?: number;
  /** Noncurrent versions and delete markers, and their bytes. */
  versions?: number;
  versionBytes?: number;
  uploads?: number;
}

type Sums = Required<UsageChange>;

/** Collects what the records of a transaction change in the counters of buckets; written once for each, by `flush`. */
export class BucketUsage {
  readonly #sums = new Map<number, Sums>();
  readonly #add;

  constructor(db: Database) {
    this.#add = db.prepare<[number, number, number, number, number, number]>(
      `UPDATE buckets SET object_count = object_count + ?, size_bytes = size_bytes + ?,
       version_count = version_count + ?, version_size_bytes = version_size_bytes + ?,
       upload_count = upload_count + ? WHERE bucket_id = ?`,
    );
  }

  add(bucketId: number, change: UsageChange): void {
    let sums = this.#sums.get(bucketId);
    if (sums === undefined) {
      sums = { objects: 0, objectBytes: 0, versions: 0, versionBytes: 0, uploads: 0 };
      this.#sums.set(bucketId, sums);
    }
    sums.objects += change.objects ?? 0;
    sums.objectBytes += change.objectBytes ?? 0;
    sums.versions += change.versions ?? 0;
    sums.versionBytes += change.versionBytes ?? 0;
    sums.uploads += change.uploads ?? 0;
  }

  /** Before COMMIT. */
  flush(): void {
    for (const [bucketId, sums] of this.#sums) {
      const { objects, objectBytes, versions, versionBytes, uploads } = sums;
      this.#add.run(objects, objectBytes, versions, versionBytes, uploads, bucketId);
    }
    this.#sums.clear();
  }

  /** After a ROLLBACK. */
  discard(): void {
    this.#sums.clear();
  }
}
