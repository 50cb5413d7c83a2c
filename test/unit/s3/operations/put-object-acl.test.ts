import { expect, test } from 'vitest';
import { S3Error } from '../../../../src/errors/s3-error.ts';
import type { BucketRecord, ObjectRecord, Owner } from '../../../../src/model/object-record.ts';
import type { S3Request } from '../../../../src/s3/operation.ts';
import { putObjectAcl } from '../../../../src/s3/operations/put-object-acl.ts';
import type { S3Services } from '../../../../src/service/services.ts';
import { testAccessControl } from '../../../support/access-control-fixture.ts';
import { ALICE, BOB } from '../../../support/metadata-fixtures.ts';
import { codeOf } from '../../../support/service-fixture.ts';

const ORDER = 7;

/** Somebody who may do it to what ALICE owns, when an object of `owner` is there once the body has come. */
function put(owner: Owner) {
  const changes: unknown[][] = [];
  const bucket = {
    bucketId: 1,
    name: 'b',
    owner: ALICE,
    configuration: { ownershipControls: 'ObjectWriter', publicAccessBlock: 'none' },
  } as unknown as BucketRecord;
  const object = { owner, versionId: 'null', order: ORDER } as unknown as ObjectRecord;
  const services = {
    accessControl: testAccessControl(),
    buckets: { requireBucket: async () => bucket },
    objects: {
      headObject: async () => object,
      changeVersion: async (...change: unknown[]) => void changes.push(change),
    },
  } as unknown as S3Services;
  const request = {
    bucket: 'b',
    key: 'k',
    query: new Map(),
    headers: new Map([['x-amz-acl', 'public-read']]),
    body: { lengthBytes: 0 },
    authorizeWithBody: async () => {
      if (owner !== ALICE) throw new S3Error('AccessDenied');
    },
  } as unknown as S3Request;
  return { changes, answered: putObjectAcl(request, services) };
}

test('sec_acl_of_an_object_that_took_the_place: PutObjectAcl asks again about what is there when its body has come', async () => {
  const { changes, answered } = put(BOB);
  expect(await codeOf(answered)).toBe('AccessDenied');
  expect(changes).toEqual([]);
});

test('PutObjectAcl changes the object that it saw, and none that comes after it', async () => {
  const { changes, answered } = put(ALICE);
  expect((await answered).status).toBe(200);
  expect(changes).toEqual([[expect.objectContaining({ key: 'k' }), expect.objectContaining({ member: 'acl' }), ORDER]]);
});
