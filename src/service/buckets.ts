import { S3Error } from '../errors/s3-error.ts';
import { ALL_PUBLIC_ACCESS_BLOCKED, type PublicAccessBlock } from '../model/bucket-access.ts';
import type { MetadataStore, Mutation } from '../metadata-store/metadata-store.ts';
import type {
  BucketConfiguration,
  BucketConfigurationEntry,
  BucketConfigurationName,
} from '../model/bucket-configuration.ts';
import type { Clock } from '../model/clock.ts';
import type { BucketRecord, ListedBucket, Owner } from '../model/object-record.ts';
import { checkBucketName } from './bucket-name.ts';
import { makeContinuationToken, readContinuationToken } from './continuation-token.ts';

export interface BucketServiceOptions {
  metadataStore: Pick<MetadataStore, 'commit' | 'getBucket' | 'listBuckets' | 'formatVersion'>;
  clock: Pick<Clock, 'nowMs'>;
  /** The one region of this server. */
  region: string;
  /** New buckets refuse SSE-C. */
  blocksCustomerKeys: boolean;
  /** False: new buckets come without the four blocks of public access. */
  blocksPublicAccess: boolean;
}

export interface CreateBucketRequest {
  name: string;
  owner: Owner;
  /** As the client sent it; absent or empty means this region. */
  locationConstraint: string | undefined;
  configuration?: BucketConfiguration;
}

export interface ListBucketsRequest {
  owner: Owner;
  prefix: string;
  continuationToken: string | undefined;
  /** 1 to 10,000. */
  maxBuckets: number;
  /** Only buckets of this region. */
  region: string | undefined;
}

export interface ListBucketsResult {
  buckets: ListedBucket[];
  /** Present when there are more. */
  continuationToken: string | undefined;
}

const BLOCKED = { bucketKeyEnabled: false, blocksCustomerKeys: true };
const REGION_NAME = /^(?:[a-z]{2}(?:-[a-z]+)+-\d|EU)$/;
const ACCOUNT_ID = /^\d{12}$/;

/** S3's rules about buckets: names, regions, who owns what. */
export class BucketService {
  readonly #metadataStore: BucketServiceOptions['metadataStore'];
  readonly #clock: BucketServiceOptions['clock'];
  readonly #region: string;
  readonly #blocksCustomerKeys: boolean;
  readonly #blocksPublicAccess: boolean;

  constructor(options: BucketServiceOptions) {
    this.#metadataStore = options.metadataStore;
    this.#clock = options.clock;
    this.#region = options.region;
    this.#blocksCustomerKeys = options.blocksCustomerKeys;
    this.#blocksPublicAccess = options.blocksPublicAccess;
  }

  /**
   * Creates the bucket in this server's region. Creating one's own bucket again, without configuration, succeeds in
   * us-east-1, as on AWS, and is BucketAlreadyOwnedByYou elsewhere.
   *
   * @throws S3Error InvalidBucketName | InvalidLocationConstraint | IllegalLocationConstraintException |
   *   BucketAlreadyExists | BucketAlreadyOwnedByYou
   */
  async createBucket(request: CreateBucketRequest): Promise<void> {
    const asked = request.configuration ?? {};
    checkBucketName(request.name);
    this.#checkLocation(request.locationConstraint ?? '');
    const configuration: BucketConfiguration = { ...this.#ofNewBuckets(), ...asked };
    try {
      await this.#metadataStore.commit({
        type: 'CreateBucket',
        name: request.name,
        owner: request.owner,
        region: this.#region,
        createdAtMs: this.#clock.nowMs(),
        ...(Object.keys(configuration).length === 0 ? {} : { configuration }),
      });
    } catch (error) {
      // What was asked for beyond the bucket may not hold of the one that is there.
      const isRepetition =
        error instanceof S3Error && error.code === 'BucketAlreadyOwnedByYou' && Object.keys(asked).length === 0;
      if (!isRepetition || this.#region !== 'us-east-1') throw error;
    }
  }

  get blockOfNewBuckets(): PublicAccessBlock | undefined {
    return this.#blocksPublicAccess ? ALL_PUBLIC_ACCESS_BLOCKED : undefined;
  }

