import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Callers } from '../../src/access/callers.ts';
import type { Identities } from '../../src/access/identities/identities.ts';
import { PolicyAuthorizer } from '../../src/access/policy-authorizer.ts';
import type { Principal } from '../../src/access/principal.ts';
import { groupOf, keyOf, openTestIdentities, userOf } from '../support/identities-fixture.ts';
import { naiveDecision, type NaivePolicy } from '../support/naive-policy.ts';
import { ACCOUNTS, identityPolicies, policies, requests } from '../support/policy-arbitraries.ts';

const [FIRST, SECOND] = ACCOUNTS as [string, string];
const OWNER = { accountId: FIRST, canonicalId: 'a'.repeat(64), displayName: 'root' };

const isOfS3 = ({ Statement }: NaivePolicy): boolean =>
  Statement.every(({ Action, NotAction }) => ![...(Action ?? []), ...(NotAction ?? [])].includes('iam:*'));
const maybe = <T>(one: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(one, { nil: undefined });

const settings = fc.record({
  inline: fc.array(identityPolicies, { maxLength: 2 }),
  ofGroup: fc.array(identityPolicies, { maxLength: 2 }),
  boundary: maybe(identityPolicies),
  narrowing: maybe(identityPolicies),
  bucketPolicy: maybe(policies.filter(isOfS3)),
  bucketAccount: fc.constantFrom(FIRST, SECOND),
  request: requests.filter(({ accountId, action }) => accountId === FIRST && action.startsWith('s3:')),
});
type Setting = typeof settings extends fc.Arbitrary<infer T> ? T : never;

/** A user `ann` or `bob` with inline policies, a group, a boundary and, with a narrowing policy, a service account. */
async function store(
  identities: Identities,
  { inline, ofGroup, boundary, narrowing, request }: Setting,
): Promise<void> {
  const named = (list: readonly NaivePolicy[]): { name: string; document: string }[] =>
    list.map((policy, index) => ({ name: `p${index}`, document: JSON.stringify(policy) }));
  await identities.change(async (writer) => {
    const managed = { accountId: FIRST, path: '/', createdAtMs: 0, updatedAtMs: 0, nextVersion: 2, tags: [] };
    if (boundary !== undefined) {
      const versions = [{ id: 'v1', document: JSON.stringify(boundary), createdAtMs: 0 }];
      await writer.policies.put({ id: 'ANPA1', name: 'limit', versions, defaultVersionId: 'v1', ...managed });
    }
    await writer.groups.put(groupOf('AGPA1', 'group', { inlinePolicies: named(ofGroup) }));
    await writer.users.put(
      userOf('AIDA1', request.arn.slice(-3), {
        inlinePolicies: named(inline),
        groupIds: ['AGPA1'],
        ...(boundary === undefined ? {} : { boundaryArn: `arn:aws:iam::${FIRST}:policy/limit` }),
      }),
    );
    const serviceAccount = narrowing === undefined ? undefined : { description: '', policy: JSON.stringify(narrowing) };
    await writer.accessKeys.put(
      keyOf('HFKEY', { userId: 'AIDA1', ...(serviceAccount === undefined ? {} : { serviceAccount }) }),
    );
  });
}

async function isAllowed(identities: Identities, principal: Principal, setting: Setting): Promise<boolean> {
  const { bucketPolicy, bucketAccount, request } = setting;
  const policy =
    bucketPolicy === undefined ? {} : { policy: { document: JSON.stringify(bucketPolicy), bindsOwner: true } };
  const bucket = {
    bucketId: 1,
    name: 'b',
    owner: { ...OWNER, accountId: bucketAccount },
    region: 'us-east-1',
    createdAtMs: 0,
    configuration: { publicAccessBlock: 'none' as const, ...policy },
  };
  const metadata = { getBucket: async () => bucket, getObject: async () => undefined };
  const authorizer = new PolicyAuthorizer(() => metadata, new Callers(identities));
  const key = request.resource.slice('arn:aws:s3:::b/'.length);
  const question = {
    principal,
    action: request.action,
    bucket: 'b',
    key,
    context: (name: string) => request.context[name],
  };
  return await authorizer.authorize(question).then(
    () => true,
    (error: unknown) => {
      if ((error as { code?: string }).code === 'AccessDenied') return false;
      throw error;
    },
  );
}

test('the authorizer decides on stored users, groups, boundaries and service accounts as the naive evaluator does', async () => {
  await fc.assert(
    fc.asyncProperty(settings, async (setting) => {
      const identities = await openTestIdentities(OWNER);
      await store(identities, setting);
      const { principal } = identities.findCredential('HFKEY')!;
      const { inline, ofGroup, boundary, narrowing, bucketPolicy, bucketAccount, request } = setting;
      const expected = naiveDecision(
        request,
        {
          isRoot: false,
          identity: [...inline, ...ofGroup],
          boundary,
          session: narrowing === undefined ? [] : [narrowing],
        },
        { accountId: bucketAccount, policy: bucketPolicy },
      );
      expect(await isAllowed(identities, principal, setting)).toBe(expected);
      // What was decided is not kept: without policies the user has what the bucket alone gives.
      await identities.change((writer) => writer.users.put(userOf('AIDA1', request.arn.slice(-3))));
      const bare = {
        isRoot: false,
        identity: [],
        boundary: undefined,
        session: narrowing === undefined ? [] : [narrowing],
      };
      const resource = { accountId: bucketAccount, policy: bucketPolicy };
      expect(await isAllowed(identities, principal, setting)).toBe(naiveDecision(request, bare, resource));
    }),
    { numRuns: 300 },
  );
});
