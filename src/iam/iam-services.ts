import type { Identities } from '../access/identities/identities.ts';
import type { KeyUses } from '../access/identities/key-use.ts';
import type { Authorizer } from '../access/principal.ts';
import type { Randomness } from '../model/clock.ts';

/** What the handlers of IAM and STS stand on. */
export interface IamServices {
  readonly authorizer: Authorizer;
  readonly identities: Identities;
  readonly keyUses: Pick<KeyUses, 'of'>;
  readonly randomness: Randomness;
}
