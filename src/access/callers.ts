import type { Tag } from '../model/object-record.ts';
import { assumedRoleArn, roleArn, rootArn, userArn } from './identities/arns.ts';
import { PolicyLibrary } from './identities/policy-library.ts';
import type { Role, User } from './identities/entities.ts';
import type { Identities } from './identities/identities.ts';
import type { ConditionContext } from './policy/condition-context.ts';
import type { CallerPolicies } from './policy/decide-access.ts';
import type { PolicyPrincipal } from './policy/evaluate-policy.ts';
import { namesKey } from './policy/names-key.ts';
import type { Principal } from './principal.ts';

/** Who asks, as it stands at this moment. */
export interface Caller {
  readonly principal: PolicyPrincipal;
  readonly policies: CallerPolicies;
  /** Some policy of it looks at the tags of the object. */
  readonly readsObjectTags: boolean;
  /** Condition keys that only the server knows; undefined when the caller has no such thing. */
  readonly facts: ConditionContext;
}

const OBJECT_TAG = 's3:existingobjecttag/';
const PRINCIPAL_TAG = 'aws:principaltag/';
const NO_POLICIES = { identity: [], boundary: undefined };
const PRINCIPAL_TYPES = { anonymous: 'Anonymous', root: 'Account', user: 'User', 'assumed-role': 'AssumedRole' };

/**
 * Finds out at each decision who a principal is now: its policies, groups and boundary. What was derived is used again
 * until anything of the identities changes, so that a change holds from the next request on.
 */
export class Callers {
  readonly #identities: Identities;
  readonly #library: PolicyLibrary;
  readonly #known = new WeakMap<Principal, { revision: number; caller: Caller | undefined }>();

  constructor(identities: Identities) {
    this.#identities = identities;
    this.#library = new PolicyLibrary(identities);
  }

  /** `undefined`: nobody any more. The user or role is gone, its sessions were ended, or a policy of it cannot be read. */
  resolve(principal: Principal): Caller | undefined {
    const { revision } = this.#identities;
    const known = this.#known.get(principal);
    if (known?.revision === revision) return known.caller;
    const caller = this.#resolve(principal);
    this.#known.set(principal, { revision, caller });
    return caller;
  }

  /** The account that the server itself belongs to; `undefined` before the identities are open. */
  get firstAccountId(): string | undefined {
    return this.#identities.accountIds()[0];
  }

  #resolve(principal: Principal): Caller | undefined {
    const { type, entityId = '' } = principal;
    if (type === 'anonymous') return anonymous();
    if (principal.accessKeyId === '') return undefined;
    if (type === 'root') return root(principal);
    const actor = type === 'user' ? this.#identities.users.get(entityId) : this.#identities.roles.get(entityId);
    if (actor === undefined || actor.accountId !== principal.owner.accountId) return undefined;
    const { session } = principal;
    if (session !== undefined && session.issuedAtMs < (actor.notBeforeMs ?? 0)) return undefined;
    const held = this.#library.heldBy(actor);
    if (held === undefined) return undefined;
    const policies = { isRoot: false, ...held, session: principal.narrowedBy ?? [] };
    if (type === 'user') return userCaller(principal, actor as User, policies);
    return session === undefined ? undefined : roleCaller(principal, actor, session.name, policies);
  }
}

function anonymous(): Caller {
  return {
    principal: { type: 'anonymous', accountId: '', canonicalId: '', arns: [], federated: [], service: '' },
    policies: { isRoot: false, ...NO_POLICIES, session: [] },
    readsObjectTags: false,
    facts: factsOf([
      ['aws:principaltype', PRINCIPAL_TYPES.anonymous],
      ['aws:userid', 'anonymous'],
    ]),
  };
}

function root(principal: Principal): Caller {
  const { accountId } = principal.owner;
  const arn = rootArn(accountId);
  return callerOf(principal, {
    arns: [arn],
    policies: { isRoot: true, ...NO_POLICIES, session: principal.narrowedBy ?? [] },
    facts: [
      ['aws:principalarn', arn],
      ['aws:userid', accountId],
    ],
    tags: [],
  });
}

function userCaller(principal: Principal, user: User, policies: CallerPolicies): Caller {
  const arn = userArn(user);
  return callerOf(principal, {
    arns: [arn],
    policies,
    facts: [
      ['aws:principalarn', arn],
      ['aws:userid', user.id],
      ['aws:username', user.name],
    ],
    tags: user.tags,
  });
}

function roleCaller(principal: Principal, role: Role | User, sessionName: string, policies: CallerPolicies): Caller {
  const arn = roleArn(role);
  return callerOf(principal, {
    arns: [assumedRoleArn(role, sessionName), arn],
    policies,
    // Of a session it is the role's.
    facts: [
      ['aws:principalarn', arn],
      ['aws:userid', `${role.id}:${sessionName}`],
    ],
    tags: role.tags,
  });
}

interface CallerParts {
  readonly arns: readonly string[];
  readonly policies: CallerPolicies;
  readonly facts: readonly (readonly [string, string])[];
  readonly tags: readonly Tag[];
}

function callerOf(principal: Principal, { arns, policies, facts, tags }: CallerParts): Caller {
  const { owner, session, type } = principal;
  const { identity, boundary, session: narrowing } = policies;
  const all = [...identity, ...(boundary === undefined ? [] : [boundary]), ...narrowing];
  const ofToken: [string, readonly string[]][] =
    session === undefined ? [] : [['aws:tokenissuetime', [new Date(session.issuedAtMs).toISOString()]]];
  return {
    principal: {
      type: 'aws',
      accountId: owner.accountId,
      canonicalId: owner.canonicalId,
      arns,
      federated: session?.facts.get('aws:federatedprovider') ?? [],
      service: '',
    },
    policies,
    readsObjectTags: all.some((policy) => namesKey(policy, OBJECT_TAG)),
    facts: factsOf(
      [...facts, ['aws:principaltype', PRINCIPAL_TYPES[type]], ['aws:principalaccount', owner.accountId]],
      new Map([...(session?.facts ?? []), ...ofToken]),
      [...(session?.tags ?? []), ...tags],
    ),
  };
}

/** Of tags with one name the first counts. Names of condition keys know no case. */
function factsOf(
  own: readonly (readonly [string, string])[],
  more: ReadonlyMap<string, readonly string[]> = new Map(),
  tags: readonly Tag[] = [],
): ConditionContext {
  const facts = new Map<string, readonly string[]>(more);
  for (const { key, value } of tags.toReversed()) facts.set(`${PRINCIPAL_TAG}${key.toLowerCase()}`, [value]);
  for (const [key, value] of own) facts.set(key, [value]);
  facts.set('aws:principalisawsservice', ['false']).set('aws:viaawsservice', ['false']);
  return (key) => facts.get(key);
}
