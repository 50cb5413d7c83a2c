import type { Group, ManagedPolicy, OidcProvider, Role, User } from './entities.ts';

export function rootArn(accountId: string): string {
  return `arn:aws:iam::${accountId}:root`;
}

export function userArn({ accountId, path, name }: Pick<User, 'accountId' | 'path' | 'name'>): string {
  return `arn:aws:iam::${accountId}:user${path}${name}`;
}

export function groupArn({ accountId, path, name }: Pick<Group, 'accountId' | 'path' | 'name'>): string {
  return `arn:aws:iam::${accountId}:group${path}${name}`;
}

export function roleArn({ accountId, path, name }: Pick<Role, 'accountId' | 'path' | 'name'>): string {
  return `arn:aws:iam::${accountId}:role${path}${name}`;
}

export function policyArn({ accountId, path, name }: Pick<ManagedPolicy, 'accountId' | 'path' | 'name'>): string {
  return `arn:aws:iam::${accountId}:policy${path}${name}`;
}

export function oidcProviderArn({ accountId, name }: Pick<OidcProvider, 'accountId' | 'name'>): string {
  return `arn:aws:iam::${accountId}:oidc-provider/${name}`;
}

/** Without the role's path, as AWS has it. */
export function assumedRoleArn({ accountId, name }: Pick<Role, 'accountId' | 'name'>, sessionName: string): string {
  return `arn:aws:sts::${accountId}:assumed-role/${name}/${sessionName}`;
}

/** `arn:aws:iam::123456789012:policy/team/p` is `{ accountId, kind: 'policy', path: '/team/', name: 'p' }`. */
export function parseIamArn(arn: string): { accountId: string; kind: string; path: string; name: string } | undefined {
  const match = /^arn:aws:iam::(\d{12}|aws):([a-z-]+)(\/(?:.*\/)?)([^/]+)$/.exec(arn);
  if (match === null) return undefined;
  const [, accountId, kind, path, name] = match;
  return { accountId: accountId!, kind: kind!, path: path!, name: name! };
}
