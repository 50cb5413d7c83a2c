import type { AccessKey, Role, User } from '../../src/access/identities/entities.ts';
import type { Principal } from '../../src/access/principal.ts';
import { S3Error } from '../../src/errors/s3-error.ts';
import { type Access, makeAccess } from '../../src/composition/make-access.ts';
import type { ProviderKeysOptions } from '../../src/access/web-identity/provider-keys.ts';
import { WebIdentities } from '../../src/access/web-identity/web-identities.ts';
import type { Owner } from '../../src/model/object-record.ts';
import { SystemClock, SystemRandomness } from '../../src/observability/system-clock.ts';
import { DocumentStore } from './document-store.ts';
import { inline, keyOf, MASTER_KEY, roleOf, userOf } from './identities-fixture.ts';
import { form, QueryTestServer } from './query-test-server.ts';

export const ACCOUNT = '111111111111';
export const OTHER_ACCOUNT = '222222222222';
const OWNER: Owner = { accountId: ACCOUNT, canonicalId: 'a'.repeat(64), displayName: 'root' };

export interface Signer {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
}

export interface Answer {
  status: number;
  /** Of the error; empty for success. */
  code: string;
  body: string;
}

/**
 * The query front over real identities, sessions and authorizer: users alice (may assume everything) and bob (may do
 * nothing) of one account, mallory (may assume everything) of another, and the roots of both.
 */
export class StsFixture {
  readonly server = new QueryTestServer();
  readonly access: Access;
  nowMs = Date.now();

  /** Instead of asking issuers over the network. */
  readonly #webIdentities: WebIdentities | undefined;

  constructor({ fetchJson }: { fetchJson?: ProviderKeysOptions['fetchJson'] } = {}) {
    const system = new SystemClock();
    const clock = {
      nowMs: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      schedule: (delayMs: number, callback: () => void) => system.schedule(delayMs, callback),
    };
    const randomness = new SystemRandomness();
    const config = { identity: { privateIssuers: true }, s3: { region: 'us-east-1' } };
    const options = { clock, config, randomness, secrets: { masterKey: MASTER_KEY } };
    this.access = makeAccess(options as never, {
      store: () => ({ getBucket: async () => undefined, getObject: async () => undefined }),
      rootCredentials: () => undefined,
    });
    if (fetchJson !== undefined) {
      this.#webIdentities = new WebIdentities(this.access.identities, { clock, fetchJson });
    }
  }

  async start(): Promise<this> {
    const { identities, sessions, credentials } = this.access;
    await identities.open(new DocumentStore().asStore(), { clusterId: 'test-cluster', firstOwner: OWNER });
    sessions.open({ masterKey: MASTER_KEY, clusterId: 'test-cluster' });
    await identities.change(async ({ accounts, accessKeys, users }) => {
      const other = { id: OTHER_ACCOUNT, accountId: OTHER_ACCOUNT, name: 'other', createdAtMs: 0 };
      await accounts.put({ ...other, canonicalId: 'b'.repeat(64) });
      const mayAssume = [inline({ Action: ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity'] })];
      await users.put(userOf('AIDAALICE', 'alice', { inlinePolicies: mayAssume }));
      await users.put(userOf('AIDABOB', 'bob'));
      await users.put(userOf('AIDAMALLORY', 'mallory', { accountId: OTHER_ACCOUNT, inlinePolicies: mayAssume }));
      await accessKeys.put(keyOf('AKALICE', { userId: 'AIDAALICE' }));
      await accessKeys.put(keyOf('AKBOB', { userId: 'AIDABOB' }));
      await accessKeys.put(keyOf('AKMALLORY', { userId: 'AIDAMALLORY', accountId: OTHER_ACCOUNT }));
      await accessKeys.put(keyOf('AKROOT', {}));
      await accessKeys.put(keyOf('AKOTHERROOT', { accountId: OTHER_ACCOUNT }));
    });
    await this.server.start(
      credentials,
      () => ({ ...this.access, webIdentities: this.#webIdentities ?? this.access.webIdentities }),
      () => this.nowMs,
    );
    return this;
  }

  stop(): Promise<void> {
    return this.server.stop();
  }

  async call(
    service: 'iam' | 'sts',
    action: string,
    parameters: Readonly<Record<string, string>>,
    signer?: Signer,
  ): Promise<Answer> {
    const { status, body } = await this.server.request({ service, body: form(service, action, parameters), signer });
    return { status, body, code: /<Code>(.*)<\/Code>/.exec(body)?.[1] ?? '' };
  }

  assume(signer: Signer, role: string, parameters: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.call('sts', 'AssumeRole', { RoleArn: role, RoleSessionName: 'work', ...parameters }, signer);
  }

  /** Its credentials; fails the test when there are none. */
  async session(signer: Signer, role: string, parameters: Readonly<Record<string, string>> = {}): Promise<Signer> {
    return credentialsIn(await this.assume(signer, role, parameters));
  }

  async putRole(id: string, name: string, more: Partial<Role> = {}): Promise<string> {
    await this.access.identities.change(({ roles }) => roles.put(roleOf(id, name, more)));
    return `arn:aws:iam::${more.accountId ?? ACCOUNT}:role/${name}`;
  }

  async changeUser(id: string, change: Partial<User>): Promise<void> {
    const user = this.access.identities.users.get(id)!;
    await this.access.identities.change(({ users }) => users.put({ ...user, ...change }));
  }

  async changeKey(id: string, change: Partial<AccessKey>): Promise<void> {
    const key = this.access.identities.accessKeys.get(id)!;
    await this.access.identities.change(({ accessKeys }) => accessKeys.put({ ...key, ...change }));
  }

  /** Who signs with these. @throws S3Error InvalidToken */
  principal({ accessKeyId, sessionToken }: Signer): Principal {
    const credential = this.access.credentials.find(accessKeyId, sessionToken);
    if (credential === undefined) throw new Error(`${accessKeyId} is nobody’s`);
    return credential.principal;
  }

  /** May whoever signs with these make a bucket of this name? */
  async may(signer: Signer, bucket: string, action = 's3:CreateBucket'): Promise<boolean> {
    try {
      const principal = this.principal(signer);
      const request = { principal, action, bucket, key: undefined, context: () => undefined };
      await this.access.authorizer.authorize(request);
      return true;
    } catch (error) {
      if (error instanceof S3Error) return false;
      throw error;
    }
  }
}

export function signerOf(accessKeyId: string): Signer {
  return { accessKeyId, secretAccessKey: `secret-of-${accessKeyId}` };
}

export function credentialsIn({ status, body }: Answer): Required<Signer> {
  if (status !== 200) throw new Error(`no credentials: ${body}`);
  const of = (name: string): string => new RegExp(`<${name}>(.*?)</${name}>`).exec(body)![1]!;
  return {
    accessKeyId: of('AccessKeyId'),
    secretAccessKey: of('SecretAccessKey'),
    sessionToken: of('SessionToken'),
  };
}

/** A trust policy of statements. */
export function trusting(...statements: Record<string, unknown>[]): string {
  const full = statements.map((statement) => ({ Effect: 'Allow', Action: 'sts:AssumeRole', ...statement }));
  return JSON.stringify({ Version: '2012-10-17', Statement: full });
}
