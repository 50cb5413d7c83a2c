import { Callers } from '../../src/access/callers.ts';
import { KeyUses } from '../../src/access/identities/key-use.ts';
import type { Identities } from '../../src/access/identities/identities.ts';
import { PolicyAuthorizer } from '../../src/access/policy-authorizer.ts';
import { Sessions } from '../../src/access/sessions/sessions.ts';
import { TrustPolicies } from '../../src/access/sessions/trust-policy.ts';
import { WebIdentities } from '../../src/access/web-identity/web-identities.ts';
import type { IamServices } from '../../src/iam/iam-services.ts';
import type { Owner } from '../../src/model/object-record.ts';
import { SystemClock, SystemRandomness } from '../../src/observability/system-clock.ts';
import { openTestIdentities } from './identities-fixture.ts';
import { ALICE } from './metadata-fixtures.ts';
import { form, QueryTestServer } from './query-test-server.ts';
import { ACCESS_KEY } from './s3-test-server.ts';

export interface IamAnswer {
  status: number;
  /** Of an error. */
  code: string | undefined;
  body: string;
  /** The texts of all elements of this name, in order. */
  all(name: string): string[];
}

type Signer = { accessKeyId: string; secretAccessKey: string };

/** What handlers stand on, over documents in memory. */
export function servicesOver(identities: Identities): IamServices {
  const clock = new SystemClock();
  const keyUses = new KeyUses(clock, 'us-east-1');
  const store = { getBucket: async () => undefined, getObject: async () => undefined };
  const onUse = (accessKeyId: string, action: string): void => keyUses.note(accessKeyId, action);
  const authorizer = new PolicyAuthorizer(() => store, new Callers(identities), onUse);
  const randomness = new SystemRandomness();
  const noNetwork = async (url: string): Promise<never> => {
    throw new Error(`${url} was asked for`);
  };
  return {
    authorizer,
    identities,
    keyUses,
    randomness,
    sessions: new Sessions({ identities, findPermanent: () => undefined, clock, randomness }),
    trustPolicies: new TrustPolicies(),
    webIdentities: new WebIdentities(identities, { clock, fetchJson: noNetwork }),
  };
}

/** IAM over HTTP with its real authenticator, authorizer and identities; `call` signs as root unless told otherwise. */
export class IamFixture {
  readonly #server = new QueryTestServer();
  identities!: Identities;

  async start(owner: Owner = ALICE): Promise<this> {
    this.identities = await openTestIdentities(owner);
    const services = servicesOver(this.identities);
    const root = { ...ACCESS_KEY, principal: { type: 'root', accessKeyId: ACCESS_KEY.accessKeyId, owner } as const };
    const find = (accessKeyId: string) =>
      accessKeyId === ACCESS_KEY.accessKeyId ? root : this.identities.findCredential(accessKeyId);
    await this.#server.start({ find }, () => services);
    return this;
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  async call(action: string, parameters: Record<string, string> = {}, signer: Signer = ACCESS_KEY): Promise<IamAnswer> {
    const body = form('iam', action, parameters);
    const answer = await this.#server.request({ body, signer, service: 'iam' });
    const all = (name: string): string[] =>
      [...answer.body.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map((match) => match[1]!);
    return { status: answer.status, code: all('Code')[0], body: answer.body, all };
  }

  /** A user with a key of its own. */
  async makeUser(name: string): Promise<Signer> {
    await this.call('CreateUser', { UserName: name });
    const made = await this.call('CreateAccessKey', { UserName: name });
    return { accessKeyId: made.all('AccessKeyId')[0]!, secretAccessKey: made.all('SecretAccessKey')[0]! };
  }
}
