import { assert } from '../errors/assert.ts';
import { S3Error } from '../errors/s3-error.ts';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import type { DigestExpectation } from './request-body.ts';

/**
 * Compares what a body hashed to with everything its client claimed. Call it after the last byte.
 * @throws S3Error BadDigest | XAmzContentSHA256Mismatch | MalformedTrailerError
 */
export function verifyDigests(
  expectations: readonly DigestExpectation[],
  digests: ReadonlyMap<ChecksumAlgorithm, Buffer>,
): void {
  for (const expectation of expectations) {
    const digest = digests.get(expectation.algorithm);
    assert(digest !== undefined, `no ${expectation.algorithm} was computed`);
    const claimed = expectation.value();
    const computed = digest.toString(expectation.kind === 'payload-sha256' ? 'hex' : 'base64');
    if (claimed !== computed) throw mismatch(expectation, claimed, computed);
  }
}

function mismatch({ kind, algorithm }: DigestExpectation, claimed: string, computed: string): S3Error {
  switch (kind) {
    case 'payload-sha256':
      return new S3Error('XAmzContentSHA256Mismatch', {
        details: { ClientComputedContentSHA256: claimed, S3ComputedContentSHA256: computed },
      });
    case 'content-md5':
      return new S3Error('BadDigest', {
        message: 'The Content-MD5 you specified did not match what we received.',
        details: { ExpectedDigest: claimed, CalculatedDigest: computed },
      });
    case 'checksum':
      return new S3Error('BadDigest', {
        message: `The ${algorithm} you specified did not match the calculated checksum.`,
      });
  }
}
