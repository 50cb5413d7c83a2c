import type { Database } from 'better-sqlite3';
import type { BucketConfiguration } from '../../model/bucket-configuration.ts';
import { decodeBucketConfiguration } from '../records/bucket-configuration-codec.ts';

/** Reads what is configured of a bucket, as the connection sees it. */
export function prepareBucketConfiguration(db: Database): (bucketId: number) => BucketConfiguration {
  const documents = db
    .prepare<[string], [string, Buffer]>(
      `SELECT collection, body FROM documents WHERE id = ? AND collection >= 'bucket-' AND collection < 'bucket.'`,
    )
    .raw();
  return (bucketId) => decodeBucketConfiguration(documents.all(String(bucketId)));
}
