import { S3Error } from '../../src/errors/s3-error.ts';
import type {
  ListObjectsPage,
  ListObjectsQuery,
  ListVersionsPage,
  ListVersionsQuery,
  MetadataStore,
} from '../../src/metadata-store/metadata-store.ts';
import type { BucketRecord, ListedObject, Owner } from '../../src/model/object-record.ts';

type Calls = Pick<
  MetadataStore,
  'commit' | 'formatVersion' | 'getBucket' | 'listBuckets' | 'listObjects' | 'listVersions'
>;

/** Buckets and listings in memory, the plainest way: for tests of what stands above the metadata store. */
export class MemoryMetadata implements Calls {
  readonly #buckets = new Map<string, BucketRecord>();
  readonly #objects = new Map<number, ListedObject[]>();
  #nextBucketId = 1;

  formatVersion(): number {
    return 2;
  }

  readonly commit = (async (mutation: { type: string }) => {
    const decided = mutation as
      | {
          type: 'CreateBucket';
          name: string;
          owner: Owner;
          region: string;
          createdAtMs: number;
          configuration?: BucketRecord['configuration'];
        }
      | { type: 'DeleteBucket'; bucketId: number };
    if (decided.type === 'DeleteBucket') return this.#deleteBucket(decided.bucketId);
    const { name, owner, region, createdAtMs, configuration = {} } = decided;
    const existing = this.#buckets.get(name);
    if (existing !== undefined) {
      throw new S3Error(
        existing.owner.accountId === owner.accountId ? 'BucketAlreadyOwnedByYou' : 'BucketAlreadyExists',
      );
    }
    const bucket = { bucketId: this.#nextBucketId++, name, owner, region, createdAtMs, configuration };
    this.#buckets.set(name, bucket);
    return bucket;
  }) as unknown as MetadataStore['commit'];

  addObject(bucketName: string, object: Partial<ListedObject> & { key: string }): void {
    const bucket = this.#buckets.get(bucketName)!;
    const objects = this.#objects.get(bucket.bucketId) ?? [];
    objects.push({
      etag: 'd41d8cd98f00b204e9800998ecf8427e',
      sizeBytes: 0,
      lastModifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
      storageClass: 'STANDARD',
      owner: bucket.owner,
      ...object,
    });
    this.#objects.set(bucket.bucketId, objects);
  }

  #deleteBucket(bucketId: number): void {
    if ((this.#objects.get(bucketId) ?? []).length > 0) throw new S3Error('BucketNotEmpty');
    for (const [name, bucket] of this.#buckets) if (bucket.bucketId === bucketId) this.#buckets.delete(name);
  }

  async getBucket(name: string): Promise<BucketRecord | undefined> {
    return this.#buckets.get(name);
  }

  async listBuckets(query: Parameters<MetadataStore['listBuckets']>[0]): Promise<BucketRecord[]> {
    return [...this.#buckets.values()]
      .filter(({ name, owner }) => owner.accountId === query.accountId && name.startsWith(query.prefix))
      .filter(({ name }) => name > query.startAfter)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .slice(0, query.limit);
  }

  async listObjects(query: ListObjectsQuery): Promise<ListObjectsPage> {
    const objects = (this.#objects.get(query.bucketId) ?? [])
      .filter(({ key }) => key.startsWith(query.prefix))
      .sort((a, b) => Buffer.from(a.key).compare(Buffer.from(b.key)));
    const entries = new Map<string, ListedObject | undefined>();
    for (const object of objects) {
      const end = query.delimiter === '' ? -1 : object.key.indexOf(query.delimiter, query.prefix.length);
      const entry = end === -1 ? object.key : object.key.slice(0, end + query.delimiter.length);
      if (Buffer.from(entry).compare(Buffer.from(query.startAfter)) <= 0) continue;
      if (!entries.has(entry)) entries.set(entry, end === -1 ? object : undefined);
    }
    const page = [...entries].slice(0, query.limit);
    return {
      objects: page.flatMap(([, object]) => (object === undefined ? [] : [object])),
      commonPrefixes: page.flatMap(([entry, object]) => (object === undefined ? [entry] : [])),
      isTruncated: entries.size > page.length,
      lastEntry: page.at(-1)?.[0],
    };
  }

  /** Nothing here has more than its null version. */
  async listVersions({ keyMarker, ...query }: ListVersionsQuery): Promise<ListVersionsPage> {
    const page = await this.listObjects({ ...query, startAfter: keyMarker });
    const facts = { versionId: 'null', order: 1, isLatest: true, isDeleteMarker: false };
    const isKey = page.lastEntry === page.objects.at(-1)?.key;
    return {
      versions: page.objects.map((object) => ({ ...object, ...facts })),
      commonPrefixes: page.commonPrefixes,
      isTruncated: page.isTruncated,
      nextKeyMarker: page.isTruncated ? page.lastEntry : undefined,
      nextVersionIdMarker: page.isTruncated && isKey ? 'null' : undefined,
    };
  }
}
