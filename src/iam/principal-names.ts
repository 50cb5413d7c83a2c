import { assumedRoleArn, rootArn, userArn } from '../access/identities/arns.ts';
import type { Identities } from '../access/identities/identities.ts';
import type { Principal } from '../access/principal.ts';

/** As IAM and STS name the caller: its ARN, and the unique id. Of one who is gone, what is still known. */
export function principalNames(
  { type, owner, entityId = '', session }: Principal,
  identities: Pick<Identities, 'roles' | 'users'>,
): { arn: string; userId: string } {
  const { accountId } = owner;
  if (type === 'anonymous') return { arn: 'anonymous', userId: 'anonymous' };
  if (type === 'user') {
    const user = identities.users.get(entityId);
    if (user !== undefined) return { arn: userArn(user), userId: user.id };
  }
  if (type === 'assumed-role') {
    const role = identities.roles.get(entityId);
    const name = session?.name ?? '';
    if (role !== undefined) return { arn: assumedRoleArn(role, name), userId: `${role.id}:${name}` };
  }
  return type === 'root' ? { arn: rootArn(accountId), userId: accountId } : { arn: entityId, userId: entityId };
}
