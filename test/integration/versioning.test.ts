import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMemoryFixture, elementOf, elementsOf, errorOf, type MemoryFixture } from '../support/service-fixture.ts';

let s3: MemoryFixture;
let bucket: string;
let bucketCount = 0;
beforeAll(async () => {
  s3 = await createMemoryFixture();
});
beforeEach(async () => {
  bucket = `versioned-${++bucketCount}`;
  await s3.createBucket(bucket);
});
afterAll(async () => {
  await s3.stop();
});

const setVersioning = (status: string, more = '') =>
  s3.call('PutBucketVersioning', {
    bucket,
    body: `<VersioningConfiguration><Status>${status}</Status>${more}</VersioningConfiguration>`,
  });
const versionOf = ({ headers }: { headers: Record<string, string | number> }) => headers['x-amz-version-id'] as string;
const put = async (key: string, body: string) => versionOf(await s3.put(bucket, key, body));
const ask = (operation: string, key: string, versionId?: string, headers: Record<string, string> = {}) =>
  s3.call(operation, { bucket, key, headers, query: versionId === undefined ? {} : { versionId } });
const textOf = async (key: string, versionId?: string) => (await ask('GetObject', key, versionId)).body.toString();
const listed = async (query: Record<string, string> = {}) =>
  (await s3.call('ListObjectVersions', { bucket, query })).body.toString();

describe('PutBucketVersioning', () => {
  it('enables and suspends, and GetBucketVersioning tells', async () => {
    const status = async () => elementOf((await s3.call('GetBucketVersioning', { bucket })).body, 'Status');
    expect(await status()).toBeUndefined();
    await setVersioning('Enabled');
    expect(await status()).toBe('Enabled');
    await setVersioning('Suspended', '<MfaDelete>Disabled</MfaDelete>');
    expect(await status()).toBe('Suspended');
  });

  it('refuses MFA delete, and what is no status', async () => {
    expect(await errorOf(setVersioning('Enabled', '<MfaDelete>Enabled</MfaDelete>'))).toMatchObject({ status: 501 });
    expect(await errorOf(setVersioning('Off'))).toMatchObject({ code: 'MalformedXML' });
    const empty = s3.call('PutBucketVersioning', { bucket, body: '<VersioningConfiguration/>' });
    expect(await errorOf(empty)).toMatchObject({ code: 'IllegalVersioningConfigurationException', status: 400 });
  });
});

