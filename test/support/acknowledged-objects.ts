import {
  CreateBucketCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { payloadOf } from './payload.ts';

/** Remembers every acknowledged write of one bucket, and checks that all of them read back, listed and byte-identical. */
export class AcknowledgedObjects {
  readonly bucket: string;
  /** Key → the identity whose payload it must hold, and its size. */
  readonly expected = new Map<string, { identity: string; sizeBytes: number }>();

  constructor(bucket: string) {
    this.bucket = bucket;
  }

  async createBucket(client: S3Client): Promise<void> {
    await client.send(new CreateBucketCommand({ Bucket: this.bucket }));
  }

  /** Resolves only when the server acknowledged it. */
  async put(
    client: S3Client,
    key: string,
    sizeBytes: number,
    identity = `${key}@${this.expected.size}`,
  ): Promise<void> {
    await client.send(new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: payloadOf(identity, sizeBytes) }));
    this.expected.set(key, { identity, sizeBytes });
  }

  /** @returns one sentence per object that is missing, wrong or not listed; empty when all is well. */
  async violations(client: S3Client, { exactListing = true } = {}): Promise<string[]> {
    const found: string[] = [];
    const keys = [...this.expected.keys()];
    for (let at = 0; at < keys.length; at += 16) {
      await Promise.all(
        keys.slice(at, at + 16).map(async (key) => {
          const wanted = this.expected.get(key);
          if (wanted === undefined) return;
          try {
            const answer = await client.send(new GetObjectCommand({ Bucket: this.bucket, Key: key }));
            const bytes = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
            if (!bytes.equals(payloadOf(wanted.identity, wanted.sizeBytes))) found.push(`${key}: wrong bytes`);
          } catch (error) {
            found.push(`${key}: ${String(error)}`);
          }
        }),
      );
    }
    const listed = new Set<string>();
    let token: string | undefined;
    do {
      const page = await client.send(
        new ListObjectsV2Command({ Bucket: this.bucket, ...(token === undefined ? {} : { ContinuationToken: token }) }),
      );
      for (const entry of page.Contents ?? []) if (entry.Key !== undefined) listed.add(entry.Key);
      token = page.NextContinuationToken;
    } while (token !== undefined);
    for (const key of keys) if (!listed.has(key)) found.push(`${key}: not listed`);
    if (exactListing)
      for (const key of listed) if (!this.expected.has(key)) found.push(`${key}: listed but never acknowledged`);
    return found;
  }
}
