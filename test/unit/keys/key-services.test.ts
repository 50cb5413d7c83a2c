import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KeyArns } from '../../../src/keys/key-arn.ts';
import { KeyRing } from '../../../src/keys/key-ring.ts';
import type { KeyService } from '../../../src/keys/key-service.ts';
import { LocalKeyService } from '../../../src/keys/local-key-service.ts';
import { VaultKeyService } from '../../../src/keys/vault-key-service.ts';
import { SqliteMetadataStore } from '../../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { SystemRandomness } from '../../../src/observability/system-clock.ts';
import { NO_COPIES, TEST_CLUSTER_ID, TEST_MASTER_KEY, testKeyArn } from '../../support/encryption-fixture.ts';
import { FakeVault } from '../../support/fake-vault.ts';
import { MemoryJournal } from '../../support/memory-journal.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const randomness = new SystemRandomness();
const clock = new ManualClock();
const ARN = testKeyArn('first');
const CONTEXT = { 'aws:s3:arn': 'arn:aws:s3:::bucket/key', department: 'x' };

let folder: string;
let store: SqliteMetadataStore;
let ring: KeyRing;
let vault: FakeVault;
let vaultAddress: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-keys-'));
  const indexPath = join(folder, 'index.sqlite');
  store = new SqliteMetadataStore({ journal: new MemoryJournal(), indexPath, clock, randomness, log: silentLog });
  await store.start(() => {});
  ring = await openRing();
  await ring.create('first');
  vault = new FakeVault();
  vaultAddress = await vault.start();
  vault.createKey('first');
});

