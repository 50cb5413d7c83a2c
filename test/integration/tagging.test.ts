import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Tag } from '../../src/model/object-record.ts';
import {
  codeOf,
  createMemoryFixture,
  errorOf,
  type CallResult,
  type MemoryFixture,
} from '../support/service-fixture.ts';

let s3: MemoryFixture;
let bucket: string;
let bucketCount = 0;
beforeAll(async () => {
  s3 = await createMemoryFixture();
});
beforeEach(async () => {
  bucket = `bucket-${++bucketCount}`;
  await s3.createBucket(bucket);
});
afterAll(async () => {
  await s3.stop();
});

const tag = (key: string, value = ''): Tag => ({ key, value });
const many = (count: number): Tag[] => Array.from({ length: count }, (_, i) => tag(`k${100 + i}`, `v${i}`));
const tagSet = (tags: readonly Tag[]): string =>
  `<TagSet>${tags.map(({ key, value }) => `<Tag><Key>${key}</Key><Value>${value}</Value></Tag>`).join('')}</TagSet>`;
const tagging = (tags: readonly Tag[]): string => `<Tagging>${tagSet(tags)}</Tagging>`;
const tagsIn = ({ body }: CallResult): string => /<TagSet>.*<\/TagSet>|<TagSet\/>/.exec(body.toString())![0];
const putTags = (key: string, tags: readonly Tag[], query: Record<string, string> = {}) =>
  s3.call('PutObjectTagging', { bucket, key, query, body: tagging(tags) });
const getTags = async (key: string, query: Record<string, string> = {}) =>
  tagsIn(await s3.call('GetObjectTagging', { bucket, key, query }));
const enableVersioning = async (): Promise<void> => {
  const record = await s3.services.buckets.requireBucket(bucket);
  await s3.services.buckets.putConfiguration(record, { name: 'versioning', value: { status: 'Enabled' } });
};

/** What breaks the rules of a set of tags, whichever way it comes. */
const BAD_SETS: readonly (readonly [string, readonly Tag[], string, string])[] = [
  ['an empty key', [tag('')], 'InvalidTag', 'The TagKey you have provided is invalid'],
  ['a key of 129 characters', [tag('k'.repeat(129))], 'InvalidTag', 'The TagKey you have provided is invalid'],
  ['a key of 65 surrogate pairs', [tag('𝒜'.repeat(65))], 'InvalidTag', 'The TagKey you have provided is invalid'],
  ['a value of 257 characters', [tag('k', 'v'.repeat(257))], 'InvalidTag', 'The TagValue you have provided is invalid'],
  ['a character that is not allowed', [tag('k', 'a;b')], 'InvalidTag', 'The TagValue you have provided is invalid'],
  ['a line break', [tag('a\nb')], 'InvalidTag', 'The TagKey you have provided is invalid'],
];

