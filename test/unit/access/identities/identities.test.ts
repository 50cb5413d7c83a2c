import { expect, test } from 'vitest';
import { Identities } from '../../../../src/access/identities/identities.ts';
import { SystemRandomness } from '../../../../src/observability/system-clock.ts';
import { DocumentStore } from '../../../support/document-store.ts';
import { keyOf, openTestIdentities, userOf } from '../../../support/identities-fixture.ts';

const OWNER = { accountId: '111111111111', canonicalId: 'a'.repeat(64), displayName: 'root' };
const ANN = userOf('AIDA1', 'Ann');
const KEY = keyOf('HFKEY1', { userId: ANN.id, secretAccessKey: 'the-very-secret' });

test('what was put is there when it is opened again, by id and by name in any case', async () => {
  const documents = new DocumentStore();
  const identities = await openTestIdentities(OWNER, documents);
  await identities.change(async (writer) => {
    await writer.users.put(ANN);
    await writer.accessKeys.put(KEY);
  });
  const again = await openTestIdentities(OWNER, documents);
  expect(again.users.get(ANN.id)).toEqual(ANN);
  expect(again.users.find(OWNER.accountId, 'aNN')).toEqual(ANN);
  expect(again.users.find('222222222222', 'Ann')).toBeUndefined();
  expect(again.findCredential(KEY.id)).toMatchObject({
    secretAccessKey: 'the-very-secret',
    principal: { type: 'user', entityId: ANN.id, owner: OWNER },
  });
});

test('no secret stands in a document', async () => {
  const documents = new DocumentStore();
  const identities = await openTestIdentities(OWNER, documents);
  await identities.change((writer) => writer.accessKeys.put(KEY));
  expect(Buffer.concat([...documents.documents.values()]).toString()).not.toContain('the-very-secret');
});

test('a key of a renamed user goes on, one of a deleted user, a disabled and a deleted one are unknown at once', async () => {
  const identities = await openTestIdentities(OWNER);
  await identities.change(async (writer) => {
    await writer.users.put(ANN);
    await writer.accessKeys.put(KEY);
  });
  await identities.change((writer) => writer.users.put({ ...ANN, name: 'Anna' }));
  expect(identities.users.find(OWNER.accountId, 'Ann')).toBeUndefined();
  expect(identities.findCredential(KEY.id)).toBeDefined();
  await identities.change((writer) => writer.accessKeys.put({ ...KEY, status: 'Inactive' }));
  expect(identities.findCredential(KEY.id)).toBeUndefined();
  await identities.change((writer) => writer.accessKeys.put(KEY));
  expect(identities.findCredential(KEY.id)).toBeDefined();
  await identities.change((writer) => writer.users.delete(ANN.id));
  expect(identities.findCredential(KEY.id)).toBeUndefined();
  await identities.change((writer) => writer.accessKeys.delete(KEY.id));
  expect(identities.accessKeys.get(KEY.id)).toBeUndefined();
});

test('changes run one after the other', async () => {
  const identities = await openTestIdentities(OWNER);
  const make = (id: string): Promise<boolean> =>
    identities.change(async (writer) => {
      if (identities.users.find(OWNER.accountId, 'Ann') !== undefined) return false;
      await writer.users.put({ ...ANN, id });
      return true;
    });
  expect(await Promise.all([make('AIDA1'), make('AIDA2'), make('AIDA3')])).toEqual([true, false, false]);
});

test('a change is seen when it is acknowledged, and one that failed when the store tells', async () => {
  const documents = new DocumentStore();
  const identities = await openTestIdentities(OWNER, documents);
  const commit = documents.commit.bind(documents);
  documents.commit = async (mutation) => {
    expect(identities.users.get(ANN.id)).toBeUndefined();
    await commit(mutation);
    throw new Error('undecided');
  };
  await expect(identities.change((writer) => writer.users.put(ANN))).rejects.toThrow('undecided');
  expect(identities.users.get(ANN.id)).toBeUndefined();
  documents.commit = commit;
  await identities.change(async () => expect(identities.users.get(ANN.id)).toEqual(ANN));
});

test('documents that cannot be read are named and count as absent', async () => {
  const documents = new DocumentStore();
  const identities = await openTestIdentities(OWNER, documents);
  await identities.change(async (writer) => {
    await writer.users.put(ANN);
    await writer.accessKeys.put(KEY);
  });
  documents.documents.set('iam-users/AIDA9', Buffer.from('{"format":2,"id":"AIDA9"}'));
  const withoutKey = new Identities({ masterKey: undefined, randomness: new SystemRandomness() });
  const { unreadable } = await withoutKey.open(documents.asStore(), { clusterId: 'test-cluster', firstOwner: OWNER });
  expect(unreadable.map(({ collection, id }) => `${collection}/${id}`)).toEqual([
    'iam-users/AIDA9',
    'iam-access-keys/HFKEY1',
  ]);
  expect(withoutKey.users.get(ANN.id)).toEqual(ANN);
  expect(withoutKey.findCredential(KEY.id)).toBeUndefined();
});

test('before it is open there is nobody, and nothing can be changed', async () => {
  const identities = new Identities({ masterKey: undefined, randomness: new SystemRandomness() });
  expect(identities.findCredential('HFKEY1')).toBeUndefined();
  expect(identities.accountIds()).toEqual([]);
  await expect(identities.change((writer) => writer.users.put(ANN))).rejects.toThrow('not open');
});