afterEach(async () => {
  await vault.stop();
  await store.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function openRing(masterKey: Buffer | undefined = TEST_MASTER_KEY): Promise<KeyRing> {
  const opened = new KeyRing({ store, copies: NO_COPIES, clusterId: TEST_CLUSTER_ID, masterKey, clock, randomness });
  await opened.open();
  return opened;
}

function vaultService(options: { token?: string; timeoutMs?: number } = {}): VaultKeyService {
  const { token = vault.token, timeoutMs = 2000 } = options;
  return new VaultKeyService({ address: vaultAddress, mount: 'transit', token, namespace: '', timeoutMs });
}

const SERVICES: Record<string, { make: () => KeyService; rotate: () => Promise<void> | void }> = {
  'the local key service': {
    make: () => new LocalKeyService({ ring, randomness, defaultKey: 'aws-s3' }),
    rotate: () => ring.rotate('first'),
  },
  Vault: { make: () => vaultService(), rotate: () => vault.rotateKey('first') },
};

describe.each(Object.entries(SERVICES))('%s', (name, { make, rotate }) => {
  it('gives data keys that it opens again, each another', async () => {
    const service = make();
    const keys = [];
    for (let count = 0; count < 3; count++) keys.push(await service.generateDataKey({ keyArn: ARN, context: CONTEXT }));
    expect(new Set(keys.map(({ plain }) => plain.toString('hex'))).size).toBe(3);
    for (const { plain, sealed } of keys) {
      expect(plain).toHaveLength(32);
      expect(sealed.includes(plain)).toBe(false);
      const opened = await service.decryptDataKey({ keyArn: ARN, sealed, context: { ...CONTEXT } });
      expect(opened.equals(plain)).toBe(true);
    }
  });

  it('opens what older versions of a key have sealed', async () => {
    const service = make();
    const { plain, sealed } = await service.generateDataKey({ keyArn: ARN, context: CONTEXT });
    await rotate();
    const newer = await service.generateDataKey({ keyArn: ARN, context: CONTEXT });
    expect((await service.decryptDataKey({ keyArn: ARN, sealed, context: CONTEXT })).equals(plain)).toBe(true);
    const request = { keyArn: ARN, sealed: newer.sealed, context: CONTEXT };
    expect((await service.decryptDataKey(request)).equals(newer.plain)).toBe(true);
  });

  it('refuses a key that is not there, and a data key that was changed', async () => {
    const service = make();
    const missing = service.generateDataKey({ keyArn: testKeyArn('missing'), context: {} });
    await expect(missing).rejects.toMatchObject({ code: 'KMS.NotFoundException', status: 400 });
    const { sealed } = await service.generateDataKey({ keyArn: ARN, context: CONTEXT });
    const changed = Buffer.from(sealed);
    changed[changed.length - 20]! ^= 1;
    const opened = service.decryptDataKey({ keyArn: ARN, sealed: changed, context: CONTEXT });
    await expect(opened).rejects.toMatchObject({ code: 'KMS.KMSInvalidStateException', status: 400 });
  });

  it(`binds a data key to its context, where ${name} does`, async () => {
    if (name === 'Vault') vault.createKey('first', { derived: true });
    const service = make();
    const { sealed } = await service.generateDataKey({ keyArn: ARN, context: CONTEXT });
    const other = service.decryptDataKey({ keyArn: ARN, sealed, context: { ...CONTEXT, department: 'y' } });
    await expect(other).rejects.toMatchObject({ code: 'KMS.KMSInvalidStateException' });
  });
});

describe('Vault that cannot be asked', () => {
  it.each([
    ['is sealed', { status: 503, body: '{"errors":["Vault is sealed"]}' }],
    ['is overloaded', { status: 429, body: '' }],
    ['is no Vault', { status: 200, body: '<html>' }],
    ['sends no key', { status: 200, body: '{"data":{"plaintext":"AAAA","ciphertext":"vault:v1:x"}}' }],
  ])('is KeysUnavailable when it %s, and nothing of its answer is told', async (_what, failWith) => {
    vault.failWith = failWith;
    const asked = vaultService().generateDataKey({ keyArn: ARN, context: {} });
    await expect(asked).rejects.toMatchObject({ code: 'KeysUnavailable' });
    await expect(asked).rejects.not.toThrow(/html|AAAA/);
  });

  it('is KeysUnavailable when the token is refused, it hangs, or is not there', async () => {
    const unavailable = { code: 'KeysUnavailable' };
    const request = { keyArn: ARN, context: {} };
    await expect(vaultService({ token: 'other' }).generateDataKey(request)).rejects.toMatchObject(unavailable);
    vault.isHanging = true;
    await expect(vaultService({ timeoutMs: 50 }).generateDataKey(request)).rejects.toMatchObject(unavailable);
    await vault.stop();
    await expect(vaultService().generateDataKey(request)).rejects.toMatchObject(unavailable);
    vault = new FakeVault();
    await vault.start();
  });
});

describe('the key ring', () => {
  it('is the same after a restart, with every version of every key', async () => {
    const first = await ring.serverKey();
    await ring.rotate('sse-s3');
    await ring.rotate('first');
    await ring.setEnabled('first', false);
    const again = await openRing();
    expect(again.serverKeyOf(1).material.equals(first.material)).toBe(true);
    expect((await again.serverKey()).version).toBe(2);
    expect(again.list()).toEqual(ring.list());
    expect(again.list()).toMatchObject([
      { name: 'sse-s3', versionCount: 2 },
      { name: 'first', versionCount: 2, isEnabled: false },
    ]);
  });

  it('lies sealed in the metadata store', async () => {
    const { material } = await ring.serverKey();
    const body = (await store.getDocument({ collection: 'encryption', id: 'key-ring' }))!;
    expect(body.includes(material.toString('base64'))).toBe(false);
    expect(body.includes('serverVersions')).toBe(false);
  });

  it.each([
    ['the key file is lost', undefined],
    ['it was sealed by another master key', Buffer.alloc(32, 9)],
  ])(
    'sec_lost_key_fails_closed: fails everything that needs it when %s, and is never replaced by another',
    async (_what, masterKey) => {
      await ring.serverKey();
      const before = await store.getDocument({ collection: 'encryption', id: 'key-ring' });
      const locked = new KeyRing({
        store,
        copies: NO_COPIES,
        clusterId: TEST_CLUSTER_ID,
        masterKey,
        clock,
        randomness,
      });
      await locked.open();
      const unavailable = { code: 'KeysUnavailable' };
      await expect(locked.serverKey()).rejects.toMatchObject(unavailable);
      await expect(locked.create('second')).rejects.toMatchObject(unavailable);
      expect(() => locked.list()).toThrow(expect.objectContaining(unavailable));
      expect((await store.getDocument({ collection: 'encryption', id: 'key-ring' }))!.equals(before!)).toBe(true);
    },
  );

  it('makes one server key for many that ask at once', async () => {
    const keys = await Promise.all(Array.from({ length: 5 }, () => ring.serverKey()));
    expect(new Set(keys.map(({ material }) => material.toString('hex'))).size).toBe(1);
  });

  it('neither seals nor opens with a disabled key', async () => {
    const service = new LocalKeyService({ ring, randomness, defaultKey: 'aws-s3' });
    const { sealed } = await service.generateDataKey({ keyArn: ARN, context: {} });
    await ring.setEnabled('first', false);
    const disabled = { code: 'KMS.DisabledException' };
    await expect(service.generateDataKey({ keyArn: ARN, context: {} })).rejects.toMatchObject(disabled);
    await expect(service.decryptDataKey({ keyArn: ARN, sealed, context: {} })).rejects.toMatchObject(disabled);
  });

  it('makes the default key when it is first used, also by two at once', async () => {
    const service = new LocalKeyService({ ring, randomness, defaultKey: 'aws-s3' });
    const request = { keyArn: testKeyArn('aws-s3'), context: {} };
    await Promise.all([service.generateDataKey(request), service.generateDataKey(request)]);
    expect(ring.key('aws-s3')!.versions).toHaveLength(1);
  });
});

describe('names of keys', () => {
  const arns = new KeyArns({ region: 'us-east-1', accountId: '123456789012', defaultKey: 'aws-s3' });

  it('are ids, aliases and ARNs of this account and region', () => {
    for (const named of ['first', 'alias/first', ARN, ARN.replace('key/', 'alias/')]) {
      expect(arns.resolve(named)).toBe(ARN);
    }
    for (const named of [undefined, '', 'alias/aws/s3']) expect(arns.resolve(named)).toBe(testKeyArn('aws-s3'));
  });

  it.each([
    ['fake key id', "Invalid keyId 'fake key id'"],
    ['aws/../s3', "Invalid keyId 'aws/../s3'"],
    ['arn:aws:kms:us-west-2:123456789012:key/first', 'Invalid arn us-west-2'],
    ['arn:aws:kms:us-east-1:999999999999:key/first', 'does not exist'],
  ])('are refused otherwise: %s', (named, message) => {
    expect(() => arns.resolve(named)).toThrow(message);
  });
});
