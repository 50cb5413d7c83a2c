import type { BucketService } from '../service/buckets.ts';
import { parseCopySource } from './headers/copy-source.ts';
import type { OperationRow } from './operation.ts';
import type { AuthenticatedRequest } from './sigv4/authenticated-request.ts';

/**
 * `x-amz-expected-bucket-owner` and `x-amz-source-expected-bucket-owner`, on every operation that has a bucket. A bucket
 * that is about to be made has no owner to expect.
 *
 * @throws S3Error NoSuchBucket | AccessDenied | InvalidBucketOwnerAWSAccountID
 */
export async function checkExpectedOwners(
  operation: OperationRow,
  { headers, raw }: AuthenticatedRequest,
  buckets: Pick<BucketService, 'checkExpectedOwner'>,
): Promise<void> {
  const expected = headers.get('x-amz-expected-bucket-owner');
  if (expected !== undefined && raw.bucket !== '' && operation.name !== 'CreateBucket') {
    await buckets.checkExpectedOwner(raw.bucket, expected);
  }
  const expectedSource = headers.get('x-amz-source-expected-bucket-owner');
  if (expectedSource !== undefined && operation.selectingHeaders.includes('x-amz-copy-source')) {
    await buckets.checkExpectedOwner(parseCopySource(headers.get('x-amz-copy-source')!).bucket, expectedSource);
  }
}
