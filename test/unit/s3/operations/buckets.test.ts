import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3TestServer } from '../../../support/s3-test-server.ts';

const server = new S3TestServer();
const elsewhere = new S3TestServer({ region: 'eu-central-1' });
beforeAll(async () => {
  await server.start();
  await elsewhere.start();
  await server.createBucket('my-bucket');
});
afterAll(async () => {
  await server.stop();
  await elsewhere.stop();
});

function configuration(location: string): string {
  return `<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>${location}</LocationConstraint></CreateBucketConfiguration>`;
}

test('CreateBucket answers 200 with Location, and again in us-east-1', async () => {
  for (let attempt = 0; attempt < 2; attempt++) {
    const { status, headers, body } = await server.request('PUT', '/new-bucket');
    expect([status, headers['location'], body]).toEqual([200, '/new-bucket', '']);
  }
});

test('CreateBucket again elsewhere is BucketAlreadyOwnedByYou', async () => {
  expect((await elsewhere.request('PUT', '/twice')).status).toBe(200);
  const { status, body } = await elsewhere.request('PUT', '/twice');
  expect(status).toBe(409);
  expect(body).toContain('<Code>BucketAlreadyOwnedByYou</Code>');
});

test.each(['us-east-1', ''])('CreateBucket takes the location %j of its own region', async (location) => {
  expect((await server.request('PUT', '/located', { body: configuration(location) })).status).toBe(200);
});

test.each([
  ['eu-west-1', 'IllegalLocationConstraintException'],
  ['nowhere', 'InvalidLocationConstraint'],
])('CreateBucket refuses the location %s with %s', async (location, code) => {
  const { status, body } = await server.request('PUT', '/located', { body: configuration(location) });
  expect(status).toBe(400);
  expect(body).toContain(`<Code>${code}</Code>`);
});

test('CreateBucket with a directory bucket in its body is answered 501', async () => {
  const directory = '<CreateBucketConfiguration><Location><Name>zone</Name></Location></CreateBucketConfiguration>';
  const { status, body } = await server.request('PUT', '/located', { body: directory });
  expect(status).toBe(501);
  expect(body).toContain('<Element>Location</Element>');
});

test('CreateBucket refuses a body that is no configuration', async () => {
  for (const body of ['not xml', '<Other/>', '<CreateBucketConfiguration><Unknown/></CreateBucketConfiguration>']) {
    expect((await server.request('PUT', '/malformed', { body })).body).toContain('<Code>MalformedXML</Code>');
  }
});

test('CreateBucket verifies Content-MD5 of its body', async () => {
  const headers = { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' };
  const { body } = await server.request('PUT', '/digested', { body: configuration(''), headers });
  expect(body).toContain('<Code>BadDigest</Code>');
});

test('CreateBucket refuses a body beyond its bound before parsing', async () => {
  const { status, body } = await server.request('PUT', '/large', { body: 'x'.repeat(100_000) });
  expect(status).toBe(400);
  expect(body).toContain('<Code>MaxMessageLengthExceeded</Code>');
});

test('HeadBucket answers the region', async () => {
  const { status, headers } = await server.request('HEAD', '/my-bucket');
  expect([status, headers['x-amz-bucket-region']]).toEqual([200, 'us-east-1']);
  expect((await server.request('HEAD', '/missing-bucket')).status).toBe(404);
});

test('GetBucketLocation is empty in us-east-1 and the region elsewhere', async () => {
  expect((await server.request('GET', '/my-bucket?location')).body).toContain(
    '<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>',
  );
  await elsewhere.request('PUT', '/located');
  expect((await elsewhere.request('GET', '/located?location')).body).toContain('>eu-central-1</LocationConstraint>');
});

test('DeleteBucket answers 204, then NoSuchBucket; with objects BucketNotEmpty', async () => {
  await server.createBucket('short-lived');
  expect((await server.request('DELETE', '/short-lived')).status).toBe(204);
  expect((await server.request('DELETE', '/short-lived')).body).toContain('<Code>NoSuchBucket</Code>');
  await server.createBucket('full-bucket');
  server.metadata.addObject('full-bucket', { key: 'a' });
  const { status, body } = await server.request('DELETE', '/full-bucket');
  expect(status).toBe(409);
  expect(body).toContain('<Code>BucketNotEmpty</Code>');
  expect(body).toContain('<BucketName>full-bucket</BucketName>');
});

test('ListBuckets lists by name with owner, dates and regions', async () => {
  const { body } = await server.request('GET', '/?prefix=my-');
  expect(body).toMatch(/<Owner><ID>a{64}<\/ID><DisplayName>alice<\/DisplayName><\/Owner>/);
  expect(body).toMatch(
    /<Bucket><Name>my-bucket<\/Name><CreationDate>[\d-]+T[\d:]+\.000Z<\/CreationDate><BucketRegion>us-east-1<\/BucketRegion><\/Bucket>/,
  );
  expect(body).toContain('<Prefix>my-</Prefix>');
});

test('ListBuckets pages by max-buckets and an opaque token, without gaps or repetitions', async () => {
  for (const name of ['page-a', 'page-b', 'page-c', 'page-d', 'page-e']) await server.createBucket(name);
  const seen: string[] = [];
  let token: string | undefined;
  do {
    const continuation: string = token === undefined ? '' : `&continuation-token=${token}`;
    const { body } = await server.request('GET', `/?prefix=page-&max-buckets=2${continuation}`);
    const names = [...body.matchAll(/<Name>([^<]*)<\/Name>/g)].map(([, name]) => name!);
    expect(names.length).toBeLessThanOrEqual(2);
    seen.push(...names);
    token = /<ContinuationToken>([^<]*)</.exec(body)?.[1];
  } while (token !== undefined);
  expect(seen).toEqual(['page-a', 'page-b', 'page-c', 'page-d', 'page-e']);
});

test.each(['max-buckets=0', 'max-buckets=10001', 'max-buckets=x', 'continuation-token=x'])(
  'ListBuckets refuses %s',
  async (query) => {
    const { status, body } = await server.request('GET', `/?${query}`);
    expect(status).toBe(400);
    expect(body).toContain('<Code>InvalidArgument</Code>');
  },
);

test('ListBuckets of another region is empty', async () => {
  const { body } = await server.request('GET', '/?bucket-region=eu-west-1');
  expect(body).toContain('<Buckets></Buckets>');
});
