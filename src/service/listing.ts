import type { ListObjectsPage, MetadataStore } from '../metadata-store/metadata-store.ts';
import type { BucketService } from './buckets.ts';

export interface ListingServiceOptions {
  metadataStore: Pick<MetadataStore, 'listObjects'>;
  buckets: Pick<BucketService, 'requireBucket'>;
}

export interface ListingRequest {
  bucket: string;
  prefix: string;
  delimiter: string;
  /** Keys and common prefixes strictly after this; empty: from the start. */
  startAfter: string;
  /** 0 to 1,000. */
  maxKeys: number;
}

const EMPTY_PAGE: ListObjectsPage = { objects: [], commonPrefixes: [], isTruncated: false, lastEntry: undefined };

/** S3's listings of current objects. */
export class ListingService {
  readonly #metadataStore: ListingServiceOptions['metadataStore'];
  readonly #buckets: ListingServiceOptions['buckets'];

  constructor(options: ListingServiceOptions) {
    this.#metadataStore = options.metadataStore;
    this.#buckets = options.buckets;
  }

  /**
   * One page. A request for no keys gets an empty page that claims to be the last, as on AWS.
   *
   * @throws S3Error NoSuchBucket
   */
  async listObjects(request: ListingRequest): Promise<ListObjectsPage> {
    const { bucketId } = await this.#buckets.requireBucket(request.bucket);
    if (request.maxKeys === 0) return EMPTY_PAGE;
    return this.#metadataStore.listObjects({
      bucketId,
      prefix: request.prefix,
      delimiter: request.delimiter,
      startAfter: request.startAfter,
      limit: request.maxKeys,
    });
  }
}