  /** A store that is kept in format 1 takes neither encrypted uploads nor policies, and can keep none of this. */
  #ofNewBuckets(): BucketConfiguration {
    if (this.#metadataStore.formatVersion() < 2) return {};
    return {
      ...(this.#blocksCustomerKeys ? { encryption: BLOCKED } : {}),
      ...(this.#blocksPublicAccess ? {} : { publicAccessBlock: 'none' }),
    };
  }

  #checkLocation(constraint: string): void {
    if (constraint === '' || constraint === this.#region) return;
    if (constraint === 'EU' && this.#region === 'eu-west-1') return;
    if (REGION_NAME.test(constraint)) {
      throw new S3Error('IllegalLocationConstraintException', {
        message: `The ${constraint} location constraint is incompatible for the region specific endpoint this request was sent to.`,
      });
    }
    throw new S3Error('InvalidLocationConstraint', { details: { LocationConstraint: constraint } });
  }

  findBucket(name: string): Promise<BucketRecord | undefined> {
    return this.#metadataStore.getBucket(name);
  }

  /** @throws S3Error NoSuchBucket */
  async requireBucket(name: string): Promise<BucketRecord> {
    const bucket = await this.#metadataStore.getBucket(name);
    if (bucket === undefined) throw noSuchBucket(name);
    return bucket;
  }

  /**
   * `x-amz-expected-bucket-owner` and its twin for the source of a copy.
   *
   * @throws S3Error NoSuchBucket | InvalidBucketOwnerAWSAccountID | AccessDenied
   */
  async checkExpectedOwner(name: string, expectedAccountId: string): Promise<void> {
    if (!ACCOUNT_ID.test(expectedAccountId)) throw new S3Error('InvalidBucketOwnerAWSAccountID');
    const bucket = await this.requireBucket(name);
    if (bucket.owner.accountId !== expectedAccountId) throw new S3Error('AccessDenied');
  }

  /** @throws S3Error NoSuchBucket | InvalidBucketState (suspending under Object Lock) */
  async putVersioning({ bucketId }: BucketRecord, status: 'Enabled' | 'Suspended'): Promise<void> {
    await this.#metadataStore.commit({
      type: 'PutBucketConfiguration',
      bucketId,
      name: 'versioning',
      value: { status },
    });
  }

  /** @throws S3Error NoSuchBucket | BucketNotEmpty */
  async deleteBucket(name: string): Promise<void> {
    const bucket = await this.requireBucket(name);
    try {
      await this.#metadataStore.commit({ type: 'DeleteBucket', bucketId: bucket.bucketId });
    } catch (error) {
      if (error instanceof S3Error && error.code === 'BucketNotEmpty') {
        throw new S3Error('BucketNotEmpty', { details: { BucketName: name }, cause: error });
      }
      if (error instanceof S3Error && error.code === 'NoSuchBucket') throw noSuchBucket(name, error);
      throw error;
    }
  }

  /**
   * Sets one member of what is configured of a bucket; the others stay. What it must fit is checked in the commit.
   *
   * @throws S3Error NoSuchBucket | InvalidBucketState
   */
  async putConfiguration(bucket: BucketRecord, entry: BucketConfigurationEntry): Promise<void> {
    await this.#change(bucket, { type: 'PutBucketConfiguration', bucketId: bucket.bucketId, ...entry });
  }

  /** Nothing set: succeeds. @throws S3Error NoSuchBucket */
  async deleteConfiguration(bucket: BucketRecord, name: BucketConfigurationName): Promise<void> {
    await this.#change(bucket, { type: 'DeleteBucketConfiguration', bucketId: bucket.bucketId, name });
  }

  /** The commit knows a bucket by its id only. */
  async #change(bucket: BucketRecord, mutation: Mutation): Promise<void> {
    try {
      await this.#metadataStore.commit(mutation);
    } catch (error) {
      if (error instanceof S3Error && error.code === 'NoSuchBucket') throw noSuchBucket(bucket.name, error);
      throw error;
    }
  }

  /** The buckets of one account, ascending by name. */
  async listBuckets(request: ListBucketsRequest): Promise<ListBucketsResult> {
    let startAfter = request.continuationToken === undefined ? '' : readContinuationToken(request.continuationToken);
    const found: ListedBucket[] = [];
    for (;;) {
      const limit = request.maxBuckets + 1 - found.length;
      const page = await this.#metadataStore.listBuckets({
        accountId: request.owner.accountId,
        prefix: request.prefix,
        startAfter,
        limit,
      });
      for (const bucket of page) {
        if (request.region === undefined || bucket.region === request.region) found.push(bucket);
      }
      if (page.length < limit || found.length > request.maxBuckets) break;
      startAfter = page.at(-1)!.name;
    }
    if (found.length <= request.maxBuckets) return { buckets: found, continuationToken: undefined };
    const buckets = found.slice(0, request.maxBuckets);
    return { buckets, continuationToken: makeContinuationToken(buckets.at(-1)!.name) };
  }
}

function noSuchBucket(name: string, cause?: unknown): S3Error {
  return new S3Error('NoSuchBucket', { details: { BucketName: name }, ...(cause === undefined ? {} : { cause }) });
}
