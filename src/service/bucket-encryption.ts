import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { BucketEncryption } from '../model/bucket-encryption.ts';
import type { BucketRecord } from '../model/object-record.ts';

/** What PutBucketEncryption asks for; `undefined` members were not named. */
export interface BucketEncryptionRule {
  default: BucketEncryption['default'] | undefined;
  bucketKeyEnabled: boolean;
  /** `BlockedEncryptionTypes`. */
  blocksCustomerKeys: boolean | undefined;
}

/** How objects of a bucket are encrypted that do not say it themselves, and which ways are refused. */
export class BucketEncryptionService {
  readonly #metadataStore: Pick<MetadataStore, 'commit'>;
  readonly #serverDefault: 'AES256' | undefined;

  constructor(options: { metadataStore: Pick<MetadataStore, 'commit'>; serverDefault: 'AES256' | undefined }) {
    this.#metadataStore = options.metadataStore;
    this.#serverDefault = options.serverDefault;
  }

  /** What holds for the bucket; `undefined`: nothing is encrypted unless an upload asks for it. */
  read({ configuration }: BucketRecord): BucketEncryption | undefined {
    const own = configuration.encryption;
    if (own?.default !== undefined || this.#serverDefault === undefined) return own;
    return { bucketKeyEnabled: false, blocksCustomerKeys: false, ...own, default: { algorithm: this.#serverDefault } };
  }

  /** A block of SSE-C stays until it is lifted by name. @throws S3Error NoSuchBucket | NotImplemented (a store of format 1) */
  async put({ bucketId, configuration }: BucketRecord, rule: BucketEncryptionRule): Promise<void> {
    const { bucketKeyEnabled } = rule;
    const blocksCustomerKeys = rule.blocksCustomerKeys ?? configuration.encryption?.blocksCustomerKeys ?? false;
    const value: BucketEncryption = {
      ...(rule.default === undefined ? {} : { default: rule.default }),
      bucketKeyEnabled,
      blocksCustomerKeys,
    };
    await this.#metadataStore.commit({ type: 'PutBucketConfiguration', bucketId, name: 'encryption', value });
  }

  /** Takes the bucket's default away, and nothing else. @throws S3Error NoSuchBucket */
  async delete(bucket: BucketRecord): Promise<void> {
    const own = bucket.configuration.encryption;
    if (own === undefined) return;
    const { bucketId } = bucket;
    if (own.blocksCustomerKeys) {
      await this.put(bucket, { default: undefined, bucketKeyEnabled: false, blocksCustomerKeys: undefined });
    } else {
      await this.#metadataStore.commit({ type: 'DeleteBucketConfiguration', bucketId, name: 'encryption' });
    }
  }
}
