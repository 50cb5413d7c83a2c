import { key } from '../config-key.ts';
import { boolean } from '../value-types.ts';

export const identitySection = {
  privateIssuers: key({
    type: boolean(),
    default: false,
    env: 'HOLDFAST_PRIVATE_ISSUERS',
    what: 'OpenID Connect providers may be at loopback and private addresses.',
    why: 'Whoever may register a provider could otherwise make the server ask inside its own network.',
  }),
};
