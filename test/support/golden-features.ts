import { createHash } from 'node:crypto';
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketPolicyCommand,
  GetBucketTaggingCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  GetObjectLegalHoldCommand,
  GetObjectLockConfigurationCommand,
  GetObjectRetentionCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  PutBucketTaggingCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  PutObjectLockConfigurationCommand,
  PutObjectTaggingCommand,
  RenameObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { GoldenManifest } from './golden-disks.ts';

type Version = NonNullable<GoldenManifest['versions']>[number];
type Answers = NonNullable<GoldenManifest['answers']>;

export const KMS_KEY = 'golden';
/** What the server that opens the disks is configured with. */
export const GOLDEN_ENVIRONMENT = {
  HOLDFAST_STORAGE_CLASSES: 'ARCHIVE=3+3',
  HOLDFAST_CUSTOMER_KEYS_OVER_HTTP: 'true',
};
const CUSTOMER_KEY = createHash('sha256').update('golden customer key').digest('base64');
const CUSTOMER_KEY_MD5 = createHash('md5').update(Buffer.from(CUSTOMER_KEY, 'base64')).digest('base64');
const CUSTOMER = {
  SSECustomerAlgorithm: 'AES256',
  SSECustomerKey: CUSTOMER_KEY,
  SSECustomerKeyMD5: CUSTOMER_KEY_MD5,
};
const FAR = new Date('2099-01-01T00:00:00Z');

/** What can be asked, by the name of the operation. */
const COMMANDS = {
  GetBucketEncryption: GetBucketEncryptionCommand,
  GetBucketLifecycleConfiguration: GetBucketLifecycleConfigurationCommand,
  GetBucketPolicy: GetBucketPolicyCommand,
  GetBucketTagging: GetBucketTaggingCommand,
  GetBucketVersioning: GetBucketVersioningCommand,
  GetObjectLegalHold: GetObjectLegalHoldCommand,
  GetObjectLockConfiguration: GetObjectLockConfigurationCommand,
  GetObjectRetention: GetObjectRetentionCommand,
  GetObjectTagging: GetObjectTaggingCommand,
  HeadObject: HeadObjectCommand,
  ListObjectVersions: ListObjectVersionsCommand,
} as const;

/** The answer as JSON, without what belongs to the one request. */
export async function ask(client: S3Client, operation: string, input: object): Promise<unknown> {
  const Command = COMMANDS[operation as keyof typeof COMMANDS] as new (input: object) => HeadObjectCommand;
  const { $metadata: _, ...answer } = await client.send(new Command(input));
  return JSON.parse(JSON.stringify(answer)) as unknown;
}

export async function readVersion(client: S3Client, version: Version): Promise<object> {
  const { bucket, key, versionId, isCustomers } = version;
  const address = { Bucket: bucket, Key: key, ...(versionId === undefined ? {} : { VersionId: versionId }) };
  const answer = await client.send(new GetObjectCommand({ ...address, ...(isCustomers === true ? CUSTOMER : {}) }));
  const bytes = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { sizeBytes: bytes.length, sha256, etag: answer.ETag };
}

/** The key of SSE-C, for whoever reads without a server. */
export function goldenCustomerKey(): string {
  return CUSTOMER_KEY;
}

/** Long lines, so that it compresses; no two bodies are alike. */
function textOf(what: string, sizeBytes: number): Buffer {
  const line = `${what} ${'.'.repeat(sizeBytes > 100_000 ? 16_000 : 0)}\n`;
  return Buffer.from(line.repeat(Math.ceil(sizeBytes / line.length))).subarray(0, sizeBytes);
}

/** Everything that format 2 brought: versions, markers, locks, tags, configurations, encryption, classes. */
export class GoldenFeatures {
  readonly versions: Version[];
  readonly #client: S3Client;

  constructor(client: S3Client, versions: readonly Version[] = []) {
    this.#client = client;
    this.versions = [...versions];
  }