describe('a bucket with versioning enabled', () => {
  it('answers the version id of every write, and each version by its id', async () => {
    await s3.put(bucket, 'key', 'before');
    await setVersioning('Enabled');
    const first = await put('key', 'first');
    const second = await put('key', 'second');
    expect(await textOf('key')).toBe('second');
    expect(await textOf('key', first)).toBe('first');
    expect(await textOf('key', 'null')).toBe('before');
    for (const operation of ['GetObject', 'HeadObject', 'GetObjectAttributes', 'GetObjectTagging']) {
      const headers = { 'x-amz-object-attributes': 'ETag' };
      expect(versionOf(await ask(operation, 'key', undefined, headers))).toBe(second);
      expect(versionOf(await ask(operation, 'key', first, headers))).toBe(first);
      expect(versionOf(await ask(operation, 'key', 'null', headers))).toBe('null');
    }
    expect((await ask('GetObjectAcl', 'key', first)).status).toBe(200);
  });

  it('tells a version that is not there from an id that never could be', async () => {
    await setVersioning('Enabled');
    await put('key', 'x');
    expect(await errorOf(ask('GetObject', 'key', 'a'.repeat(32)))).toMatchObject({
      code: 'NoSuchVersion',
      status: 404,
    });
    expect(await errorOf(ask('GetObject', 'key', 'no id'))).toMatchObject({ code: 'InvalidArgument', status: 400 });
    expect(await errorOf(ask('GetObject', 'key', ''))).toMatchObject({ code: 'InvalidArgument', status: 400 });
  });

  it('covers a deleted key with a marker: 404 for the key, 405 for the marker', async () => {
    await setVersioning('Enabled');
    const version = await put('key', 'x');
    const deleted = await ask('DeleteObject', 'key');
    expect(deleted).toMatchObject({ status: 204, headers: { 'x-amz-delete-marker': 'true' } });
    const marker = versionOf(deleted);
    for (const operation of ['GetObject', 'HeadObject']) {
      expect(await errorOf(ask(operation, 'key'))).toMatchObject({
        code: 'NoSuchKey',
        headers: { 'x-amz-delete-marker': 'true', 'x-amz-version-id': marker },
      });
      expect(await errorOf(ask(operation, 'key', marker))).toMatchObject({
        code: 'MethodNotAllowed',
        status: 405,
        headers: {
          allow: 'DELETE',
          'x-amz-delete-marker': 'true',
          'x-amz-version-id': marker,
          'last-modified': expect.stringMatching(/ GMT$/),
        },
      });
    }
    expect(await textOf('key', version)).toBe('x');
    expect(await ask('DeleteObject', 'key', marker)).toMatchObject({
      status: 204,
      headers: { 'x-amz-version-id': marker, 'x-amz-delete-marker': 'true' },
    });
    expect(await textOf('key')).toBe('x');
    expect((await ask('DeleteObject', 'key', version)).headers).toEqual({ 'x-amz-version-id': version });
    expect((await errorOf(ask('GetObject', 'key'))).headers).not.toHaveProperty('x-amz-delete-marker');
  });

  it('copies a version that is named, also back onto its key, and never a delete marker', async () => {
    await setVersioning('Enabled');
    const first = await put('key', 'first');
    await put('key', 'second');
    const copy = (source: string, key: string) =>
      s3.call('CopyObject', { bucket, key, headers: { 'x-amz-copy-source': source } });
    const copied = await copy(`/${bucket}/key?versionId=${first}`, 'other');
    expect(copied.headers).toMatchObject({ 'x-amz-copy-source-version-id': first });
    expect(await textOf('other', versionOf(copied))).toBe('first');
    await copy(`/${bucket}/key?versionId=${first}`, 'key');
    expect(await textOf('key')).toBe('first');
    expect(elementsOf(await listed({ prefix: 'key' }), 'VersionId')).toHaveLength(3);
    expect(await errorOf(copy(`/${bucket}/key`, 'key'))).toMatchObject({ code: 'InvalidRequest' });
    const marker = versionOf(await ask('DeleteObject', 'key'));
    expect(await errorOf(copy(`/${bucket}/key`, 'other'))).toMatchObject({ code: 'NoSuchKey' });
    expect(await errorOf(copy(`/${bucket}/key?versionId=${marker}`, 'other'))).toMatchObject({
      code: 'InvalidRequest',
      status: 400,
    });
  });

  it('makes a version of a multipart upload, whose retry answers the same one', async () => {
    await setVersioning('Enabled');
    const source = await put('source', 'part of an older version');
    await put('source', 'newer');
    const created = await s3.call('CreateMultipartUpload', { bucket, key: 'key' });
    const uploadId = elementOf(created.body, 'UploadId')!;
    const part = await s3.call('UploadPartCopy', {
      bucket,
      key: 'key',
      query: { uploadId, partNumber: '1' },
      headers: { 'x-amz-copy-source': `/${bucket}/source?versionId=${source}` },
    });
    expect(part.headers).toMatchObject({ 'x-amz-copy-source-version-id': source });
    const etag = elementOf(part.body, 'ETag');
    const complete = () =>
      s3.call('CompleteMultipartUpload', {
        bucket,
        key: 'key',
        query: { uploadId },
        body: `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`,
      });
    const version = versionOf(await complete());
    await put('key', 'afterwards');
    expect(versionOf(await complete())).toBe(version);
    expect(await textOf('key', version)).toBe('part of an older version');
    expect(await textOf('key')).toBe('afterwards');
  });

  it('deletes versions and makes markers in DeleteObjects, and tells which', async () => {
    await setVersioning('Enabled');
    const a = await put('a', 'a');
    await put('b', 'b');
    const marker = versionOf(await ask('DeleteObject', 'c'));
    const entries = [
      `<Key>a</Key><VersionId>${a}</VersionId>`,
      '<Key>b</Key>',
      `<Key>c</Key><VersionId>${marker}</VersionId>`,
    ];
    const objects = entries.map((entry) => `<Object>${entry}</Object>`).join('');
    const body = `<Delete>${objects}</Delete>`;
    const md5 = createHash('md5').update(body).digest('base64');
    const answer = (await s3.call('DeleteObjects', { bucket, body, headers: { 'content-md5': md5 } })).body.toString();
    expect(answer).toContain(`<Deleted><Key>a</Key><VersionId>${a}</VersionId></Deleted>`);
    expect(answer).toMatch(
      /<Deleted><Key>b<\/Key><DeleteMarker>true<\/DeleteMarker><DeleteMarkerVersionId>.{32}<\/DeleteMarkerVersionId><\/Deleted>/,
    );
    expect(answer).toContain(
      `<Deleted><Key>c</Key><VersionId>${marker}</VersionId><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>${marker}</DeleteMarkerVersionId></Deleted>`,
    );
    expect(elementsOf(await listed(), 'Key')).toEqual(['b', 'b']);
  });

  it('keeps its versions from DeleteBucket', async () => {
    await setVersioning('Enabled');
    const version = await put('key', 'x');
    const marker = versionOf(await ask('DeleteObject', 'key'));
    expect(await errorOf(s3.call('DeleteBucket', { bucket }))).toMatchObject({ code: 'BucketNotEmpty' });
    await ask('DeleteObject', 'key', version);
    await ask('DeleteObject', 'key', marker);
    expect((await s3.call('DeleteBucket', { bucket })).status).toBe(204);
  });
});

