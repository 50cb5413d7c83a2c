import type { DataStore } from '../data-store/data-store.ts';
import { S3Error } from '../errors/s3-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import { STANDARD } from '../model/storage-class.ts';
import { requireStoreFormat } from '../model/store-format.ts';

/** The class of new objects in the buckets that a pattern means; `*` stands for any characters. */
export interface BucketClass {
  readonly pattern: string;
  readonly storageClass: string;
}

export interface StorageClassesOptions {
  dataStore: Pick<DataStore, 'storageClasses'>;
  metadataStore: Pick<MetadataStore, 'formatVersion'>;
  /** The first that matches counts. */
  bucketClasses: readonly BucketClass[];
}

/** Which storage classes objects can have, and which one a new object gets. */
export class StorageClasses {
  readonly #options: StorageClassesOptions;
  readonly #patterns: readonly { matches: RegExp; storageClass: string }[];

  constructor(options: StorageClassesOptions) {
    this.#options = options;
    this.#patterns = options.bucketClasses.map(({ pattern, storageClass }) => ({
      matches: new RegExp(`^${pattern.replaceAll('.', '\\.').replaceAll('*', '.*')}$`),
      storageClass,
    }));
  }

  /** STANDARD first. */
  names(): ReadonlySet<string> {
    return new Set(this.#options.dataStore.storageClasses().map(({ name }) => name));
  }

  /**
   * The class of a new object: the one that the client names, else that of the bucket.
   *
   * @param named `x-amz-storage-class`
   * @throws S3Error InvalidStorageClass | NotImplemented: the store is still of format 1
   */
  choose(bucketName: string, named: string | undefined): string {
    const storageClass = named ?? this.#defaultOf(bucketName);
    if (storageClass === STANDARD) return STANDARD;
    const names = this.names();
    if (!names.has(storageClass)) throw invalidStorageClass(storageClass, names);
    requireStoreFormat(this.#options.metadataStore.formatVersion(), 2, 'A storage class other than STANDARD');
    return storageClass;
  }

  #defaultOf(bucketName: string): string {
    if (this.#patterns.length === 0) return STANDARD;
    return this.#patterns.find(({ matches }) => matches.test(bucketName))?.storageClass ?? STANDARD;
  }
}

/** A class that this server does not have. */
export function invalidStorageClass(storageClass: string, names: ReadonlySet<string>): S3Error {
  return new S3Error('InvalidStorageClass', {
    message: `The storage class you specified is not valid: this server has ${[...names].join(', ')}`,
    details: { StorageClassRequested: storageClass },
  });
}
