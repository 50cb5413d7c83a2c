import { S3Error } from '../errors/s3-error.ts';
import { OBJECT_ACL_HEADERS } from './headers/acl-headers.ts';
import { parseCopySource } from './headers/copy-source.ts';
import { parseRenameSource } from './headers/rename-source.ts';
import { OPERATION_TABLE } from './operation-table.ts';
import type { OperationRow } from './operation.ts';
import type { AccessTarget, RequestAccess } from './request-access.ts';
import type { AuthenticatedRequest } from './sigv4/authenticated-request.ts';

interface HeaderActions {
  readonly header: string;
  /** About what the request is going to write, not about what is there. */
  readonly isOfUpload?: true;
  /** What it needs on the request's target. */
  readonly actions: readonly string[];
  /** Asked for by `true` only; otherwise by any value. */
  readonly isFlag?: true;
}

/** Headers that ask for more than the row does. */
const HEADER_ACTIONS: readonly HeaderActions[] = [
  ...OBJECT_ACL_HEADERS.map((header): HeaderActions => ({ header, actions: ['s3:PutObjectAcl'], isOfUpload: true })),
  { header: 'x-amz-tagging', actions: ['s3:PutObjectTagging'] },
  { header: 'x-amz-object-lock-mode', actions: ['s3:PutObjectRetention'] },
  { header: 'x-amz-object-lock-legal-hold', actions: ['s3:PutObjectLegalHold'] },
  { header: 'x-amz-bypass-governance-retention', actions: ['s3:BypassGovernanceRetention'], isFlag: true },
  {
    header: 'x-amz-bucket-object-lock-enabled',
    actions: ['s3:PutBucketObjectLockConfiguration', 's3:PutBucketVersioning'],
    isFlag: true,
  },
];

/** Where the ACL itself is what the row is about, its action is all. */
const ACL_ROWS = new Set(['CreateBucket', 'PutBucketAcl', 'PutObjectAcl']);

/** Those that a row acts on. DeleteObjects asks for each key itself. */
const headerActionsOf = new Map(
  OPERATION_TABLE.map((row) => [
    row,
    HEADER_ACTIONS.filter(
      ({ header, isOfUpload }) =>
        row.authorizes !== 'each-key' &&
        row.implementedInputs?.includes(header) &&
        !(isOfUpload && ACL_ROWS.has(row.name)),
    ),
  ]),
);

/**
 * Asks the one authorizer for everything a request needs: the row's action on its target (the `…Version` action when it
 * names a version), reading the source of a copy, what its headers ask for (tags, a lock, bypassing governance
 * retention), and learning the ETag that a write is conditional on.
 *
 * @throws S3Error AccessDenied | NoSuchBucket | InvalidArgument (a copy source that names nothing)
 */
export async function authorizeRequest(
  row: OperationRow,
  request: AuthenticatedRequest,
  access: RequestAccess,
): Promise<void> {
  const { headers } = request;
  const target = targetOf(request);
  const versionAction = target.versionId === undefined ? undefined : row.versionAction;
  if (row.authorizes === 'nothing') return;
  if (row.authorizes === undefined) await access.authorize(versionAction ?? row.action, target);
  for (const action of alsoNeeds(row, target)) await access.authorize(action, target);
  if (row.selectingHeaders.includes('x-amz-copy-source')) {
    const source = parseCopySource(headers.get('x-amz-copy-source')!);
    await access.authorize(source.versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion', source);
  }
  const isRead = row.method === 'GET' || row.method === 'HEAD';
  for (const { header, actions, isFlag, isOfUpload } of headerActionsOf.get(row) ?? []) {
    const value = headers.get(header);
    if (value === undefined || (isFlag && value.toLowerCase() !== 'true')) continue;
    for (const action of actions) {
      await access.authorize(action, isOfUpload ? { ...target, isUpload: true } : target);
    }
  }
  if (!isRead && row.target === 'object' && namesEtag(headers)) {
    await access.authorize(target.versionId === undefined ? 's3:GetObject' : 's3:GetObjectVersion', target);
  }
}

/** GetObjectAttributes needs permission to read the object, and one of its own. */
function alsoNeeds(row: OperationRow, { versionId }: AccessTarget): readonly string[] {
  if (row.name !== 'GetObjectAttributes') return [];
  return [versionId === undefined ? 's3:GetObjectAttributes' : 's3:GetObjectVersionAttributes'];
}

function targetOf({ raw, query }: AuthenticatedRequest): AccessTarget {
  return {
    bucket: raw.bucket === '' ? undefined : raw.bucket,
    key: raw.key === '' ? undefined : raw.key,
    versionId: query.size > 0 ? query.get('versionId') : undefined,
  };
}

/** Its outcome tells whether the object has this ETag. `*` tells only that there is one. */
function namesEtag(headers: ReadonlyMap<string, string>): boolean {
  return [headers.get('if-match'), headers.get('if-none-match')].some(
    (value) => value !== undefined && value.trim() !== '*',
  );
}

function sourceOf({ headers, raw }: AuthenticatedRequest): AccessTarget | undefined {
  const copySource = headers.get('x-amz-copy-source');
  if (copySource !== undefined) return parseCopySource(copySource);
  const renameSource = headers.get('x-amz-rename-source');
  return renameSource === undefined ? undefined : { bucket: raw.bucket, key: parseRenameSource(renameSource) };
}

/**
 * A key that is missing is told only to callers who may list it; to others it is as forbidden as one that is there.
 * Returns the error to answer.
 */
export async function hideAbsence(
  error: unknown,
  request: AuthenticatedRequest,
  access: RequestAccess,
): Promise<unknown> {
  if (!(error instanceof S3Error) || (error.code !== 'NoSuchKey' && error.code !== 'NoSuchVersion')) return error;
  const source = sourceOf(request);
  const { bucket, key, versionId } = source ?? targetOf(request);
  const action = error.code === 'NoSuchVersion' || versionId !== undefined ? 's3:ListBucketVersions' : 's3:ListBucket';
  const mayList = await access.isAllowed(action, { bucket }, (name) =>
    name === 's3:prefix' && key !== undefined ? [key] : undefined,
  );
  return mayList ? error : new S3Error('AccessDenied', { cause: error });
}
