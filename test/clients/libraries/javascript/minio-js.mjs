// minio-js: objects, parts, presigned URLs, versions, tags, object lock and server-side encryption.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Client } from 'minio';

const { ENDPOINT, ACCESS_KEY, SECRET_KEY } = process.env;
const where = new URL(ENDPOINT);
const client = new Client({
  endPoint: where.hostname,
  port: Number(where.port || (where.protocol === 'https:' ? 443 : 80)),
  useSSL: where.protocol === 'https:',
  accessKey: ACCESS_KEY,
  secretKey: SECRET_KEY,
  region: 'us-east-1',
  partSize: 5 * 1024 * 1024,
});
const bucketName = () => `minio-js-${randomBytes(6).toString('hex')}`;

async function collect(stream) {
  const entries = [];
  for await (const entry of stream) entries.push(entry);
  return entries;
}

async function read(bucket, key, options) {
  return Buffer.concat(await collect(await client.getObject(bucket, key, options)));
}

// objects and parts
let bucket = bucketName();
await client.makeBucket(bucket);
const large = randomBytes(17 * 1024 * 1024 + 3);
await client.putObject(bucket, 'a/large one', large, large.length, { 'X-Amz-Meta-Kind': 'large' });
assert.ok((await read(bucket, 'a/large one')).equals(large));
assert.equal((await client.statObject(bucket, 'a/large one')).metaData.kind, 'large');
await client.copyObject(bucket, 'copied', `/${bucket}/a/large one`);
const answer = await fetch(await client.presignedGetObject(bucket, 'copied', 60));
assert.ok(Buffer.from(await answer.arrayBuffer()).equals(large));
assert.deepEqual(
  (await collect(client.listObjectsV2(bucket, '', true))).map((entry) => entry.name),
  ['a/large one', 'copied'],
);
await client.removeObjects(bucket, ['copied', 'a/large one']);
await client.removeBucket(bucket);

// versions and tags
bucket = bucketName();
await client.makeBucket(bucket);
await client.setBucketVersioning(bucket, { Status: 'Enabled' });
const first = await client.putObject(bucket, 'key', 'first');
await client.putObject(bucket, 'key', 'second');
await client.removeObject(bucket, 'key');
assert.equal(String(await read(bucket, 'key', { versionId: first.versionId })), 'first');
const versions = await collect(client.listObjects(bucket, '', true, { IncludeVersion: true }));
assert.equal(versions.length, 3);
await client.setObjectTagging(bucket, 'key', { kind: 'first of them' }, { versionId: first.versionId });
assert.deepEqual(await client.getObjectTagging(bucket, 'key', { versionId: first.versionId }), [
  { Key: 'kind', Value: 'first of them' },
]);

// object lock
bucket = bucketName();
await client.makeBucket(bucket, 'us-east-1', { ObjectLocking: true });
const kept = await client.putObject(bucket, 'kept', 'kept');
const retainUntilDate = new Date(Math.ceil(Date.now() / 1000 + 3600) * 1000).toISOString();
await client.putObjectRetention(bucket, 'kept', { mode: 'COMPLIANCE', retainUntilDate, versionId: kept.versionId });
await assert.rejects(client.removeObject(bucket, 'kept', { versionId: kept.versionId }), { code: 'AccessDenied' });
assert.equal(String(await read(bucket, 'kept', { versionId: kept.versionId })), 'kept');

// server-side encryption as the bucket's default
bucket = bucketName();
await client.makeBucket(bucket);
await client.setBucketEncryption(bucket, {
  Rule: [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
});
await client.putObject(bucket, 'sealed', 'sealed');
const sealed = await client.statObject(bucket, 'sealed');
assert.equal(sealed.metaData['server-side-encryption'] ?? sealed.metaData['x-amz-server-side-encryption'], 'AES256');
assert.equal(String(await read(bucket, 'sealed')), 'sealed');
