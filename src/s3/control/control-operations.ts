import { S3Error } from '../../errors/s3-error.ts';
import type { OperationHandler, OperationRow } from '../operation.ts';
import type { RawRequest } from '../sigv4/raw-request.ts';
import {
  deleteAccountPublicAccessBlock,
  getAccountPublicAccessBlock,
  putAccountPublicAccessBlock,
} from './account-public-access-block.ts';
import { listTagsForResource, tagResource, untagResource } from './resource-tags.ts';

/** No bucket can be called so. */
const PREFIX = '/v20180820/';
const ACCOUNT_ID = /^\d{12}$/;

function row(
  name: string,
  method: OperationRow['method'],
  action: string,
  handler: OperationHandler,
  body: 'none' | 'xml' = 'none',
): OperationRow {
  // The handler asks the authorizer: the resource is in the path, or is the account.
  const asked = { authorizes: 'with-body', selectors: [], selectingHeaders: [], bodyLimitBytes: 64 * 1024 } as const;
  return { name, method, target: 'other', action, handler, body, ...asked };
}

// prettier-ignore
const ROWS: ReadonlyMap<'configuration/publicAccessBlock' | 'tags', readonly OperationRow[]> = new Map([
  ['configuration/publicAccessBlock', [
    row('GetAccountPublicAccessBlock', 'GET', 's3:GetAccountPublicAccessBlock', getAccountPublicAccessBlock),
    row('PutAccountPublicAccessBlock', 'PUT', 's3:PutAccountPublicAccessBlock', putAccountPublicAccessBlock, 'xml'),
    row('DeleteAccountPublicAccessBlock', 'DELETE', 's3:PutAccountPublicAccessBlock', deleteAccountPublicAccessBlock),
  ]],
  ['tags', [
    row('ListTagsForResource', 'GET', 's3:ListTagsForResource', listTagsForResource),
    row('TagResource', 'POST', 's3:TagResource', tagResource, 'xml'),
    row('UntagResource', 'DELETE', 's3:UntagResource', untagResource),
  ]],
]);

/**
 * Is it for S3 Control? Its clients put the account id before the host: where that reads as a bucket, the header that
 * they all send tells.
 */
export function isControlRequest({ rawPath, isVirtualHosted, bucket, headers }: RawRequest): boolean {
  if (!rawPath.startsWith(PREFIX)) return false;
  return !isVirtualHosted || (ACCOUNT_ID.test(bucket) && headers.get('x-amz-account-id') === bucket);
}

/** @throws S3Error MethodNotAllowed: for every path that is not one of the few that are here */
export function matchControlOperation({ method, rawPath }: RawRequest): OperationRow {
  const path = rawPath.slice(PREFIX.length);
  const rows = ROWS.get(path.startsWith('tags/') ? 'tags' : (path as 'tags'));
  const found = rows?.find((candidate) => candidate.method === method);
  if (found !== undefined) return found;
  throw new S3Error('MethodNotAllowed', {
    details: { Method: method, ResourceType: 'CONTROL' },
    headers: { allow: (rows ?? []).map((candidate) => candidate.method).join(', ') },
  });
}
