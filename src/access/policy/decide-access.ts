import { evaluatePolicy, type PolicyRequest, type PolicyVerdict } from './evaluate-policy.ts';
import type { Policy, Statement } from './policy-document.ts';

/** What the caller brings. */
export interface CallerPolicies {
  /** Root of an account may do in it whatever no policy denies. */
  readonly isRoot: boolean;
  readonly identity: readonly Policy[];
  /** The most that the identity's own policies can give. */
  readonly boundary: Policy | undefined;
  /** The most that this session can do; each of them must allow. */
  readonly session: readonly Policy[];
}

/** What the resource brings. */
export interface ResourceRules {
  /** Account that owns it; undefined for what belongs to nobody in particular (ListBuckets). */
  readonly accountId: string | undefined;
  readonly policy: Policy | undefined;
  /** Nobody is allowed what `policy` itself does not allow, whatever the caller's own policies say: of roles. */
  readonly mustAllow?: boolean;
  /** An ACL gives this to the caller. */
  readonly isGrantedByAcl: boolean;
  /** RestrictPublicBuckets holds and the policy is public: it gives nothing to anonymous callers and other accounts. */
  readonly isPublicPolicyRestricted: boolean;
  /** An object of another account than the bucket's: the bucket's policy can only deny. */
  readonly policyGivesNothing?: boolean;
}

export interface AccessDecision {
  readonly isAllowed: boolean;
  readonly reason:
    | 'explicit-deny'
    | 'root'
    | 'identity-policy'
    | 'resource-policy'
    | 'acl'
    | 'both-accounts'
    | 'public-access-block'
    | 'boundary'
    | 'session-policy'
    | 'no-allow';
  readonly statement: Statement | undefined;
}

/**
 * Default deny. An explicit Deny anywhere decides; then what the identity's policies or the resource gives, each within
 * boundary and session policies; across accounts both sides must allow. Pure.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
 */
export function decideAccess(request: PolicyRequest, caller: CallerPolicies, resource: ResourceRules): AccessDecision {
  const verdictOf = (policy: Policy): PolicyVerdict => evaluatePolicy(policy, request);
  const verdict = resource.policy === undefined ? undefined : verdictOf(resource.policy);
  const byResource = resource.policyGivesNothing === true && verdict?.effect !== 'deny' ? undefined : verdict;
  const byIdentity = caller.identity.map(verdictOf);
  const byBoundary = caller.boundary === undefined ? undefined : verdictOf(caller.boundary);
  const bySession = caller.session.map(verdictOf);
  const denial = [byResource, ...byIdentity, byBoundary, ...bySession].find((verdict) => verdict?.effect === 'deny');
  if (denial !== undefined) return { isAllowed: false, reason: 'explicit-deny', statement: denial.statement };
  const isNamed = byResource?.effect === 'allow' || byResource?.effect === 'allow-account';
  if (resource.mustAllow === true && !isNamed) return refusal('no-allow');
  const given = whatIsGiven(request, caller, resource, byResource, byIdentity);
  if (!given.isAllowed) return given;
  if (byBoundary !== undefined && byBoundary.effect === 'none') return refusal('boundary');
  if (bySession.some((verdict) => verdict.effect === 'none')) return refusal('session-policy');
  return given;
}

function whatIsGiven(
  { principal }: PolicyRequest,
  caller: CallerPolicies,
  resource: ResourceRules,
  byResource: PolicyVerdict | undefined,
  byIdentity: readonly PolicyVerdict[],
): AccessDecision {
  const isOwnAccount =
    principal.type === 'aws' && (resource.accountId === undefined || resource.accountId === principal.accountId);
  const identityAllow = byIdentity.find((verdict) => verdict.effect === 'allow');
  if (isOwnAccount) {
    if (caller.isRoot) return { isAllowed: true, reason: 'root', statement: undefined };
    if (identityAllow !== undefined) return allowance('identity-policy', identityAllow);
    // A policy that names the account leaves it to the account's own policies.
    if (byResource?.effect === 'allow') return allowance('resource-policy', byResource);
    return resource.isGrantedByAcl ? allowance('acl', undefined) : refusal('no-allow');
  }
  const isGiven = byResource?.effect === 'allow' || byResource?.effect === 'allow-account';
  const isBlocked = isGiven && resource.isPublicPolicyRestricted && principal.type !== 'service';
  if (!isGiven && !resource.isGrantedByAcl) return refusal('no-allow');
  if (isBlocked && !resource.isGrantedByAcl) return refusal('public-access-block');
  const source = isGiven && !isBlocked ? byResource : undefined;
  if (principal.type !== 'aws') return allowance(source === undefined ? 'acl' : 'resource-policy', source);
  // Of another account: its own policies must allow it too.
  if (caller.isRoot || identityAllow !== undefined) return allowance('both-accounts', source);
  return refusal('no-allow');
}

function allowance(reason: AccessDecision['reason'], verdict: PolicyVerdict | undefined): AccessDecision {
  return { isAllowed: true, reason, statement: verdict?.statement };
}

function refusal(reason: AccessDecision['reason']): AccessDecision {
  return { isAllowed: false, reason, statement: undefined };
}
