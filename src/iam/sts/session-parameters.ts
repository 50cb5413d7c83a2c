import { parseIamArn } from '../../access/identities/arns.ts';
import type { Role } from '../../access/identities/entities.ts';
import { findManagedPolicy } from '../../access/identities/policy-library.ts';
import { parsePolicy } from '../../access/policy/parse-policy.ts';
import { PolicyError } from '../../access/policy/policy-error.ts';
import { IDENTITY_VOCABULARY } from '../../access/policy/vocabulary.ts';
import type { IssuedSession, SessionRequest } from '../../access/sessions/sessions.ts';
import { IamError } from '../../errors/iam-error.ts';
import type { IamServices } from '../iam-services.ts';
import { integer, members, notImplemented, optional, structure, text } from '../parameter.ts';
import type { AnswerStructure } from '../query-operation.ts';

export const ROLE_ARN = text({
  min: 20,
  max: 2048,
  pattern: /^[\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff]+$/,
});
export const SESSION_NAME = text({ min: 2, max: 64, pattern: /^[\w+=,.@-]*$/ });
const POLICY_LIMIT = 2048;
const SHORTEST_SECONDS = 900;
const DEFAULT_SECONDS = 3600;

/** What every session of a role may be narrowed with. */
export const NARROWING = {
  Policy: optional(text({ min: 1, max: POLICY_LIMIT })),
  PolicyArns: members(structure({ arn: text({ min: 20, max: 2048 }) }), { max: 10 }),
  DurationSeconds: optional(integer({ min: SHORTEST_SECONDS, max: 43_200 })),
};

/** There are no devices for a second factor, and no context providers. */
export const NO_SECOND_FACTOR = {
  SerialNumber: notImplemented('Multi-factor authentication'),
  TokenCode: notImplemented('Multi-factor authentication'),
};

export interface Narrowing {
  readonly Policy: string | undefined;
  readonly PolicyArns: readonly { readonly arn: string }[];
}

/**
 * The session policies of a request, checked: a document that cannot be read, or a policy that does not exist, is refused.
 * @throws IamError MalformedPolicyDocument | ValidationError
 */
export function readNarrowing(
  { Policy: policy, PolicyArns }: Narrowing,
  accountId: string,
  { identities }: IamServices,
): Pick<SessionRequest, 'policy' | 'policyArns'> {
  if (policy !== undefined) {
    try {
      parsePolicy(policy, 'identity', IDENTITY_VOCABULARY);
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      throw new IamError('MalformedPolicyDocument', error.message, { cause: error });
    }
  }
  const policyArns = PolicyArns.map(({ arn }) => arn);
  for (const arn of policyArns) {
    const owner = parseIamArn(arn)?.accountId;
    const isReachable = owner === accountId || owner === 'aws';
    if (!isReachable || findManagedPolicy(identities, arn) === undefined) {
      throw new IamError('ValidationError', `The specified managed policy ${arn} cannot be used for this session.`);
    }
  }
  return { ...(policy === undefined ? {} : { policy }), ...(policyArns.length === 0 ? {} : { policyArns }) };
}

/** @throws IamError ValidationError when it is more than the role gives, or than a session gives that begins another */
export function readDuration(asked: number | undefined, role: Role, isChained: boolean): number {
  const seconds = asked ?? DEFAULT_SECONDS;
  if (isChained && seconds > 3600) {
    throw new IamError(
      'ValidationError',
      'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
    );
  }
  if (seconds > role.maxSessionDurationSeconds) {
    throw new IamError(
      'ValidationError',
      'The requested DurationSeconds exceeds the MaxSessionDuration set for this role.',
    );
  }
  return seconds;
}

/** `undefined`: no such role, which its account's own users learn no more of than others. */
export function findRole(arn: string, { identities }: IamServices): Role | undefined {
  const parsed = parseIamArn(arn);
  if (parsed?.kind !== 'role') return undefined;
  const role = identities.roles.find(parsed.accountId, parsed.name);
  return role?.path === parsed.path && role.name === parsed.name ? role : undefined;
}

export function credentialsAnswer(session: IssuedSession): AnswerStructure {
  return {
    AccessKeyId: session.accessKeyId,
    SecretAccessKey: session.secretAccessKey,
    SessionToken: session.sessionToken,
    Expiration: new Date(session.expiresAtMs),
  };
}
