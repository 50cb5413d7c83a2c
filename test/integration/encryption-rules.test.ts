import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { S3Error } from '../../src/errors/s3-error.ts';
import { decodeEncryption, encodeEncryption } from '../../src/service/encryption/encryption-record.ts';
import type { KeyService } from '../../src/keys/key-service.ts';
import { VaultKeyService } from '../../src/keys/vault-key-service.ts';
import { testKeyArn } from '../support/encryption-fixture.ts';
import { FakeVault } from '../support/fake-vault.ts';
import {
  type CallOptions,
  type CallResult,
  createMemoryFixture,
  type MemoryFixture,
} from '../support/service-fixture.ts';

const SSE = 'x-amz-server-side-encryption';
const KMS = { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: 'first' };
const KEY_A = customerHeaders(Buffer.alloc(32, 1));
const KEY_B = customerHeaders(Buffer.alloc(32, 2));

function customerHeaders(key: Buffer): Record<string, string> {
  return {
    [`${SSE}-customer-algorithm`]: 'AES256',
    [`${SSE}-customer-key`]: key.toString('base64'),
    [`${SSE}-customer-key-md5`]: createHash('md5').update(key).digest('base64'),
  };
}

function without(headers: Record<string, string>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([header]) => header !== `${SSE}-customer-${name}`));
}

let s3: MemoryFixture;
let vault: FakeVault;
let bucketCount = 0;
let bucket = '';

beforeAll(async () => {
  vault = new FakeVault();
  const address = await vault.start();
  vault.createKey('first');
  vault.createKey('aws-s3');
  const options = { address, mount: 'transit', token: vault.token, namespace: '', timeoutMs: 2000 };
  const keyService: KeyService = new VaultKeyService(options);
  s3 = await createMemoryFixture({ encryption: { keyService } });
});

afterAll(async () => {
  await s3.stop();
  await vault.stop();
});

beforeEach(async () => {
  bucket = `bucket-${++bucketCount}`;
  await s3.createBucket(bucket);
});

function call(operation: string, options: CallOptions = {}): Promise<CallResult> {
  return s3.call(operation, { bucket, key: 'key', isSecure: true, ...options });
}

async function failure(promise: Promise<unknown>): Promise<S3Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
  throw new Error('it succeeded');
}

async function stored(key = 'key', versionId?: string) {
  const { bucketId } = (await s3.metadata.getBucket(bucket))!;
  return (await s3.metadata.getObject({ bucketId, key, ...(versionId ? { versionId } : {}) }))!;
}

function putBucketEncryption(rule: string): Promise<CallResult> {
  const body = `<ServerSideEncryptionConfiguration><Rule>${rule}</Rule></ServerSideEncryptionConfiguration>`;
  return call('PutBucketEncryption', { body });
}

function defaultRule(algorithm: string, keyId = ''): string {
  const key = keyId === '' ? '' : `<KMSMasterKeyID>${keyId}</KMSMasterKeyID>`;
  return `<ApplyServerSideEncryptionByDefault><SSEAlgorithm>${algorithm}</SSEAlgorithm>${key}</ApplyServerSideEncryptionByDefault>`;
}

