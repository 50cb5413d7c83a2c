import { expect, test } from 'vitest';
import { checkBucketName } from '../../../src/service/bucket-name.ts';
import { BucketService } from '../../../src/service/buckets.ts';
import { makeContinuationToken, readContinuationToken } from '../../../src/service/continuation-token.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { MemoryMetadata } from '../../support/memory-metadata.ts';
import { ALICE, BOB } from '../../support/metadata-fixtures.ts';

const throwing = (code: string): unknown => expect.objectContaining({ code });

test.each(['abc', 'a.b', '0-0', 'a'.repeat(63), 'my.bucket-1.example', '1.2.3', 'a1.2.3.4'])(
  '%s is a bucket name',
  (name) => {
    expect(() => checkBucketName(name)).not.toThrow();
  },
);

test.each([
  'ab',
  'a'.repeat(64),
  'Abc',
  'a_b',
  '-abc',
  'abc-',
  '.abc',
  'abc.',
  'a..b',
  'a.-b',
  'a-.b',
  '192.168.5.4',
  'xn--abc',
  'sthree-abc',
  'amzn-s3-demo-abc',
  'abc-s3alias',
  'abc--ol-s3',
  'abc.mrap',
  'abc--x-s3',
  'abc--table-s3',
  'a b',
  'aé',
  '__proto__',
  '../..',
])('%s is no bucket name', (name) => {
  expect(() => checkBucketName(name)).toThrow(throwing('InvalidBucketName'));
});

function serviceIn(region: string): BucketService {
  return new BucketService({
    metadataStore: new MemoryMetadata(),
    clock: new ManualClock(),
    region,
    blocksCustomerKeys: false,
    blocksPublicAccess: true,
  });
}

test('another owner has the name: BucketAlreadyExists, in us-east-1 too', async () => {
  const service = serviceIn('us-east-1');
  await service.createBucket({ name: 'bucket', owner: ALICE, locationConstraint: undefined });
  await service.createBucket({ name: 'bucket', owner: ALICE, locationConstraint: undefined });
  await expect(service.createBucket({ name: 'bucket', owner: BOB, locationConstraint: undefined })).rejects.toThrow(
    throwing('BucketAlreadyExists'),
  );
});

test('EU is another name of eu-west-1 only', async () => {
  await serviceIn('eu-west-1').createBucket({ name: 'bucket', owner: ALICE, locationConstraint: 'EU' });
  await expect(
    serviceIn('us-east-1').createBucket({ name: 'bucket', owner: ALICE, locationConstraint: 'EU' }),
  ).rejects.toThrow(throwing('IllegalLocationConstraintException'));
});

test('a bucket belongs to the account that made it', async () => {
  const service = serviceIn('us-east-1');
  await service.createBucket({ name: 'bucket', owner: ALICE, locationConstraint: undefined });
  await expect(service.checkExpectedOwner('bucket', ALICE.accountId)).resolves.toBeUndefined();
  await expect(service.checkExpectedOwner('bucket', BOB.accountId)).rejects.toThrow(throwing('AccessDenied'));
  await expect(service.checkExpectedOwner('missing', ALICE.accountId)).rejects.toThrow(throwing('NoSuchBucket'));
  const request = { prefix: '', continuationToken: undefined, maxBuckets: 10, region: undefined };
  expect((await service.listBuckets({ ...request, owner: BOB })).buckets).toEqual([]);
});

test('continuation tokens give any entry back, and nothing else is a token', () => {
  for (const entry of ['a', 'a/b c', '\u0001', '€\u{1f600}', 'x'.repeat(1024)]) {
    expect(readContinuationToken(makeContinuationToken(entry))).toBe(entry);
  }
  const token = makeContinuationToken('abc');
  for (const forged of ['', 'abc', token.slice(1), `${token}AA`, Buffer.from('abc').toString('base64url')]) {
    expect(() => readContinuationToken(forged)).toThrow(throwing('InvalidArgument'));
  }
});