describe('object tags', () => {
  it('are replaced and deleted as a whole, answered by key, and counted', async () => {
    await s3.put(bucket, 'key', 'body', { 'x-amz-tagging': 'old=1' });
    expect(await putTags('key', [tag('b', '2'), tag('a', '1'), tag('A', '')])).toMatchObject({
      status: 200,
      headers: {},
    });
    expect(await getTags('key')).toBe(tagSet([tag('A'), tag('a', '1'), tag('b', '2')]));
    expect((await s3.get(bucket, 'key')).headers['x-amz-tagging-count']).toBe(3);
    expect((await s3.call('DeleteObjectTagging', { bucket, key: 'key' })).status).toBe(204);
    expect(await getTags('key')).toBe('<TagSet></TagSet>');
    expect((await s3.get(bucket, 'key')).headers).not.toHaveProperty('x-amz-tagging-count');
    expect((await s3.call('DeleteObjectTagging', { bucket, key: 'key' })).status).toBe(204);
  });

  it('change nothing else of the object: neither ETag nor time, headers nor bytes', async () => {
    const headers = { 'content-type': 'text/x', 'x-amz-meta-a': '1', 'cache-control': 'no-cache' };
    await s3.put(bucket, 'key', 'body', headers);
    const before = await s3.get(bucket, 'key');
    s3.clock.jumpWallClock(60_000);
    await putTags('key', [tag('a', '1')]);
    const after = await s3.get(bucket, 'key');
    expect(after.body).toEqual(before.body);
    expect(after.headers).toEqual({ ...before.headers, 'x-amz-tagging-count': 1 });
  });

  it('belong to one version each', async () => {
    await s3.put(bucket, 'key', 'null version');
    await enableVersioning();
    const first = String((await s3.put(bucket, 'key', 'first')).headers['x-amz-version-id']);
    await s3.put(bucket, 'key', 'second', { 'x-amz-tagging': 'second=' });
    expect((await putTags('key', [tag('first')], { versionId: first })).headers).toEqual({ 'x-amz-version-id': first });
    expect((await putTags('key', [tag('null')], { versionId: 'null' })).headers['x-amz-version-id']).toBe('null');
    expect(await getTags('key')).toBe(tagSet([tag('second')]));
    expect(await getTags('key', { versionId: first })).toBe(tagSet([tag('first')]));
    expect(await getTags('key', { versionId: 'null' })).toBe(tagSet([tag('null')]));
    const deleted = await s3.call('DeleteObjectTagging', { bucket, key: 'key', query: { versionId: first } });
    expect(deleted.headers['x-amz-version-id']).toBe(first);
    expect(await getTags('key', { versionId: first })).toBe('<TagSet></TagSet>');
    expect(await getTags('key')).toBe(tagSet([tag('second')]));
    const { bucketId } = await s3.services.buckets.requireBucket(bucket);
    const everything = { bucketId, prefix: '', delimiter: '', keyMarker: '', versionIdMarker: '', limit: 10 };
    const { versions } = await s3.metadata.listVersions(everything);
    expect(versions).toHaveLength(3);
  });

  it('of what is not there are refused', async () => {
    expect(await codeOf(putTags('missing', []))).toBe('NoSuchKey');
    expect(await codeOf(s3.call('DeleteObjectTagging', { bucket, key: 'missing' }))).toBe('NoSuchKey');
    expect(await codeOf(s3.call('PutObjectTagging', { bucket: 'nowhere', key: 'k', body: tagging([]) }))).toBe(
      'NoSuchBucket',
    );
    await s3.put(bucket, 'key', 'x');
    expect(await codeOf(putTags('key', [], { versionId: 'other' }))).toBe('NoSuchVersion');
    expect(await codeOf(putTags('key', [], { versionId: 'no such shape' }))).toBe('InvalidArgument');
    await enableVersioning();
    const marker = String((await s3.call('DeleteObject', { bucket, key: 'key' })).headers['x-amz-version-id']);
    expect(await codeOf(putTags('key', []))).toBe('NoSuchKey');
    expect(await codeOf(putTags('key', [], { versionId: marker }))).toBe('MethodNotAllowed');
    expect(await codeOf(getTags('key', { versionId: marker }))).toBe('MethodNotAllowed');
  });

  it.each(BAD_SETS)('with %s are refused', async (_what, tags, code, message) => {
    await s3.put(bucket, 'key', 'x', { 'x-amz-tagging': 'a=1' });
    expect(await errorOf(putTags('key', tags))).toMatchObject({ code, message });
    expect(await getTags('key')).toBe(tagSet([tag('a', '1')]));
  });

  it('take ten of the greatest size, and no more', async () => {
    await s3.put(bucket, 'key', 'x');
    const greatest = many(10).map(({ key }) => tag(`${key}${'k'.repeat(124)}`, 'ü'.repeat(256)));
    await putTags('key', greatest);
    expect(await getTags('key')).toBe(tagSet(greatest));
    expect(await errorOf(putTags('key', many(11)))).toMatchObject({
      code: 'BadRequest',
      message: 'Object tags cannot be greater than 10',
    });
    expect(await errorOf(putTags('key', [tag('a'), tag('a')]))).toMatchObject({
      code: 'InvalidTag',
      message: 'Cannot provide multiple Tags with the same key',
    });
    expect(await errorOf(putTags('key', [tag('aws:x')]))).toMatchObject({
      code: 'InvalidTag',
      message: 'Your TagKey cannot be prefixed with aws:',
    });
  });

  it.each([
    ['no body', '', 'MissingRequestBodyError'],
    ['no TagSet', '<Tagging/>', 'MalformedXML'],
    ['a tag without value', '<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>', 'MalformedXML'],
    ['another document', '<Tags/>', 'MalformedXML'],
  ])('in a document with %s are refused', async (_what, body, code) => {
    await s3.put(bucket, 'key', 'x');
    expect(await codeOf(s3.call('PutObjectTagging', { bucket, key: 'key', body }))).toBe(code);
  });
});

describe('bucket tags', () => {
  const put = (tags: readonly Tag[]) => s3.call('PutBucketTagging', { bucket, body: tagging(tags) });
  const get = async () => tagsIn(await s3.call('GetBucketTagging', { bucket }));

  it('are put, replaced, deleted, and gone with the bucket', async () => {
    expect(await codeOf(get())).toBe('NoSuchTagSet');
    expect((await put([tag('b', '2'), tag('a', '1')])).status).toBe(204);
    expect(await get()).toBe(tagSet([tag('a', '1'), tag('b', '2')]));
    await put([tag('c')]);
    expect(await get()).toBe(tagSet([tag('c')]));
    expect((await s3.call('DeleteBucketTagging', { bucket })).status).toBe(204);
    expect(await codeOf(get())).toBe('NoSuchTagSet');
    await put([tag('c')]);
    await put([]);
    expect(await codeOf(get())).toBe('NoSuchTagSet');
    await put([tag('c')]);
    await s3.call('DeleteBucket', { bucket });
    await s3.createBucket(bucket);
    expect(await codeOf(get())).toBe('NoSuchTagSet');
  });

  it.each(BAD_SETS)('with %s are refused', async (_what, tags, code, message) => {
    expect(await errorOf(put(tags))).toMatchObject({ code, message });
    expect(await codeOf(get())).toBe('NoSuchTagSet');
  });

  it('take fifty and no more, and none of the system', async () => {
    await put(many(50));
    expect(await get()).toBe(tagSet(many(50)));
    expect(await errorOf(put(many(51)))).toMatchObject({
      code: 'BadRequest',
      message: 'Bucket tag count cannot be greater than 50',
    });
    expect(await errorOf(put([tag('aws:x')]))).toMatchObject({
      code: 'InvalidTag',
      message: 'System tags cannot be added/updated by requester',
    });
  });

  it('may come with CreateBucket', async () => {
    const body = `<CreateBucketConfiguration><Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags></CreateBucketConfiguration>`;
    await s3.call('CreateBucket', { bucket: `${bucket}-tagged`, body });
    bucket = `${bucket}-tagged`;
    expect(await get()).toBe(tagSet([tag('a', '1')]));
    expect(await codeOf(s3.call('CreateBucket', { bucket, body }))).toBe('BucketAlreadyOwnedByYou');
    expect(await codeOf(s3.call('CreateBucket', { bucket: `${bucket}-2`, body: body.replace('>a<', '>aws:a<') }))).toBe(
      'InvalidTag',
    );
    expect(await codeOf(s3.call('GetBucketTagging', { bucket: `${bucket}-2` }))).toBe('NoSuchBucket');
  });
});