describe('headers of an upload', () => {
  const refusals: [what: string, headers: Record<string, string>, code: string, message: RegExp][] = [
    [
      'SSE-C beside SSE-S3',
      { ...KEY_A, [SSE]: 'AES256' },
      'InvalidArgument',
      /incompatible with the encryption method/,
    ],
    ['SSE-C beside SSE-KMS', { ...KEY_A, ...KMS }, 'InvalidArgument', /incompatible with the encryption method/],
    ['SSE-C without its algorithm', without(KEY_A, 'algorithm'), 'InvalidArgument', /valid encryption algorithm/],
    ['SSE-C without its key', without(KEY_A, 'key'), 'InvalidArgument', /appropriate secret key/],
    ['SSE-C without the MD5', without(KEY_A, 'key-md5'), 'InvalidArgument', /client calculated MD5/],
    [
      'another algorithm',
      { ...KEY_A, [`${SSE}-customer-algorithm`]: 'AES192' },
      'InvalidEncryptionAlgorithmError',
      /AES256/,
    ],
    [
      'an MD5 of another key',
      { ...KEY_A, [`${SSE}-customer-key-md5`]: KEY_B[`${SSE}-customer-key-md5`]! },
      'InvalidArgument',
      /did not match the hash/,
    ],
    ['a key of ten bytes', customerHeaders(Buffer.alloc(10)), 'InvalidArgument', /secret key was invalid/],
    ['a key of no bytes', customerHeaders(Buffer.alloc(0)), 'InvalidArgument', /secret key was invalid/],
    ['an unknown method', { [SSE]: 'aes:kms' }, 'InvalidArgument', /not supported/],
    ['an empty method', { [SSE]: '' }, 'InvalidArgument', /not supported/],
    ['DSSE', { [SSE]: 'aws:kms:dsse' }, 'NotImplemented', /not implemented/],
    ['a KMS key without SSE-KMS', { [`${SSE}-aws-kms-key-id`]: 'first' }, 'InvalidArgument', /requires HTTP header/],
    ['a KMS key beside SSE-S3', { ...KMS, [SSE]: 'AES256' }, 'InvalidArgument', /requires HTTP header/],
    [
      'a context that is no map',
      { ...KMS, [`${SSE}-context`]: Buffer.from('[1]').toString('base64') },
      'InvalidArgument',
      /string-string map/,
    ],
    [
      'a context with a number',
      { ...KMS, [`${SSE}-context`]: Buffer.from('{"a":1}').toString('base64') },
      'InvalidArgument',
      /string-string map/,
    ],
    [
      'a KMS key that is not there',
      { ...KMS, [`${SSE}-aws-kms-key-id`]: 'missing' },
      'KMS.NotFoundException',
      /does not exist/,
    ],
  ];

  it.each(refusals)('are refused: %s', async (_what, headers, code, message) => {
    for (const operation of ['PutObject', 'CreateMultipartUpload']) {
      const error = await failure(call(operation, { headers, body: 'x' }));
      expect(error.code).toBe(code);
      expect(error.message).toMatch(message);
      expect(JSON.stringify(error.details)).not.toContain(KEY_A[`${SSE}-customer-key`]);
    }
    expect(await failure(call('GetObject'))).toMatchObject({ code: 'NoSuchKey' });
  });

  it('with SSE-C are refused without TLS, on reads too', async () => {
    for (const operation of ['PutObject', 'CreateMultipartUpload', 'GetObject']) {
      const error = await failure(call(operation, { headers: KEY_A, body: '', isSecure: false }));
      expect(error.message).toMatch(/secure connection/);
    }
  });
});

describe('reads', () => {
  it('sec_wrong_or_absent_customer_key: of an SSE-C object are 400 without the key and 403 with another, and never bytes', async () => {
    await call('PutObject', { headers: KEY_A, body: 'secret' });
    const attributes = { 'x-amz-object-attributes': 'ObjectSize' };
    for (const operation of ['GetObject', 'HeadObject', 'GetObjectAttributes']) {
      const headers = operation === 'GetObjectAttributes' ? attributes : {};
      expect(await failure(call(operation, { headers }))).toMatchObject({ code: 'InvalidRequest', status: 400 });
      const other = await failure(call(operation, { headers: { ...headers, ...KEY_B } }));
      expect(other).toMatchObject({ code: 'AccessDenied', status: 403 });
    }
    const copy = { 'x-amz-copy-source': `/${bucket}/key` };
    expect(await failure(call('CopyObject', { key: 'copy', headers: copy }))).toMatchObject({ code: 'InvalidRequest' });
    await call('DeleteObject');
    expect(await failure(call('GetObject', { headers: KEY_A }))).toMatchObject({ code: 'NoSuchKey' });
  });

  it('with a customer’s key of an object that has none are 400, and so are those that ask for encryption', async () => {
    for (const write of [{}, { [SSE]: 'AES256' }, KMS]) {
      await call('PutObject', { headers: write, body: 'x' });
      for (const operation of ['GetObject', 'HeadObject']) {
        const error = await failure(call(operation, { headers: KEY_A }));
        expect(error.message).toMatch(/not applicable to this object/);
        expect(await failure(call(operation, { headers: { [SSE]: 'AES256' } }))).toMatchObject({ status: 400 });
      }
    }
  });

  it('look at conditions as for any object', async () => {
    const put = await call('PutObject', { headers: KMS, body: 'x' });
    const etag = String(put.headers['etag']);
    expect(await failure(call('GetObject', { headers: { 'if-none-match': etag } }))).toMatchObject({ status: 304 });
    expect(await failure(call('GetObject', { headers: { 'if-match': '"other"' } }))).toMatchObject({ status: 412 });
    const again = call('PutObject', { headers: { ...KMS, 'if-none-match': '*' }, body: 'y' });
    expect(await failure(again)).toMatchObject({ code: 'PreconditionFailed' });
  });
});

