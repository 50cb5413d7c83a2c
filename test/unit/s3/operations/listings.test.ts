import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3TestServer } from '../../../support/s3-test-server.ts';

const server = new S3TestServer();
const KEYS = ['a', 'a/b', 'a/c', 'b+1', 'c d', 'd&<>"', 'é', '\u0001x'];
beforeAll(async () => {
  await server.start();
  await server.createBucket('bucket');
  for (const key of KEYS) server.metadata.addObject('bucket', { key, sizeBytes: 7 });
});
afterAll(() => server.stop());

function values(body: string, name: string): string[] {
  return [...body.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map(([, value]) => value!);
}

test('ListObjectsV2 lists keys in the order of their bytes, a beside a/b', async () => {
  const { body } = await server.request('GET', '/bucket?list-type=2&encoding-type=url');
  expect(values(body, 'Key').map(decodeURIComponent)).toEqual(
    KEYS.toSorted((a, b) => Buffer.from(a).compare(Buffer.from(b))),
  );
  expect(values(body, 'KeyCount')).toEqual(['8']);
  expect(values(body, 'EncodingType')).toEqual(['url']);
  expect(values(body, 'IsTruncated')).toEqual(['false']);
});

test('an entry carries what S3 sends of it', async () => {
  const { body } = await server.request('GET', '/bucket?list-type=2&prefix=a/b');
  expect(body).toContain(
    '<Contents><Key>a/b</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>' +
      '<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>7</Size><StorageClass>STANDARD</StorageClass></Contents>',
  );
});

test('keys are escaped, control characters as references', async () => {
  const { body } = await server.request('GET', '/bucket');
  expect(body).toContain('<Key>d&amp;&lt;&gt;&quot;</Key>');
  expect(body).toContain('<Key>&#x1;x</Key>');
  expect(body).toContain('<Key>é</Key>');
});

test('encoding-type=url encodes keys, prefixes, delimiters and markers', async () => {
  const { body } = await server.request('GET', '/bucket?encoding-type=url&delimiter=+&prefix=c&marker=b%2B1');
  expect(values(body, 'Prefix')).toEqual(['c', 'c%20']);
  expect(values(body, 'Delimiter')).toEqual(['%20']);
  expect(values(body, 'Marker')).toEqual(['b%2B1']);
});

test('fetch-owner adds owners to ListObjectsV2; ListObjects always has them', async () => {
  expect(values((await server.request('GET', '/bucket?list-type=2')).body, 'DisplayName')).toHaveLength(0);
  expect(
    values((await server.request('GET', '/bucket?list-type=2&fetch-owner=true')).body, 'DisplayName'),
  ).toHaveLength(8);
  expect(values((await server.request('GET', '/bucket')).body, 'DisplayName')).toHaveLength(8);
});

test.each([
  ['', 3],
  ['&delimiter=/', 2],
])('ListObjectsV2%s pages by its token without gaps or repetitions', async (parameters, pageSize) => {
  const seen: string[] = [];
  let token: string | undefined;
  let pages = 0;
  do {
    const continuation: string = token === undefined ? '' : `&continuation-token=${token}`;
    const { body } = await server.request(
      'GET',
      `/bucket?list-type=2&encoding-type=url&max-keys=${pageSize}${parameters}${continuation}`,
    );
    const entries = [...values(body, 'Key'), ...values(body, 'Prefix').slice(1)];
    expect(values(body, 'KeyCount')).toEqual([String(entries.length)]);
    seen.push(...entries);
    token = values(body, 'NextContinuationToken')[0];
    expect(values(body, 'IsTruncated')).toEqual([String(token !== undefined)]);
    expect(++pages).toBeLessThan(10);
  } while (token !== undefined);
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen).toHaveLength(parameters === '' ? 8 : 7);
});

test('start-after begins behind a key; a token outranks it', async () => {
  const { body } = await server.request('GET', '/bucket?list-type=2&start-after=a/c&max-keys=1');
  expect(values(body, 'Key')).toEqual(['b+1']);
  expect(values(body, 'StartAfter')).toEqual(['a/c']);
  const token = values(body, 'NextContinuationToken')[0]!;
  const next = await server.request(
    'GET',
    `/bucket?list-type=2&start-after=zzz&max-keys=1&continuation-token=${token}`,
  );
  expect(values(next.body, 'Key')).toEqual(['c d']);
  expect(values(next.body, 'ContinuationToken')).toEqual([token]);
});

