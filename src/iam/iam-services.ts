import type { Identities } from '../access/identities/identities.ts';
import type { KeyUses } from '../access/identities/key-use.ts';
import type { Authorizer } from '../access/principal.ts';
import type { Sessions } from '../access/sessions/sessions.ts';
import type { TrustPolicies } from '../access/sessions/trust-policy.ts';
import type { WebIdentities } from '../access/web-identity/web-identities.ts';
import type { Randomness } from '../model/clock.ts';

/** What the handlers of IAM and STS stand on. */
export interface IamServices {
  readonly authorizer: Authorizer;
  readonly identities: Identities;
  readonly keyUses: Pick<KeyUses, 'of'>;
  readonly randomness: Randomness;
  readonly sessions: Pick<Sessions, 'issue'>;
  readonly trustPolicies: TrustPolicies;
  readonly webIdentities: Pick<WebIdentities, 'verify'>;
}
