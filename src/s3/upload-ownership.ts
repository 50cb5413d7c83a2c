import type { BucketRecord } from '../model/object-record.ts';
import type { ObjectOwnerAndAcl } from '../service/access-control.ts';
import type { S3Services } from '../service/services.ts';
import { readAclHeaders } from './headers/acl-headers.ts';
import type { S3Request } from './operation.ts';

/**
 * Who will own what a request uploads, and its ACL.
 *
 * @throws S3Error AccessControlListNotSupported | AccessDenied | InvalidArgument | InvalidRequest |
 *   UnresolvableGrantByEmailAddress | NotImplemented
 */
export function uploadOwnership(
  { headers, principal }: S3Request,
  bucket: BucketRecord,
  { accessControl }: Pick<S3Services, 'accessControl'>,
): ObjectOwnerAndAcl {
  const writer = { owner: principal.owner, isAnonymous: principal.type === 'anonymous' };
  return accessControl.ofUpload(bucket, writer, readAclHeaders(headers));
}