describe('uploads in parts with SSE-C', () => {
  it('take the same key on every part, and no other', async () => {
    const created = await call('CreateMultipartUpload', { headers: KEY_A });
    const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created.body.toString())![1]!;
    const query = { uploadId, partNumber: '1' };
    const none = await failure(call('UploadPart', { query, body: 'x' }));
    expect(none).toMatchObject({ code: 'InvalidRequest', status: 400 });
    const other = await failure(call('UploadPart', { query, headers: KEY_B, body: 'x' }));
    expect(other.message).toBe('The provided encryption parameters did not match the ones used originally.');
    const part = await call('UploadPart', { query, headers: KEY_A, body: 'x' });
    // AWS needs the key to complete only where a checksum was asked for at the creation.
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers['etag']}</ETag></Part></CompleteMultipartUpload>`;
    await call('CompleteMultipartUpload', { query: { uploadId }, body });
    expect((await call('GetObject', { headers: KEY_A })).body.toString()).toBe('x');
  });

  it('need the key to complete when a checksum was asked for', async () => {
    const created = await call('CreateMultipartUpload', {
      headers: { ...KEY_A, 'x-amz-checksum-algorithm': 'SHA256' },
    });
    const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created.body.toString())![1]!;
    const part = await call('UploadPart', { query: { uploadId, partNumber: '1' }, headers: KEY_A, body: 'x' });
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers['etag']}</ETag></Part></CompleteMultipartUpload>`;
    const complete = (headers: Record<string, string>) =>
      call('CompleteMultipartUpload', { query: { uploadId }, headers, body });
    expect(await failure(complete({}))).toMatchObject({ code: 'InvalidArgument', status: 400 });
    expect(await failure(complete(KEY_B))).toMatchObject({ status: 400 });
    expect((await complete(KEY_A)).body.toString()).toContain('<ChecksumSHA256>');
  });
});

