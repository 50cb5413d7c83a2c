import type { Identities } from '../../access/identities/identities.ts';
import { findManagedPolicy } from '../../access/identities/policy-library.ts';
import type { Principal } from '../../access/principal.ts';
import type { QueryTarget } from '../query-operation.ts';
import { iamTarget } from './entity-conditions.ts';
import { callerAsUser, userOrCallerResource } from './find-entities.ts';

/** A user with its tags, at which conditions on `aws:ResourceTag` look; without a name the caller. */
export function userTarget(identities: Identities, principal: Principal, name: string | undefined): QueryTarget {
  const { accountId } = principal.owner;
  const user = name === undefined ? callerAsUser(identities, principal) : identities.users.find(accountId, name);
  const resourceTags = user === 'root' ? undefined : user?.tags;
  return iamTarget(userOrCallerResource(identities, principal, name), { resourceTags });
}

/** A managed policy with its tags; of another account's nothing is looked at. */
export function policyTarget(identities: Identities, { owner }: Principal, arn: string): QueryTarget {
  const policy = findManagedPolicy(identities, arn);
  return iamTarget(arn, { resourceTags: policy?.accountId === owner.accountId ? policy.tags : undefined });
}
