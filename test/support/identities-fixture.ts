import type { AccessKey, Group, PolicyCarrier, Role, User } from '../../src/access/identities/entities.ts';
import { Identities } from '../../src/access/identities/identities.ts';
import type { Owner } from '../../src/model/object-record.ts';
import { SystemRandomness } from '../../src/observability/system-clock.ts';
import { DocumentStore } from './document-store.ts';

export const MASTER_KEY = Buffer.alloc(32, 7);

/** Identities over documents in memory, with nobody but the root of one account; opened again over the same documents. */
export async function openTestIdentities(firstOwner: Owner, documents = new DocumentStore()): Promise<Identities> {
  const identities = new Identities({ masterKey: MASTER_KEY, randomness: new SystemRandomness() });
  await identities.open(documents.asStore(), { clusterId: 'test-cluster', firstOwner });
  return identities;
}

const ACCOUNT = '111111111111';

export function userOf(id: string, name: string, more: Partial<User> = {}): User {
  return { ...carrierOf(id, name), tags: [], groupIds: [], ...more };
}

export function groupOf(id: string, name: string, more: Partial<Group> = {}): Group {
  return { ...carrierOf(id, name), ...more };
}

export function roleOf(id: string, name: string, more: Partial<Role> = {}): Role {
  const trustPolicy = JSON.stringify({
    Version: '2012-10-17',
    Statement: { Effect: 'Allow', Principal: { AWS: ACCOUNT }, Action: 'sts:AssumeRole' },
  });
  return { ...carrierOf(id, name), tags: [], trustPolicy, maxSessionDurationSeconds: 3600, ...more };
}

export function keyOf(id: string, more: Partial<AccessKey>): AccessKey {
  const secretAccessKey = `secret-of-${id}`;
  return { id, name: id, accountId: ACCOUNT, createdAtMs: 0, status: 'Active', secretAccessKey, ...more };
}

/** An inline policy that is called as what it does. */
export function inline(statement: Record<string, unknown>): { name: string; document: string } {
  const document = { Version: '2012-10-17', Statement: { Effect: 'Allow', Resource: '*', ...statement } };
  return { name: String(statement.Action), document: JSON.stringify(document) };
}

function carrierOf(id: string, name: string): PolicyCarrier {
  return { id, name, accountId: ACCOUNT, createdAtMs: 0, path: '/', inlinePolicies: [], attachedPolicyArns: [] };
}
