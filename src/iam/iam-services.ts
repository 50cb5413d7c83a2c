import type { Identities } from '../access/identities/identities.ts';
import type { Authorizer } from '../access/principal.ts';

/** What the handlers of IAM and STS stand on. */
export interface IamServices {
  readonly authorizer: Authorizer;
  readonly identities: Identities;
}
