import type { Principal } from '../access/principal.ts';

/** As IAM names the caller. */
export function principalArn({ type, owner }: Principal): string {
  return type === 'anonymous' ? 'anonymous' : `arn:aws:iam::${owner.accountId}:root`;
}
