import { assumedRoleArn, roleArn } from '../../access/identities/arns.ts';
import type { Role } from '../../access/identities/entities.ts';
import type { ConditionContext } from '../../access/policy/condition-context.ts';
import { IamError } from '../../errors/iam-error.ts';
import { notImplemented, optional, text } from '../parameter.ts';
import { principalNames } from '../principal-names.ts';
import { queryOperation, type QueryRequest } from '../query-operation.ts';
import { TAG_KEYS, TAGS } from '../rules/parameters.ts';
import {
  credentialsAnswer,
  findRole,
  NARROWING,
  NO_SECOND_FACTOR,
  readDuration,
  readNarrowing,
  ROLE_ARN,
  SESSION_NAME,
} from './session-parameters.ts';
import { type SessionTags, sessionTagConditions, sessionTags, tagClaims } from './session-tags.ts';

const PARAMETERS = {
  RoleArn: ROLE_ARN,
  RoleSessionName: SESSION_NAME,
  ...NARROWING,
  Tags: TAGS,
  TransitiveTagKeys: TAG_KEYS,
  ExternalId: optional(text({ min: 2, max: 1224, pattern: /^[\w+=,.@:/-]*$/ })),
  SourceIdentity: optional(text({ min: 2, max: 64, pattern: /^[\w+=,.@-]*$/ })),
  ...NO_SECOND_FACTOR,
  ProvidedContexts: notImplemented('ProvidedContexts'),
};
type Request = QueryRequest<typeof PARAMETERS>;

/**
 * Temporary credentials of a role, for whom its trust policy names and, across accounts or where it names only an
 * account, whose own policies allow it too.
 *
 * @throws IamError AccessDenied (also for a role that does not exist) | ValidationError | MalformedPolicyDocument |
 *   PackedPolicyTooLarge
 * @see https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
 */
export const assumeRole = queryOperation({
  name: 'AssumeRole',
  service: 'sts',
  parameters: PARAMETERS,
  target: 'handler',
  handler: async (request) => {
    const { parameters, principal, services } = request;
    const role = findRole(parameters.RoleArn, services);
    const trust = role === undefined ? undefined : services.trustPolicies.of(role);
    if (role === undefined || trust === undefined) throw denied(request);
    if (principal.type === 'root') throw new IamError('AccessDenied', 'Roles may not be assumed by root accounts.');
    const tags = sessionTags(parameters, principal.session);
    const sourceIdentity = sourceIdentityOf(request);
    const resource = { arn: roleArn(role), accountId: role.accountId, policy: trust, mustAllow: true } as const;
    const target = { resource, conditions: conditionsOf(request, tags, sourceIdentity) };
    await request.authorize('sts:AssumeRole', target);
    if (tags.tags.length > 0) await request.authorize('sts:TagSession', target);
    if (sourceIdentity !== undefined) await request.authorize('sts:SetSourceIdentity', target);
    const session = services.sessions.issue({
      ...sessionOf(role, parameters.RoleSessionName),
      durationSeconds: readDuration(parameters.DurationSeconds, role, principal.type === 'assumed-role'),
      ...readNarrowing(parameters, role.accountId, services),
      ...tagClaims(tags),
      ...(sourceIdentity === undefined ? {} : { sourceIdentity }),
    });
    const { Policy, PolicyArns } = parameters;
    const isPacked = Policy !== undefined || PolicyArns.length > 0 || tags.tags.length > 0;
    return {
      Credentials: credentialsAnswer(session),
      AssumedRoleUser: assumedRoleUser(role, parameters.RoleSessionName),
      PackedPolicySize: isPacked ? session.packedSizePercent : undefined,
      SourceIdentity: sourceIdentity,
    };
  },
});

export function sessionOf(role: Role, name: string) {
  return { type: 'assumed-role', accountId: role.accountId, entityId: role.id, name } as const;
}

export function assumedRoleUser(role: Role, sessionName: string) {
  return { AssumedRoleId: `${role.id}:${sessionName}`, Arn: assumedRoleArn(role, sessionName) };
}

function denied({ parameters, principal, services }: Request): IamError {
  const { arn } = principalNames(principal, services.identities);
  return new IamError(
    'AccessDenied',
    `User: ${arn} is not authorized to perform: sts:AssumeRole on resource: ${parameters.RoleArn}`,
  );
}

/** Once set it stays, in every session that follows. @throws IamError AccessDenied when another is asked for */
function sourceIdentityOf({ parameters, principal }: Request): string | undefined {
  const carried = principal.session?.facts.get('aws:sourceidentity')?.[0];
  const asked = parameters.SourceIdentity;
  if (carried !== undefined && asked !== undefined && asked !== carried) {
    throw new IamError('AccessDenied', 'The source identity of a session cannot be changed.');
  }
  return asked ?? carried;
}

function conditionsOf(
  { parameters: { ExternalId, RoleSessionName } }: Request,
  tags: SessionTags,
  sourceIdentity: string | undefined,
): ConditionContext {
  const ofTags = sessionTagConditions(tags);
  return (key) => {
    switch (key) {
      case 'sts:externalid':
        return ExternalId === undefined ? undefined : [ExternalId];
      case 'sts:rolesessionname':
        return [RoleSessionName];
      case 'sts:sourceidentity':
        return sourceIdentity === undefined ? undefined : [sourceIdentity];
      default:
        return ofTags(key);
    }
  };
}