test('ListObjects sends NextMarker only with a delimiter', async () => {
  const plain = await server.request('GET', '/bucket?max-keys=2&encoding-type=url');
  expect(values(plain.body, 'IsTruncated')).toEqual(['true']);
  expect(values(plain.body, 'NextMarker')).toEqual([]);
  const delimited = await server.request('GET', '/bucket?max-keys=3&delimiter=/&encoding-type=url');
  expect(values(delimited.body, 'NextMarker')).toEqual(['a/']);
  const next = await server.request('GET', '/bucket?max-keys=1&delimiter=/&marker=a/');
  expect(values(next.body, 'Key')).toEqual(['b+1']);
});

test('max-keys of 0 is an empty last page, more than 1,000 is cut', async () => {
  const none = await server.request('GET', '/bucket?list-type=2&max-keys=0');
  expect([values(none.body, 'Key'), values(none.body, 'IsTruncated'), values(none.body, 'MaxKeys')]).toEqual([
    [],
    ['false'],
    ['0'],
  ]);
  const many = await server.request('GET', '/bucket?list-type=2&max-keys=5000');
  expect(values(many.body, 'MaxKeys')).toEqual(['1000']);
});

test.each([
  'max-keys=x',
  'max-keys=-1',
  'max-keys=1e3',
  'max-keys=99999999999',
  'max-keys=NaN',
  'encoding-type=base64',
])('listings refuse %s', async (query) => {
  for (const kind of ['', 'list-type=2&', 'versions&']) {
    const { status, body } = await server.request('GET', `/bucket?${kind}${query}`);
    expect(status).toBe(400);
    expect(body).toContain('<Code>InvalidArgument</Code>');
  }
});

test.each(['x', 'AAAA', 'MTIzNDU2Nzg5'])(
  'ListObjectsV2 refuses the token %s that is none of its own',
  async (token) => {
    const { status, body } = await server.request('GET', `/bucket?list-type=2&continuation-token=${token}`);
    expect(status).toBe(400);
    expect(body).toContain('The continuation token provided is incorrect');
  },
);

test('an empty token starts from the beginning', async () => {
  const { body } = await server.request('GET', '/bucket?list-type=2&continuation-token=');
  expect(values(body, 'KeyCount')).toEqual(['8']);
  expect(values(body, 'ContinuationToken')).toEqual(['']);
});

test('optional attributes: RestoreStatus is known, others are refused', async () => {
  const ask = (value: string): ReturnType<typeof server.request> =>
    server.request('GET', '/bucket', { headers: { 'x-amz-optional-object-attributes': value } });
  expect((await ask('RestoreStatus')).status).toBe(200);
  expect((await ask('Other')).status).toBe(400);
});

test('ListObjectVersions shows the null version of each key', async () => {
  const { body } = await server.request('GET', '/bucket?versions&max-keys=2&encoding-type=url');
  expect(values(body, 'VersionId')).toEqual(['null', 'null']);
  expect(values(body, 'IsLatest')).toEqual(['true', 'true']);
  const [marker] = values(body, 'NextKeyMarker');
  expect(values(body, 'NextVersionIdMarker')).toEqual(['null']);
  const next = await server.request(
    'GET',
    `/bucket?versions&encoding-type=url&key-marker=${marker!}&version-id-marker=null`,
  );
  expect(values(next.body, 'Key')).toHaveLength(6);
  expect((await server.request('GET', '/bucket?versions&version-id-marker=null')).status).toBe(400);
});

test('a listing of a bucket that does not exist is NoSuchBucket, with max-keys=0 too', async () => {
  for (const query of ['', '?list-type=2', '?versions', '?max-keys=0']) {
    expect((await server.request('GET', `/missing-bucket${query}`)).body).toContain('<Code>NoSuchBucket</Code>');
  }
});
