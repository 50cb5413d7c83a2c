import { parseIamArn, roleArn } from '../../access/identities/arns.ts';
import { trustsProvider } from '../../access/sessions/trust-policy.ts';
import type { WebIdentity } from '../../access/web-identity/web-identities.ts';
import { IamError } from '../../errors/iam-error.ts';
import { notImplemented, text } from '../parameter.ts';
import { queryOperation } from '../query-operation.ts';
import { assumedRoleUser, sessionOf } from './assume-role.ts';
import {
  credentialsAnswer,
  findRole,
  NARROWING,
  readDuration,
  readNarrowing,
  ROLE_ARN,
  SESSION_NAME,
} from './session-parameters.ts';
import { sessionTagConditions, sessionTags, tagClaims, type TagsAsked } from './session-tags.ts';

const TAGS_CLAIM = 'https://aws.amazon.com/tags';
const SOURCE_IDENTITY_CLAIM = 'https://aws.amazon.com/source_identity';

/**
 * Temporary credentials of a role, for whom a registered OpenID Connect provider vouches. The token is the only
 * credential; the role's trust policy must name the provider.
 *
 * @throws IamError InvalidIdentityToken | ExpiredTokenException | IDPCommunicationError | AccessDenied (also for a role
 *   that does not exist) | ValidationError | MalformedPolicyDocument | PackedPolicyTooLarge
 * @see https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
 */
export const assumeRoleWithWebIdentity = queryOperation({
  name: 'AssumeRoleWithWebIdentity',
  service: 'sts',
  isUnsigned: true,
  parameters: {
    RoleArn: ROLE_ARN,
    RoleSessionName: SESSION_NAME,
    WebIdentityToken: text({ min: 4, max: 20_000 }),
    ProviderId: notImplemented('ProviderId'),
    ...NARROWING,
  },
  target: 'handler',
  handler: async ({ parameters, services, nowMs, context }) => {
    const { RoleArn, RoleSessionName, WebIdentityToken } = parameters;
    // The token first: to whom it is not good, nothing is told of which roles there are.
    const identity = await services.webIdentities.verify(
      WebIdentityToken,
      parseIamArn(RoleArn)?.accountId ?? '',
      nowMs,
    );
    const role = findRole(RoleArn, services);
    const trust = role === undefined ? undefined : services.trustPolicies.of(role);
    const tags = sessionTags(tagsOf(identity), undefined);
    const sourceIdentity = sourceIdentityOf(identity);
    const ofTags = sessionTagConditions(tags);
    const own = new Map<string, readonly string[]>([
      ...Object.entries(identity.facts),
      ['sts:rolesessionname', [RoleSessionName]],
      ...(sourceIdentity === undefined ? [] : ([['sts:sourceidentity', [sourceIdentity]]] as const)),
    ]);
    const isTrusted = (action: string): boolean =>
      role !== undefined &&
      trust !== undefined &&
      trustsProvider(trust, identity.providerArn, {
        action,
        resource: roleArn(role),
        context: (key) => own.get(key) ?? ofTags(key) ?? (key.startsWith('aws:principal') ? undefined : context(key)),
      });
    if (
      role === undefined ||
      !isTrusted('sts:AssumeRoleWithWebIdentity') ||
      (tags.tags.length > 0 && !isTrusted('sts:TagSession')) ||
      (sourceIdentity !== undefined && !isTrusted('sts:SetSourceIdentity'))
    ) {
      throw new IamError('AccessDenied', 'Not authorized to perform sts:AssumeRoleWithWebIdentity');
    }
    const session = services.sessions.issue({
      ...sessionOf(role, RoleSessionName),
      durationSeconds: readDuration(parameters.DurationSeconds, role, false),
      ...readNarrowing(parameters, role.accountId, services),
      ...tagClaims(tags),
      ...(sourceIdentity === undefined ? {} : { sourceIdentity }),
      facts: identity.facts,
    });
    return {
      Credentials: credentialsAnswer(session),
      SubjectFromWebIdentityToken: identity.subject,
      AssumedRoleUser: assumedRoleUser(role, RoleSessionName),
      Provider: identity.providerArn,
      Audience: identity.audience,
      SourceIdentity: sourceIdentity,
    };
  },
});

/** `{ principal_tags: { team: ['blue'] }, transitive_tag_keys: ['team'] }`. @throws IamError InvalidIdentityToken */
function tagsOf({ claims }: WebIdentity): TagsAsked {
  const claim = claims[TAGS_CLAIM];
  if (claim === undefined) return { Tags: [], TransitiveTagKeys: [] };
  const { principal_tags: principalTags = {}, transitive_tag_keys: TransitiveTagKeys = [] } = objectOf(claim);
  const Tags = Object.entries(objectOf(principalTags)).map(([Key, values]) => {
    const [Value, ...others] = [values].flat();
    if (typeof Value !== 'string' || others.length > 0 || !isTagText(Key, 1, 128) || !isTagText(Value, 0, 256)) {
      throw invalidClaim(TAGS_CLAIM);
    }
    return { Key, Value };
  });
  const isListOfNames = Array.isArray(TransitiveTagKeys) && TransitiveTagKeys.every((key) => typeof key === 'string');
  if (!isListOfNames) throw invalidClaim(TAGS_CLAIM);
  return { Tags, TransitiveTagKeys };
}

function isTagText(value: string, min: number, max: number): boolean {
  return value.length >= min && value.length <= max && /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(value);
}

/** @throws IamError InvalidIdentityToken */
function sourceIdentityOf({ claims }: WebIdentity): string | undefined {
  const value = claims[SOURCE_IDENTITY_CLAIM];
  if (value === undefined) return undefined;
  if (typeof value !== 'string' || !/^[\w+=,.@-]{2,64}$/.test(value)) throw invalidClaim(SOURCE_IDENTITY_CLAIM);
  return value;
}

function objectOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalidClaim(TAGS_CLAIM);
  return value as Record<string, unknown>;
}

function invalidClaim(name: string): IamError {
  return new IamError('InvalidIdentityToken', `The claim ${name} is not valid.`);
}