  async write(): Promise<void> {
    await this.#versioned();
    await this.#locked();
    await this.#encrypted();
    await this.#classes();
    await this.#configured();
  }

  async #put(
    what: string,
    address: { bucket: string; key: string },
    sizeBytes: number,
    more: Partial<PutObjectCommandInput> = {},
  ): Promise<Version> {
    const { bucket, key } = address;
    const body = textOf(what, sizeBytes);
    const input = { Bucket: bucket, Key: key, Body: body, Metadata: { what }, ...more };
    const { ETag: etag = '', VersionId: versionId } = await this.#client.send(new PutObjectCommand(input));
    const version: Version = {
      bucket,
      key,
      ...(versionId === undefined ? {} : { versionId }),
      sizeBytes,
      sha256: createHash('sha256').update(body).digest('hex'),
      etag,
      ...(more.SSECustomerKey === undefined ? {} : { isCustomers: true }),
    };
    this.versions.push(version);
    return version;
  }

  async #versioned(): Promise<void> {
    const client = this.#client;
    const Bucket = 'versioned';
    await client.send(new CreateBucketCommand({ Bucket }));
    const versioning = (Status: 'Enabled' | 'Suspended'): Promise<unknown> =>
      client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }));
    const kept = await this.#put('before versioning', { bucket: Bucket, key: 'doc' }, 300);
    kept.versionId = 'null';
    await versioning('Enabled');
    for (const size of [700, 140_000]) await this.#put(`doc ${size}`, { bucket: Bucket, key: 'doc' }, size);
    const tagged = await this.#put('tagged', { bucket: Bucket, key: 'tagged' }, 90, { Tagging: 'colour=red&size=1' });
    await this.#put('tagged later', { bucket: Bucket, key: 'tagged' }, 91);
    const Tagging = { TagSet: [{ Key: 'colour', Value: 'blue' }] };
    const ofTagged = {
      Bucket,
      Key: 'tagged',
      ...(tagged.versionId === undefined ? {} : { VersionId: tagged.versionId }),
    };
    await client.send(new PutObjectTaggingCommand({ ...ofTagged, Tagging }));
    await this.#put('under a marker', { bucket: Bucket, key: 'marked' }, 5000);
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'marked' }));
    const gone = await this.#put('gone for good', { bucket: Bucket, key: 'doc' }, 800);
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'doc', VersionId: gone.versionId }));
    this.versions.pop();
    await versioning('Suspended');
    const last = await this.#put('while suspended', { bucket: Bucket, key: 'suspended' }, 60);
    last.versionId = 'null';
  }

  async #locked(): Promise<void> {
    const client = this.#client;
    const Bucket = 'locked';
    await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
    const Rule = { DefaultRetention: { Mode: 'GOVERNANCE', Days: 36_500 } } as const;
    await this.#put('kept', { bucket: Bucket, key: 'compliance' }, 200, {
      ObjectLockMode: 'COMPLIANCE',
      ObjectLockRetainUntilDate: FAR,
    });
    await this.#put('held', { bucket: Bucket, key: 'held' }, 201, { ObjectLockLegalHoldStatus: 'ON' });
    const ObjectLockConfiguration = { ObjectLockEnabled: 'Enabled', Rule } as const;
    await client.send(new PutObjectLockConfigurationCommand({ Bucket, ObjectLockConfiguration }));
    await this.#put('by default', { bucket: Bucket, key: 'default' }, 202);
  }

  async #encrypted(): Promise<void> {
    const bucket = 'encrypted';
    await this.#client.send(new CreateBucketCommand({ Bucket: bucket }));
    const kms = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: KMS_KEY } as const;
    await this.#put('sse-s3', { bucket, key: 'sse-s3' }, 900, { ServerSideEncryption: 'AES256' });
    await this.#put('sse-s3 large', { bucket, key: 'sse-s3 large' }, 70_000, { ServerSideEncryption: 'AES256' });
    await this.#put('sse-kms', { bucket, key: 'sse-kms' }, 901, kms);
    await this.#put('sse-c', { bucket, key: 'sse-c' }, 902, CUSTOMER);
    const Rules = [
      { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: KMS_KEY } } as const,
    ];
    const ServerSideEncryptionConfiguration = { Rules };
    await this.#client.send(new PutBucketEncryptionCommand({ Bucket: bucket, ServerSideEncryptionConfiguration }));
    await this.#put('by the bucket', { bucket, key: 'by the bucket' }, 903);
  }

  async #classes(): Promise<void> {
    const bucket = 'classes';
    await this.#client.send(new CreateBucketCommand({ Bucket: bucket }));
    for (const StorageClass of ['ARCHIVE', 'REDUCED_REDUNDANCY'] as const) {
      // A name of this cluster's own.
      const more = { StorageClass } as Partial<PutObjectCommandInput>;
      for (const size of [400, 150_000])
        await this.#put(StorageClass, { bucket, key: `${StorageClass}/${size}` }, size, more);
    }
  }

  async #configured(): Promise<void> {
    const client = this.#client;
    const Bucket = 'configured';
    await client.send(new CreateBucketCommand({ Bucket }));
    const Filter = { And: { Prefix: 'old/', Tags: [{ Key: 'expires', Value: 'yes' }] } };
    const Rules = [{ ID: 'late', Status: 'Enabled', Filter, Expiration: { Days: 36_500 } } as const];
    const LifecycleConfiguration = { Rules };
    await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }));
    const Tagging = { TagSet: [{ Key: 'owner', Value: 'golden' }] };
    await client.send(new PutBucketTaggingCommand({ Bucket, Tagging }));
    const Statement = {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:GetObject',
      Resource: `arn:aws:s3:::${Bucket}/secret/*`,
    };
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
    await client.send(new PutBucketPolicyCommand({ Bucket, Policy }));
    await this.#put('old', { bucket: Bucket, key: 'old/one' }, 50, { Tagging: 'expires=yes' });
    const renamed = await this.#put('renamed', { bucket: Bucket, key: 'first name' }, 51);
    const RenameSource = 'first%20name';
    await client.send(new RenameObjectCommand({ Bucket, Key: 'second name', RenameSource }));
    renamed.key = 'second name';
  }

  /** What a server says of all that now. */
  async answers(): Promise<Answers> {
    const questions: [string, object][] = [
      ...['versioned', 'locked', 'configured'].map((Bucket): [string, object] => ['ListObjectVersions', { Bucket }]),
      ['GetBucketVersioning', { Bucket: 'versioned' }],
      ['GetObjectLockConfiguration', { Bucket: 'locked' }],
      ['GetObjectRetention', { Bucket: 'locked', Key: 'compliance' }],
      ['GetObjectRetention', { Bucket: 'locked', Key: 'default' }],
      ['GetObjectLegalHold', { Bucket: 'locked', Key: 'held' }],
      ['GetBucketEncryption', { Bucket: 'encrypted' }],
      ['GetBucketLifecycleConfiguration', { Bucket: 'configured' }],
      ['GetBucketTagging', { Bucket: 'configured' }],
      ['GetBucketPolicy', { Bucket: 'configured' }],
    ];
    for (const { bucket, key, versionId, isCustomers } of this.versions) {
      const address = { Bucket: bucket, Key: key, ...(versionId === undefined ? {} : { VersionId: versionId }) };
      questions.push(['HeadObject', { ...address, ...(isCustomers === true ? CUSTOMER : {}) }]);
      questions.push(['GetObjectTagging', address]);
    }
    const answers: Answers = [];
    for (const [operation, input] of questions) {
      answers.push({ operation, input, answer: await ask(this.#client, operation, input) });
    }
    return answers;
  }
}
