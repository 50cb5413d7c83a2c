import { IamError } from '../errors/iam-error.ts';
import type { QueryOperationRow, QueryService } from './query-operation.ts';
import { SESSION_OPERATIONS } from './sts/session-operations.ts';

/** Every operation of IAM and STS this server answers; the parts stand beside what they are about. */
export const QUERY_OPERATIONS: readonly QueryOperationRow[] = [...SESSION_OPERATIONS];

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
