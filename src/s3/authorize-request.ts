import type { Authorizer } from '../access/principal.ts';
import { parseCopySource } from './headers/copy-source.ts';
import type { OperationRow } from './operation.ts';
import type { AuthenticatedRequest } from './sigv4/authenticated-request.ts';

/**
 * Asks the one authorizer for everything a request needs: the row's action on its target (the `…Version` action when it
 * names a version), reading the source of a copy, writing tags that come in a header, bypassing governance retention.
 *
 * @throws S3Error AccessDenied | InvalidArgument (a copy source that names nothing)
 */
export function authorizeRequest(row: OperationRow, request: AuthenticatedRequest, authorizer: Authorizer): void {
  const { principal, headers, query } = request;
  const { bucket, key } = request.raw;
  const target = { bucket: bucket === '' ? undefined : bucket, key: key === '' ? undefined : key };
  const versionAction = query.size > 0 && query.has('versionId') ? row.versionAction : undefined;
  authorizer.authorize({ principal, action: versionAction ?? row.action, ...target });
  if (row.selectingHeaders.includes('x-amz-copy-source')) {
    const source = parseCopySource(headers.get('x-amz-copy-source')!);
    const action = source.versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion';
    authorizer.authorize({ principal, action, bucket: source.bucket, key: source.key });
  }
  if (row.method !== 'GET' && row.target === 'object' && headers.has('x-amz-tagging')) {
    authorizer.authorize({ principal, action: 's3:PutObjectTagging', ...target });
  }
  if (headers.get('x-amz-bypass-governance-retention')?.toLowerCase() === 'true') {
    authorizer.authorize({ principal, action: 's3:BypassGovernanceRetention', ...target });
  }
}