describe('a bucket with versioning suspended', () => {
  it('writes null versions, answers no id for them, and keeps the older versions', async () => {
    await setVersioning('Enabled');
    const kept = await put('key', 'kept');
    await setVersioning('Suspended');
    expect(await put('key', 'null 1')).toBeUndefined();
    expect(await put('key', 'null 2')).toBeUndefined();
    expect(versionOf(await ask('GetObject', 'key'))).toBe('null');
    expect(await textOf('key', 'null')).toBe('null 2');
    expect(await textOf('key', kept)).toBe('kept');
    const deleted = await ask('DeleteObject', 'key');
    expect(deleted.headers).toEqual({ 'x-amz-version-id': 'null', 'x-amz-delete-marker': 'true' });
    expect(elementsOf(await listed(), 'VersionId')).toEqual(['null', kept]);
    expect(await errorOf(ask('GetObject', 'key', 'null'))).toMatchObject({ code: 'MethodNotAllowed' });
  });
});

describe('ListObjectVersions', () => {
  it('mixes versions and delete markers in order, with what S3 says of each', async () => {
    await setVersioning('Enabled');
    const first = await put('a&b', 'one');
    const marker = versionOf(await ask('DeleteObject', 'a&b'));
    const last = await put('a&b', 'three');
    const xml = await listed();
    const parts = [...xml.matchAll(/<(Version|DeleteMarker)>(.*?)<\/\1>/g)].map(([, name, inner]) => [
      name,
      elementOf(inner!, 'VersionId'),
      elementOf(inner!, 'IsLatest'),
      elementOf(inner!, 'Size'),
    ]);
    expect(parts).toEqual([
      ['Version', last, 'true', '5'],
      ['DeleteMarker', marker, 'false', undefined],
      ['Version', first, 'false', '3'],
    ]);
    expect(xml).toContain('<Key>a&amp;b</Key>');
    expect(xml).toMatch(
      /<DeleteMarker><Key>[^<]*<\/Key><VersionId>[^<]*<\/VersionId><IsLatest>false<\/IsLatest><LastModified>[^<]*<\/LastModified><Owner>/,
    );
    expect(elementOf(await listed({ 'encoding-type': 'url' }), 'Key')).toBe('a%26b');
  });

  it('pages through keys, versions and common prefixes without gaps', async () => {
    await setVersioning('Enabled');
    for (const key of ['a', 'a', 'dir/1', 'dir/2', 'dir/2', 'z', 'z', 'z']) await put(key, 'x');
    const seen: string[] = [];
    let query: Record<string, string> = { 'max-keys': '2', delimiter: '/' };
    for (let page = 1; ; page++) {
      const xml = await listed(query);
      seen.push(...elementsOf(xml, 'VersionId'), ...elementsOf(xml.slice(xml.indexOf('<CommonPrefixes>')), 'Prefix'));
      if (elementOf(xml, 'IsTruncated') === 'false') break;
      expect(page).toBeLessThan(5);
      const versionIdMarker = elementOf(xml, 'NextVersionIdMarker');
      query = { ...query, 'key-marker': elementOf(xml, 'NextKeyMarker')!, 'version-id-marker': versionIdMarker ?? '' };
    }
    const all = await listed({ delimiter: '/' });
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.toSorted()).toEqual([...elementsOf(all, 'VersionId'), 'dir/'].toSorted());
    expect(await errorOf(listed({ 'version-id-marker': 'x' }))).toMatchObject({ code: 'InvalidArgument' });
  });
});
