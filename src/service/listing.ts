import type { ListObjectsPage, ListVersionsPage, MetadataStore } from '../metadata-store/metadata-store.ts';
import type { BucketService } from './buckets.ts';
import { checkVersionId } from './object-rules.ts';

export interface ListingServiceOptions {
  metadataStore: Pick<MetadataStore, 'listObjects' | 'listVersions'>;
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

export interface VersionListingRequest {
  bucket: string;
  prefix: string;
  delimiter: string;
  /** As the client sent them; empty: none. */
  keyMarker: string;
  versionIdMarker: string;
  /** 0 to 1,000. */
  maxKeys: number;
}

const EMPTY_PAGE: ListObjectsPage = { objects: [], commonPrefixes: [], isTruncated: false, lastEntry: undefined };

/** S3's listings of objects and versions. */
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

  /**
   * One page of versions and delete markers, likewise.
   *
   * @throws S3Error NoSuchBucket | InvalidArgument (version id)
   */
  async listVersions(request: VersionListingRequest): Promise<ListVersionsPage> {
    const { bucketId } = await this.#buckets.requireBucket(request.bucket);
    const { prefix, delimiter, keyMarker, versionIdMarker, maxKeys } = request;
    if (versionIdMarker !== '') checkVersionId(versionIdMarker);
    return this.#metadataStore.listVersions({
      bucketId,
      prefix,
      delimiter,
      keyMarker,
      versionIdMarker,
      limit: maxKeys,
    });
  }
}
