import { expect, test } from 'vitest';
import { CredentialStore, NoRootKeyError, type RootKey } from '../../../src/access/credential-store.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';
import { DocumentStore } from '../../support/document-store.ts';

const MASTER_KEY = Buffer.alloc(32, 1);
const CONFIGURED: RootKey = { accessKeyId: 'CONFIGURED', secretAccessKey: 'configured-secret-0001' };

function credentialStore(options: { masterKey?: Buffer | undefined; configuredRootKey?: RootKey; seed?: number } = {}) {
  return new CredentialStore({
    clusterId: 'cluster',
    masterKey: 'masterKey' in options ? options.masterKey : MASTER_KEY,
    configuredRootKey: options.configuredRootKey,
    clock: new ManualClock(),
    randomness: new SeededRandomness(options.seed ?? 1),
  });
}

test('before it is open it knows nobody', () => {
  const credentials = credentialStore({ configuredRootKey: CONFIGURED });
  expect(credentials.find('CONFIGURED')).toBeUndefined();
  expect(credentials.find('')).toBeUndefined();
});

test('the first open makes a random root key and an account, the next one finds both', async () => {
  const documents = new DocumentStore();
  const first = credentialStore();
  expect(await first.open(documents.asStore())).toEqual({ isCreated: true });
  expect(first.root.accessKeyId).toMatch(/^HF[A-Z2-9]{18}$/);
  expect(first.root.secretAccessKey).toMatch(/^[a-z2-9]{40}$/);
  expect(first.owner.accountId).toMatch(/^[1-9]\d{11}$/);
  expect(first.owner.canonicalId).toMatch(/^[0-9a-f]{64}$/);
  for (const body of documents.documents.values()) expect(body.includes(first.root.secretAccessKey)).toBe(false);

  const second = credentialStore({ seed: 2 });
  expect(await second.open(documents.asStore())).toEqual({ isCreated: false });
  expect(second.root).toEqual(first.root);
  expect(second.owner).toEqual(first.owner);
  expect(documents.commitCount).toBe(2);
});

test('a configured root key wins, the stored one is refused, and the owner stays the same', async () => {
  const documents = new DocumentStore();
  const stored = credentialStore();
  await stored.open(documents.asStore());
  const configured = credentialStore({ configuredRootKey: CONFIGURED });
  await configured.open(documents.asStore());
  expect(configured.root).toEqual({ ...CONFIGURED, source: 'configuration' });
  expect(configured.find(stored.root.accessKeyId)).toBeUndefined();
  expect(configured.find('CONFIGURED')?.principal).toEqual({
    type: 'root',
    accessKeyId: 'CONFIGURED',
    owner: stored.owner,
  });
  const back = credentialStore({ seed: 3 });
  await back.open(documents.asStore());
  expect(back.root).toEqual(stored.root);
});

test('rotate replaces the key at once and for the next start', async () => {
  const documents = new DocumentStore();
  const credentials = credentialStore();
  await credentials.open(documents.asStore());
  const before = credentials.root.accessKeyId;
  const key = await credentials.rotate(documents.asStore());
  expect(key.accessKeyId).not.toBe(before);
  expect(credentials.find(before)).toBeUndefined();
  expect(credentials.find(key.accessKeyId)?.secretAccessKey).toBe(key.secretAccessKey);
  const next = credentialStore({ seed: 4 });
  await next.open(documents.asStore());
  expect(next.root).toEqual({ ...key, source: 'stored' });
});

test('the old key stays in force when the new one cannot be stored', async () => {
  const documents = new DocumentStore();
  const credentials = credentialStore();
  await credentials.open(documents.asStore());
  const before = credentials.root;
  documents.commit = async () => await Promise.reject(new Error('no quorum'));
  await expect(credentials.rotate(documents.asStore())).rejects.toThrow('no quorum');
  expect(credentials.root).toEqual(before);
});

test.each([
  ['is lost', undefined],
  ['is another one', Buffer.alloc(32, 9)],
])('when the master key %s the start fails and nothing is re-keyed silently', async (_why, masterKey) => {
  const documents = new DocumentStore();
  await credentialStore().open(documents.asStore());
  const before = new Map(documents.documents);
  const credentials = credentialStore({ masterKey });
  await expect(credentials.open(documents.asStore())).rejects.toThrow(NoRootKeyError);
  expect(credentials.find('')).toBeUndefined();
  expect(documents.documents).toEqual(before);
});

test('a configured root key needs no master key', async () => {
  const documents = new DocumentStore();
  await credentialStore().open(documents.asStore());
  const credentials = credentialStore({ masterKey: undefined, configuredRootKey: CONFIGURED });
  await credentials.open(documents.asStore());
  expect(credentials.find('CONFIGURED')).toBeDefined();
});

test('sec_no_default_credentials: two new clusters never share a key', async () => {
  const keys = new Set<string>();
  for (let seed = 0; seed < 50; seed += 1) {
    const credentials = credentialStore({ seed });
    await credentials.open(new DocumentStore().asStore());
    keys.add(credentials.root.secretAccessKey).add(credentials.root.accessKeyId);
  }
  expect(keys.size).toBe(100);
});

test('names of object prototypes are no access keys', async () => {
  const credentials = credentialStore();
  await credentials.open(new DocumentStore().asStore());
  for (const name of ['__proto__', 'constructor', 'toString', '']) expect(credentials.find(name)).toBeUndefined();
});
