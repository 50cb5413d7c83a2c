import { expect, test } from 'vitest';
import type { Principal } from '../../../src/access/principal.ts';
import { RootAuthorizer } from '../../../src/access/root-authorizer.ts';

const owner = { accountId: '123456789012', canonicalId: 'a'.repeat(64), displayName: 'root' };
const request = { action: 's3:GetObject', bucket: 'b', key: 'k' };
const authorizer = new RootAuthorizer();

test('root may do everything', () => {
  for (const action of ['s3:GetObject', 's3:PutObject', 's3:DeleteBucket', 's3:ListAllMyBuckets']) {
    const principal: Principal = { type: 'root', accessKeyId: 'A', owner };
    expect(() => authorizer.authorize({ ...request, action, principal })).not.toThrow();
  }
});

test.each<[string, Principal]>([
  ['anonymous', { type: 'anonymous', accessKeyId: '', owner }],
  ['anonymous with a key id', { type: 'anonymous', accessKeyId: 'A', owner }],
  ['root without a key id', { type: 'root', accessKeyId: '', owner }],
  ['an unknown type', { type: 'user' as 'root', accessKeyId: 'A', owner }],
  ['no type', { accessKeyId: 'A', owner } as Principal],
])('%s is denied', (_who, principal) => {
  expect(() => authorizer.authorize({ ...request, principal })).toThrow(
    expect.objectContaining({ code: 'AccessDenied', status: 403 }),
  );
});

test('an operation without an action is denied even to root', () => {
  const principal: Principal = { type: 'root', accessKeyId: 'A', owner };
  expect(() => authorizer.authorize({ ...request, action: '', principal })).toThrow();
});
