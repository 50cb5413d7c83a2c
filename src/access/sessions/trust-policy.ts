import type { Role } from '../identities/entities.ts';
import { evaluatePolicy, type PolicyRequest } from '../policy/evaluate-policy.ts';
import { parsePolicy, type PolicyVocabulary } from '../policy/parse-policy.ts';
import type { Policy } from '../policy/policy-document.ts';
import { PolicyError } from '../policy/policy-error.ts';
import { POLICY_VOCABULARY } from '../policy/vocabulary.ts';

/** The largest that an account may have on AWS. Characters. */
export const TRUST_POLICY_LIMIT = 4096;

const TRUST_VOCABULARY: PolicyVocabulary = {
  actions: [
    'sts:assumerole',
    'sts:assumerolewithsaml',
    'sts:assumerolewithwebidentity',
    'sts:setcontext',
    'sts:setsourceidentity',
    'sts:tagsession',
  ],
  isConditionKey: POLICY_VOCABULARY.isConditionKey,
};

/** Who may assume a role. @throws PolicyError */
export function parseTrustPolicy(document: string): Policy {
  return parsePolicy(document, 'trust', TRUST_VOCABULARY);
}

/** Trust policies of roles, compiled once for each record of a role. */
export class TrustPolicies {
  readonly #compiled = new WeakMap<Role, { policy: Policy | undefined }>();

  /** `undefined`: written by a later version, in words that this one does not know. Then nobody may assume it. */
  of(role: Role): Policy | undefined {
    let compiled = this.#compiled.get(role);
    if (compiled === undefined) this.#compiled.set(role, (compiled = { policy: compile(role.trustPolicy) }));
    return compiled.policy;
  }
}

function compile(document: string): Policy | undefined {
  try {
    return parseTrustPolicy(document);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return undefined;
  }
}

/**
 * Does the trust policy let somebody in for whom this provider vouches? Only a statement that names the provider as
 * Federated does; one for everybody, or for an account, is about callers with credentials of their own.
 */
export function trustsProvider(
  policy: Policy,
  providerArn: string,
  request: Omit<PolicyRequest, 'principal'>,
): boolean {
  const statements = policy.statements.filter(
    ({ effect, principals }) =>
      effect === 'Deny' || (principals?.isNot === false && principals.federated.includes(providerArn)),
  );
  const principal = {
    type: 'aws',
    accountId: '',
    canonicalId: '',
    arns: [],
    federated: [providerArn],
    service: '',
  } as const;
  return evaluatePolicy({ ...policy, statements }, { ...request, principal }).effect === 'allow';
}
