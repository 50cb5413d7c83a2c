import { S3Error } from '../errors/s3-error.ts';
import type { S3Request } from './operation.ts';

/**
 * Of the ways to state an ACL only a canned one that already holds is left here: the pipeline has refused other values
 * of `x-amz-acl` and all `x-amz-grant-*` headers.
 *
 * @throws S3Error NotImplemented (an ACL in the body) | MissingSecurityHeader (none at all)
 */
export function requireHoldingAcl({ headers, body }: S3Request): void {
  if (headers.has('x-amz-acl')) return;
  if (body.lengthBytes !== 0) {
    throw new S3Error('NotImplemented', {
      message: 'An element you provided implies functionality that is not implemented',
      details: { Element: 'AccessControlPolicy' },
    });
  }
  throw new S3Error('MissingSecurityHeader', { details: { MissingHeaderName: 'x-amz-acl' } });
}
