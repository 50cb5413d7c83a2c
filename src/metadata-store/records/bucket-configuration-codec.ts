import type { BucketConfiguration, BucketConfigurationName } from '../../model/bucket-configuration.ts';
import type { DocumentAddress } from '../metadata-store.ts';

/** Documents of these collections are keyed by bucket id and go with their bucket. */
const PREFIX = 'bucket-';

/** Collection of each member, after the prefix. A name is never used again for anything else. */
const COLLECTIONS: { readonly [Name in BucketConfigurationName]: string } = {
  versioning: 'versioning',
  encryption: 'encryption',
  objectLock: 'object-lock',
  tagging: 'tagging',
  lifecycle: 'lifecycle',
  policy: 'policy',
  cors: 'cors',
  publicAccessBlock: 'public-access-block',
  ownershipControls: 'ownership-controls',
  acl: 'acl',
  requestPayment: 'request-payment',
};

const names = new Map(
  Object.entries(COLLECTIONS).map(([name, collection]) => [PREFIX + collection, name as BucketConfigurationName]),
);

export function bucketConfigurationAddress(bucketId: number, name: BucketConfigurationName): DocumentAddress {
  return { collection: PREFIX + COLLECTIONS[name], id: String(bucketId) };
}

/** The bucket that a document belongs to; `undefined`: to none. */
export function bucketOfDocument({ collection, id }: DocumentAddress): number | undefined {
  return collection.startsWith(PREFIX) ? Number(id) : undefined;
}

/** The documents of one bucket as a whole. One of a later format has no member here and stays what it is. */
export function decodeBucketConfiguration(
  documents: readonly (readonly [collection: string, body: Buffer])[],
): BucketConfiguration {
  const configuration: Record<string, unknown> = {};
  for (const [collection, body] of documents) {
    const name = names.get(collection);
    if (name !== undefined) configuration[name] = JSON.parse(body.toString());
  }
  return configuration;
}

export function encodeBucketConfigurationValue(value: BucketConfiguration[BucketConfigurationName]): Buffer {
  return Buffer.from(JSON.stringify(value));
}
