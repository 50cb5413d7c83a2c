import type { Principal } from '../../access/principal.ts';
import { IamError } from '../../errors/iam-error.ts';
import { integer, optional } from '../parameter.ts';
import { principalNames } from '../principal-names.ts';
import { queryOperation, type QueryOperationRow } from '../query-operation.ts';
import { assumeRoleWithWebIdentity } from './assume-role-with-web-identity.ts';
import { assumeRole } from './assume-role.ts';
import { credentialsAnswer, NO_SECOND_FACTOR } from './session-parameters.ts';

/** @see https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html */
const getCallerIdentity = queryOperation({
  name: 'GetCallerIdentity',
  service: 'sts',
  parameters: {},
  // Everybody may know who they are, even under a Deny.
  target: 'nothing',
  handler: async ({ principal, services }) => {
    const { arn, userId } = principalNames(principal, services.identities);
    return { UserId: userId, Account: principal.owner.accountId, Arn: arn };
  },
});

const LONGEST_SECONDS = 129_600;
const LONGEST_ROOT_SECONDS = 3600;
const DEFAULT_SECONDS = 43_200;

/**
 * Temporary credentials of the user, or of root, that asks. They can do what it can do, but nothing in IAM, and nothing
 * in STS but AssumeRole and GetCallerIdentity. They end with the key that asked for them.
 *
 * @throws IamError AccessDenied to whoever asks with temporary credentials, or as a service account
 * @see https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
 */
const getSessionToken = queryOperation({
  name: 'GetSessionToken',
  service: 'sts',
  parameters: {
    DurationSeconds: optional(integer({ min: 900, max: LONGEST_SECONDS })),
    ...NO_SECOND_FACTOR,
  },
  // No permission is needed, and no policy can give it.
  target: 'nothing',
  handler: async ({ parameters, principal, services }) => {
    refuseNarrowed(principal);
    const { type, owner, entityId, accessKeyId } = principal;
    const longest = type === 'root' ? LONGEST_ROOT_SECONDS : LONGEST_SECONDS;
    const session = services.sessions.issue({
      type: type === 'root' ? 'root' : 'user',
      accountId: owner.accountId,
      ...(entityId === undefined ? {} : { entityId }),
      parentKeyId: accessKeyId,
      name: '',
      durationSeconds: Math.min(parameters.DurationSeconds ?? DEFAULT_SECONDS, longest),
    });
    return { Credentials: credentialsAnswer(session) };
  },
});

function refuseNarrowed({ type, session, narrowedBy }: Principal): void {
  const isPermanent = (type === 'user' || type === 'root') && session === undefined && narrowedBy === undefined;
  if (!isPermanent) throw new IamError('AccessDenied', 'Cannot call GetSessionToken with session credentials');
}

export const SESSION_OPERATIONS: readonly QueryOperationRow[] = [
  assumeRole,
  assumeRoleWithWebIdentity,
  getCallerIdentity,
  getSessionToken,
];
