import type { Principal } from '../../access/principal.ts';
import { principalArn } from '../principal-arn.ts';
import { queryOperation, type QueryOperationRow } from '../query-operation.ts';

/** @see https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html */
const getCallerIdentity = queryOperation({
  name: 'GetCallerIdentity',
  service: 'sts',
  parameters: {},
  target: 'nothing',
  handler: async ({ principal }) => ({
    UserId: userIdOf(principal),
    Account: principal.owner.accountId,
    Arn: principalArn(principal),
  }),
});

function userIdOf({ owner }: Principal): string {
  return owner.accountId;
}

export const SESSION_OPERATIONS: readonly QueryOperationRow[] = [getCallerIdentity];
