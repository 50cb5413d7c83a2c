import type { Authorizer } from '../access/principal.ts';

/** What the handlers of IAM and STS stand on. */
export interface IamServices {
  readonly authorizer: Authorizer;
}