describe('a bucket’s encryption', () => {
  it('is not found until it is put, and after it is deleted', async () => {
    const none = { code: 'ServerSideEncryptionConfigurationNotFoundError', status: 404 };
    expect(await failure(call('GetBucketEncryption'))).toMatchObject(none);
    await putBucketEncryption(defaultRule('AES256'));
    const got = (await call('GetBucketEncryption')).body.toString();
    expect(got).toContain('<SSEAlgorithm>AES256</SSEAlgorithm>');
    expect(got).toContain('<BucketKeyEnabled>false</BucketKeyEnabled>');
    expect((await call('DeleteBucketEncryption')).status).toBe(204);
    expect((await call('DeleteBucketEncryption')).status).toBe(204);
    expect(await failure(call('GetBucketEncryption'))).toMatchObject(none);
  });

  it('counts for uploads that say nothing, and not for those that do', async () => {
    await putBucketEncryption(`${defaultRule('aws:kms', 'first')}<BucketKeyEnabled>true</BucketKeyEnabled>`);
    const put = await call('PutObject', { body: 'x' });
    expect(put.headers[SSE]).toBe('aws:kms');
    expect(put.headers[`${SSE}-aws-kms-key-id`]).toBe(testKeyArn('first'));
    expect(put.headers[`${SSE}-bucket-key-enabled`]).toBe('true');
    expect((await call('PutObject', { headers: { [SSE]: 'AES256' }, body: 'x' })).headers[SSE]).toBe('AES256');
    const copy = await call('CopyObject', { key: 'copy', headers: { 'x-amz-copy-source': `/${bucket}/key` } });
    expect(copy.headers[SSE]).toBe('aws:kms');
    await call('DeleteBucketEncryption');
    expect((await call('HeadObject', { key: 'copy' })).headers[SSE]).toBe('aws:kms');
    expect((await call('PutObject', { body: 'x' })).headers[SSE]).toBeUndefined();
  });

  it('with a bucket key asks the key service once for many objects', async () => {
    await putBucketEncryption(`${defaultRule('aws:kms', 'first')}<BucketKeyEnabled>true</BucketKeyEnabled>`);
    const before = vault.asked.length;
    for (let count = 0; count < 5; count++) await call('PutObject', { key: `key-${count}`, body: 'x' });
    expect(vault.asked.length - before).toBe(1);
    await call('PutObject', { headers: { ...KMS, [`${SSE}-bucket-key-enabled`]: 'false' }, body: 'x' });
    expect(vault.asked.length - before).toBe(2);
  });

  it.each([
    ['no rule', '', 'MalformedXML'],
    ['an unknown algorithm', defaultRule('DES'), 'MalformedXML'],
    ['a key beside AES256', defaultRule('AES256', 'first'), 'InvalidArgument'],
    ['DSSE', defaultRule('aws:kms:dsse'), 'NotImplemented'],
    [
      'an unknown blocked type',
      '<BlockedEncryptionTypes><EncryptionType>SSE-S3</EncryptionType></BlockedEncryptionTypes>',
      'MalformedXML',
    ],
  ])('is refused with %s', async (_what, rule, code) => {
    expect(await failure(putBucketEncryption(rule))).toMatchObject({ code });
  });

  it('blocks SSE-C for new writes until that is lifted by name', async () => {
    await call('PutObject', { key: 'old', headers: KEY_A, body: 'x' });
    const created = await call('CreateMultipartUpload', { headers: KEY_A });
    const uploadId = /<UploadId>(.*)<\/UploadId>/.exec(created.body.toString())![1]!;
    const blocked = (type: string) =>
      putBucketEncryption(`<BlockedEncryptionTypes><EncryptionType>${type}</EncryptionType></BlockedEncryptionTypes>`);
    await blocked('SSE-C');
    const denied = { code: 'AccessDenied', status: 403 };
    for (const operation of ['PutObject', 'CreateMultipartUpload']) {
      expect(await failure(call(operation, { headers: KEY_A, body: 'x' }))).toMatchObject(denied);
    }
    const part = call('UploadPart', { query: { uploadId, partNumber: '1' }, headers: KEY_A, body: 'x' });
    expect(await failure(part)).toMatchObject(denied);
    expect((await call('GetObject', { key: 'old', headers: KEY_A })).body.toString()).toBe('x');
    await putBucketEncryption(defaultRule('AES256'));
    await call('DeleteBucketEncryption');
    expect(await failure(call('PutObject', { headers: KEY_A, body: 'x' }))).toMatchObject(denied);
    await blocked('NONE');
    await call('PutObject', { headers: KEY_A, body: 'x' });
  });
});

