import { IamError } from '../errors/iam-error.ts';
import { ACCOUNT_OPERATIONS } from './account/account-operations.ts';
import { SIMULATION_OPERATIONS } from './account/simulation-operations.ts';
import { ATTACHMENT_OPERATIONS } from './carriers/attachment-operations.ts';
import { BOUNDARY_OPERATIONS } from './carriers/boundary-operations.ts';
import { INLINE_POLICY_OPERATIONS } from './carriers/inline-policy-operations.ts';
import { TAG_OPERATIONS } from './carriers/tag-operations.ts';
import { GROUP_OPERATIONS } from './groups/group-operations.ts';
import { ACCESS_KEY_OPERATIONS } from './keys/access-key-operations.ts';
import { POLICY_OPERATIONS } from './policies/policy-operations.ts';
import { POLICY_VERSION_OPERATIONS } from './policies/policy-version-operations.ts';
import type { QueryOperationRow, QueryService } from './query-operation.ts';
import { PROVIDER_OPERATIONS } from './providers/provider-operations.ts';
import { ROLE_OPERATIONS } from './roles/role-operations.ts';
import { SESSION_OPERATIONS } from './sts/session-operations.ts';
import { USER_OPERATIONS } from './users/user-operations.ts';

/** Every operation of IAM and STS this server answers; the parts stand beside what they are about. */
export const QUERY_OPERATIONS: readonly QueryOperationRow[] = [
  ...USER_OPERATIONS,
  ...GROUP_OPERATIONS,
  ...ACCESS_KEY_OPERATIONS,
  ...POLICY_OPERATIONS,
  ...POLICY_VERSION_OPERATIONS,
  ...INLINE_POLICY_OPERATIONS,
  ...ATTACHMENT_OPERATIONS,
  ...BOUNDARY_OPERATIONS,
  ...TAG_OPERATIONS,
  ...ACCOUNT_OPERATIONS,
  ...SIMULATION_OPERATIONS,
  ...ROLE_OPERATIONS,
  ...PROVIDER_OPERATIONS,
  ...SESSION_OPERATIONS,
];

const SERVICES: ReadonlyMap<string, QueryService> = new Map([
  ['2010-05-08', 'iam'],
  ['2011-06-15', 'sts'],
]);

const byName = new Map(QUERY_OPERATIONS.map((row) => [`${row.service}:${row.name}`, row]));

/** @throws IamError MissingAction | InvalidAction */
export function findOperation(action: string | undefined, version: string | undefined): QueryOperationRow {
  if (action === undefined || action === '') throw new IamError('MissingAction', 'Missing Action');
  const service = version === undefined ? undefined : SERVICES.get(version);
  const row = service === undefined ? undefined : byName.get(`${service}:${action}`);
  if (row === undefined) {
    throw new IamError('InvalidAction', `Could not find operation ${action} for version ${version ?? 'NO_VERSION'}`);
  }
  return row;
}
