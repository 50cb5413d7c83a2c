import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Callers } from '../../../src/access/callers.ts';
import type { Identities } from '../../../src/access/identities/identities.ts';
import { PolicyAuthorizer } from '../../../src/access/policy-authorizer.ts';
import type { Principal } from '../../../src/access/principal.ts';
import { OPERATION_TABLE } from '../../../src/s3/operation-table.ts';
import type { OperationRow } from '../../../src/s3/operation.ts';
import type { S3Services } from '../../../src/service/services.ts';
import { ANONYMOUS } from '../../../src/s3/sigv4/authenticated-request.ts';
import { inline, openTestIdentities, roleOf, userOf } from '../../support/identities-fixture.ts';
import { S3TestServer } from '../../support/s3-test-server.ts';

const OWNER = { accountId: '111111111111', canonicalId: 'a'.repeat(64), displayName: 'root' };
const OTHER = { accountId: '222222222222', canonicalId: 'b'.repeat(64), displayName: 'other' };
const BUCKET = { bucketId: 1, name: 'bucket', owner: OWNER, region: 'us-east-1', createdAtMs: 0, configuration: {} };
const user = (entityId: string): Principal => ({ type: 'user', accessKeyId: 'K', owner: OWNER, entityId });
const CALLERS: Readonly<Record<string, Principal>> = {
  anonymous: ANONYMOUS,
  'a user without policies': user('AIDA1'),
  'a user with the wrong action': user('AIDA2'),
  'root of another account': { type: 'root', accessKeyId: 'K', owner: OTHER },
  'an assumed role without policies': {
    type: 'assumed-role',
    accessKeyId: 'K',
    owner: OWNER,
    entityId: 'AROA1',
    session: { name: 's', issuedAtMs: 1, tags: [], facts: new Map() },
  },
  'a user that is gone': user('AIDA9'),
};

let identities: Identities;
let principal: Principal = ANONYMOUS;
const reached: string[] = [];
const server = new S3TestServer();

beforeAll(async () => {
  identities = await openTestIdentities(OWNER);
  await identities.change(async (writer) => {
    await writer.users.put(userOf('AIDA1', 'none'));
    await writer.users.put(userOf('AIDA2', 'wrong', { inlinePolicies: [inline({ Action: 'iam:ListUsers' })] }));
    await writer.roles.put(roleOf('AROA1', 'role'));
  });
  const services = new Proxy({} as S3Services, {
    get: (_target, name) => {
      reached.push(String(name));
      throw new Error(`services.${String(name)} was reached`);
    },
  });
  const store = { getBucket: async () => BUCKET, getObject: async () => undefined };
  await server.start({
    services: () => services,
    authorizer: new PolicyAuthorizer(() => store, new Callers(identities)),
    authenticator: {
      authenticate: (raw) => ({
        raw,
        principal,
        signatureKind: principal === ANONYMOUS ? 'none' : 'header',
        isSigned: principal !== ANONYMOUS,
        headers: raw.headers,
        query: raw.query,
        payload: { kind: 'unsigned' },
      }),
      authenticatePostForm: () => {
        throw new Error('no form is sent here');
      },
    },
  });
});
afterAll(() => server.stop());
beforeEach(() => reached.splice(0));

/** Those that the pipeline authorizes before their handler runs; a form carries its credentials in its body. */
const ROWS = OPERATION_TABLE.filter(
  ({ name, handler, authorizes, target, sameRequestAs }) =>
    handler !== 'not-implemented' &&
    authorizes === undefined &&
    target !== 'other' &&
    sameRequestAs === undefined &&
    name !== 'PostObject',
);
/** Every root's right, in its own account. */
const RIGHTS_OF_ROOT = ['CreateBucket', 'ListBuckets'];

function ask({ method, target, selectors, selectingHeaders }: OperationRow): ReturnType<S3TestServer['request']> {
  const path = { service: '/', bucket: '/bucket', object: '/bucket/key', other: '/' }[target];
  const headers = Object.fromEntries(
    selectingHeaders.map((name) => [name, name === 'x-amz-copy-source' ? '/bucket/source' : 'value']),
  );
  const query = selectors.length === 0 ? '' : `?${selectors.join('&')}`;
  return server.request(method, `${path}${query}`, { headers, isSigned: false });
}

test('there are many operations to ask', () => expect(ROWS.length).toBeGreaterThan(60));

test.each(Object.entries(CALLERS))('%s is denied every operation before storage is reached', async (_who, caller) => {
  principal = caller;
  for (const row of ROWS) {
    if (caller.type === 'root' && RIGHTS_OF_ROOT.includes(row.name)) continue;
    const { status } = await ask(row);
    expect([row.name, status, [...reached]]).toEqual([row.name, 403, []]);
  }
});

test('root of the owner reaches storage in the same operations', async () => {
  principal = { type: 'root', accessKeyId: 'K', owner: OWNER };
  const names: string[] = [];
  for (const row of ROWS) {
    await ask(row);
    if (reached.length > 0) names.push(row.name);
    reached.splice(0);
  }
  expect(names.length).toBeGreaterThan(ROWS.length / 2);
});
