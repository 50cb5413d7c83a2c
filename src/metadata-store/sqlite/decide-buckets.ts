import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import { S3Error } from '../../errors/s3-error.ts';
import type { BucketConfiguration, BucketConfigurationName } from '../../model/bucket-configuration.ts';
import type { BucketRecord, Owner } from '../../model/object-record.ts';
import { requireStoreFormat } from '../../model/store-format.ts';
import type { Mutation } from '../metadata-store.ts';
import { bucketConfigurationAddress, encodeBucketConfigurationValue } from '../records/bucket-configuration-codec.ts';
import type { JournalRecord } from '../records/journal-record.ts';
import { checkBucketConfiguration } from './check-bucket-configuration.ts';
import type { KnownBucket, KnownRows } from './known-rows.ts';

export interface DecideBucketsOptions {
  db: Database;
  known: KnownRows;
  emit: (record: JournalRecord) => void;
  nextIdentifier: () => number;
  formatVersion: () => number;
  internOwner: (owner: Owner) => number;
}

type Of<Type extends Mutation['type']> = Extract<Mutation, { type: Type }>;

/** Evaluates the mutations of buckets and their configurations, as `MutationDecider` does the others. */
export class DecideBuckets {
  readonly #options: DecideBucketsOptions;
  readonly #sql;

  constructor(options: DecideBucketsOptions) {
    this.#options = options;
    this.#sql = prepareStatements(options.db);
  }

  /** @throws S3Error NoSuchBucket */
  require(bucketId: number): KnownBucket {
    const bucket = this.#options.known.bucket(bucketId);
    if (bucket === undefined) throw new S3Error('NoSuchBucket');
    return bucket;
  }

  /** @throws S3Error BucketAlreadyExists | BucketAlreadyOwnedByYou | InvalidBucketState | NotImplemented as `putConfiguration` */
  create(mutation: Of<'CreateBucket'>): BucketRecord {
    const accountId = this.#sql.accountOfBucketName.get(mutation.name);
    if (accountId !== undefined) {
      throw new S3Error(accountId === mutation.owner.accountId ? 'BucketAlreadyOwnedByYou' : 'BucketAlreadyExists', {
        details: { BucketName: mutation.name },
      });
    }
    const { name, owner, region, createdAtMs, configuration = {} } = mutation;
    const members = namesOf(configuration);
    for (const member of members) this.#requireFormat(member);
    for (const member of members) checkBucketConfiguration(member, configuration);
    const { emit, nextIdentifier, internOwner } = this.#options;
    const bucketId = nextIdentifier();
    const ownerId = internOwner(owner);
    emit({ type: 'CreateBucket', bucketId, name, ownerId, region, createdAtMs });
    for (const member of members) this.#write(bucketId, member, configuration[member]);
    return { bucketId, name, owner, region, createdAtMs, configuration };
  }

  /** Uploads in progress do not keep a bucket, as on AWS: they are aborted with it. @throws S3Error NoSuchBucket | BucketNotEmpty */
  delete({ bucketId }: Of<'DeleteBucket'>): void {
    this.require(bucketId);
    const isUsed =
      this.#sql.hasObjects.get(bucketId) !== undefined || this.#sql.hasVersions.get(bucketId) !== undefined;
    if (isUsed) throw new S3Error('BucketNotEmpty');
    this.#options.emit({ type: 'DeleteBucket', bucketId });
  }

  /** @throws S3Error NoSuchBucket | InvalidBucketState | NotImplemented in a store of format 1 */
  putConfiguration({ bucketId, name, value }: Of<'PutBucketConfiguration'>): void {
    this.#requireFormat(name);
    const { configuration } = this.require(bucketId);
    checkBucketConfiguration(name, { ...configuration, [name]: value });
    this.#write(bucketId, name, value);
  }

  /** @throws S3Error NoSuchBucket */
  deleteConfiguration({ bucketId, name }: Of<'DeleteBucketConfiguration'>): void {
    assert(name !== 'objectLock' && name !== 'versioning', `${name} is changed, never deleted`);
    if (this.require(bucketId).configuration[name] === undefined) return;
    this.#options.emit({ type: 'DeleteDocument', address: bucketConfigurationAddress(bucketId, name) });
  }

  /** A former server would keep the document and not obey it. */
  #requireFormat(name: BucketConfigurationName): void {
    requireStoreFormat(this.#options.formatVersion(), 2, `The bucket configuration "${name}"`);
  }

  #write(bucketId: number, name: BucketConfigurationName, value: BucketConfiguration[BucketConfigurationName]): void {
    const address = bucketConfigurationAddress(bucketId, name);
    this.#options.emit({ type: 'PutDocument', address, body: encodeBucketConfigurationValue(value) });
  }
}

function namesOf(configuration: BucketConfiguration): BucketConfigurationName[] {
  return Object.keys(configuration) as BucketConfigurationName[];
}

function prepareStatements(db: Database) {
  return {
    accountOfBucketName: db.prepare<[string], string>('SELECT account_id FROM buckets WHERE name = ?').pluck(),
    hasObjects: db.prepare<[number], number>('SELECT 1 FROM objects WHERE bucket_id = ? LIMIT 1').pluck(),
    hasVersions: db.prepare<[number], number>('SELECT 1 FROM versions WHERE bucket_id = ? LIMIT 1').pluck(),
  };
}
