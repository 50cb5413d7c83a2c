import { AccessControlService } from '../../src/service/access-control.ts';
import { ALICE, BOB } from './metadata-fixtures.ts';

/** Over two accounts, with what AWS gives new buckets. */
export function testAccessControl(): AccessControlService {
  return new AccessControlService({
    accounts: { accountOfCanonicalId: (id) => [ALICE, BOB].find(({ canonicalId }) => canonicalId === id) },
    defaultOwnership: 'BucketOwnerEnforced',
    accountBlock: () => undefined,
  });
}
