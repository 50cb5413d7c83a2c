import type { CallerPolicies } from '../policy/decide-access.ts';
import type { Policy } from '../policy/policy-document.ts';
import { BUILT_IN_POLICIES } from './built-in-policies.ts';
import { parseIamArn } from './arns.ts';
import { parseStored } from './credential-of.ts';
import type { InlinePolicy, ManagedPolicy, PolicyCarrier, PolicyVersion, Role, User } from './entities.ts';
import type { Identities } from './identities.ts';

/** Policies by ARN and by carrier, compiled once for each document. */
export class PolicyLibrary {
  readonly #identities: Pick<Identities, 'groups' | 'policies'>;
  readonly #compiled = new WeakMap<InlinePolicy | PolicyVersion, { policy: Policy | undefined }>();

  constructor(identities: Pick<Identities, 'groups' | 'policies'>) {
    this.#identities = identities;
  }

  /** What a user or a role brings. `undefined`: something of it cannot be read, so that it may do nothing. */
  heldBy(actor: User | Role): Pick<CallerPolicies, 'identity' | 'boundary'> | undefined {
    const carriers: PolicyCarrier[] = [actor];
    for (const groupId of 'groupIds' in actor ? actor.groupIds : []) {
      const group = this.#identities.groups.get(groupId);
      if (group === undefined) return undefined;
      carriers.push(group);
    }
    const identity = carriers.flatMap((carrier) => this.carriedBy(carrier));
    const boundary = actor.boundaryArn === undefined ? undefined : this.#managed(actor.boundaryArn);
    if (actor.boundaryArn !== undefined && boundary === undefined) return undefined;
    return identity.includes(undefined) ? undefined : { identity: identity as Policy[], boundary };
  }

  /** Its own alone, not those of its groups. `undefined` stands for one that cannot be read. */
  carriedBy({ inlinePolicies, attachedPolicyArns }: PolicyCarrier): (Policy | undefined)[] {
    return [
      ...inlinePolicies.map((policy) => this.#compile(policy)),
      ...attachedPolicyArns.map((arn) => this.#managed(arn)),
    ];
  }

  #managed(arn: string): Policy | undefined {
    const policy = findManagedPolicy(this.#identities, arn);
    const version = policy?.versions.find(({ id }) => id === policy.defaultVersionId);
    return version === undefined ? undefined : this.#compile(version);
  }

  #compile(source: InlinePolicy | PolicyVersion): Policy | undefined {
    let compiled = this.#compiled.get(source);
    if (compiled === undefined) this.#compiled.set(source, (compiled = { policy: parseStored(source.document) }));
    return compiled.policy;
  }
}

/** AWS's own, or one of an account. */
export function findManagedPolicy(identities: Pick<Identities, 'policies'>, arn: string): ManagedPolicy | undefined {
  const builtIn = BUILT_IN_POLICIES.get(arn);
  if (builtIn !== undefined) return builtIn;
  const parsed = parseIamArn(arn);
  if (parsed?.kind !== 'policy') return undefined;
  const policy = identities.policies.find(parsed.accountId, parsed.name);
  return policy?.path === parsed.path && policy.name === parsed.name ? policy : undefined;
}