describe('security', () => {
  it('sec_plaintext_stored_while_claiming_sse__GHSA_xrrf: a key service that is down stores nothing, plain or sealed', async () => {
    vault.failWith = { status: 503, body: '{"errors":["Vault is sealed"]}' };
    try {
      const written = s3.data.bytesWritten;
      await expect(call('PutObject', { headers: KMS, body: 'x' })).rejects.toMatchObject({ code: 'KeysUnavailable' });
      const created = call('CreateMultipartUpload', { headers: KMS });
      await expect(created).rejects.toMatchObject({ code: 'KeysUnavailable' });
      expect(s3.data.bytesWritten).toBe(written);
    } finally {
      vault.failWith = undefined;
    }
    expect(await failure(call('GetObject'))).toMatchObject({ code: 'NoSuchKey' });
  });

  it('sec_kms_key_without_permission: GenerateDataKey and Decrypt are asked for before a key is used', async () => {
    const denied = async (action: string): Promise<void> => {
      throw new S3Error('AccessDenied', { message: action });
    };
    const asked = vault.asked.length;
    const put = await failure(call('PutObject', { headers: KMS, body: 'x', authorizeKey: denied }));
    expect(put).toMatchObject({ code: 'AccessDenied', message: 'kms:GenerateDataKey' });
    expect(vault.asked.length).toBe(asked);
    await call('PutObject', { headers: KMS, body: 'x' });
    const get = await failure(call('GetObject', { authorizeKey: denied }));
    expect(get).toMatchObject({ code: 'AccessDenied', message: 'kms:Decrypt' });
    const checksum = { 'x-amz-checksum-mode': 'ENABLED' };
    expect(await failure(call('HeadObject', { headers: checksum, authorizeKey: denied }))).toMatchObject({
      status: 403,
    });
    expect((await call('HeadObject', { authorizeKey: denied })).status).toBe(200);
  });

  /** What someone does who can write to the metadata: gives a version the record of another. */
  async function transplant(from: { key: string; versionId?: string }, to: { key: string; versionId?: string }) {
    const record = await stored(from.key, from.versionId);
    const target = await stored(to.key, to.versionId);
    const { metadataStore } = s3.stores;
    const original = metadataStore.getObject.bind(metadataStore);
    metadataStore.getObject = async (query) => {
      const found = await original(query);
      if (found === undefined || found.order !== target.order) return found;
      return { ...found, encryption: record.encryption!, blobs: record.blobs, sizeBytes: record.sizeBytes };
    };
    return () => {
      metadataStore.getObject = original;
    };
  }

  it.each([
    ['SSE-S3', { [SSE]: 'AES256' }],
    ['SSE-KMS', KMS],
  ])(
    'sec_sealed_key_moved_to_another_object: %s bytes and keys under another name do not open',
    async (_mode, headers) => {
      await call('PutObject', { key: 'a', headers, body: 'the first object' });
      await call('PutObject', { key: 'b', headers, body: 'the second one' });
      const restore = await transplant({ key: 'a' }, { key: 'b' });
      try {
        await expect(call('GetObject', { key: 'b' })).rejects.toMatchObject({ code: 'ShardCorrupt' });
      } finally {
        restore();
      }
    },
  );

  it('sec_old_version_under_a_newer_id: bytes and keys of one version do not open as another of the same key', async () => {
    await call('PutBucketVersioning', {
      body: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
    });
    const headers = { [SSE]: 'AES256' };
    const old = await call('PutObject', { headers, body: 'old' });
    const current = await call('PutObject', { headers, body: 'new' });
    const [from, to] = [old, current].map((put) => ({
      key: 'key',
      versionId: String(put.headers['x-amz-version-id']),
    }));
    expect((await call('GetObject', { query: { versionId: from!.versionId } })).body.toString()).toBe('old');
    const restore = await transplant(from!, to!);
    try {
      await expect(call('GetObject')).rejects.toMatchObject({ code: 'ShardCorrupt' });
    } finally {
      restore();
    }
  });

  it('sec_tampered_envelope_fields: a changed record is an error, never a crash or other bytes', async () => {
    await call('PutObject', { headers: { [SSE]: 'AES256' }, body: randomBytes(500) });
    const { encryption } = await stored();
    const record = decodeEncryption(encryption!);
    const other = Buffer.alloc(16, 3);
    const cases = [
      encodeEncryption({ ...record, salts: [other] }),
      encodeEncryption({ ...record, salts: [...record.salts, other] }),
      encodeEncryption({ ...record, salts: [] }),
      encodeEncryption({ ...record, seed: Buffer.alloc(12) }),
      encodeEncryption({ ...record, sealedDataKey: record.sealedDataKey.subarray(1) }),
      encodeEncryption({ ...record, source: { mode: 'AES256', keyVersion: 99 } }),
      encryption!.subarray(0, 40),
      Buffer.concat([Buffer.from([9]), encryption!.subarray(1)]),
    ];
    const { metadataStore } = s3.stores;
    const original = metadataStore.getObject.bind(metadataStore);
    for (const changed of cases) {
      metadataStore.getObject = async (query) => ({ ...(await original(query))!, encryption: changed });
      await expect(call('GetObject')).rejects.toMatchObject({
        code: expect.stringMatching(/^(ShardCorrupt|KeysUnavailable)$/),
      });
    }
    metadataStore.getObject = original;
    expect((await call('GetObject')).body).toHaveLength(500);
  });

  it('sec_secret_in_metadata_or_stripes: no key, no checksum and no plain byte lies in records or descriptors', async () => {
    const body = Buffer.from('a marker that nobody else writes, and then some more of it');
    const sha256 = createHash('sha256').update(body).digest('base64');
    for (const headers of [{ [SSE]: 'AES256' }, KMS, KEY_A]) {
      await call('PutObject', { headers: { ...headers, 'x-amz-checksum-sha256': sha256 }, body });
      const record = await stored();
      const haystack = Buffer.concat([
        record.encryption!,
        Buffer.from(JSON.stringify(record)),
        ...s3.data.descriptors,
        ...record.blobs.map((blob) => s3.data.bytesOf(blob)),
      ]);
      for (const secret of [
        body.subarray(2, 8),
        Buffer.from(sha256),
        Buffer.alloc(32, 1),
        Buffer.from(KEY_A[`${SSE}-customer-key`]!),
      ]) {
        expect(haystack.includes(secret)).toBe(false);
      }
    }
  });
});
