import type { IdentityCommand, IdentityCommands } from '../admin/identity-commands.ts';
import { randomAccountId } from '../access/account.ts';
import type { AccessKey, Account, User } from '../access/identities/entities.ts';
import { makeKeyPair } from '../access/identities/identifiers.ts';
import type { Principal } from '../access/principal.ts';
import { IamError } from '../errors/iam-error.ts';
import type { IamServices } from '../iam/iam-services.ts';
import { findOperation } from '../iam/operation-table.ts';
import { type ParameterSpecs, type ParameterValues, readParameters, text, optional } from '../iam/parameter.ts';
import { requireRole, requireUser } from '../iam/rules/find-entities.ts';
import { POLICY_DOCUMENT, ROLE_NAME, USER_NAME } from '../iam/rules/parameters.ts';
import { checkPolicyDocument } from '../iam/rules/policy-documents.ts';
import type { Clock } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';

export interface IdentityCommandParts {
  readonly services: IamServices;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Log;
}

type Run = (principal: Principal, parameters: Readonly<Record<string, string>>) => Promise<object>;

/** The operator at the socket is root of every account: the rules of IAM hold, and its permissions are not asked for. */
export function identityCommands(parts: IdentityCommandParts): IdentityCommands {
  const { identities } = parts.services;
  const own = ownCommands(parts);
  return {
    call: async ({ action, parameters, accountId = identities.accountIds()[0]! }: IdentityCommand) => {
      const owner = identities.ownerOf(accountId);
      if (owner === undefined) throw new IamError('NoSuchEntity', `There is no account ${accountId}.`);
      const principal: Principal = { type: 'root', accessKeyId: 'socket', owner };
      const run = own.get(action);
      return run === undefined
        ? await runOperation(parts, principal, action, parameters)
        : await run(principal, parameters);
    },
  };
}

async function runOperation(
  { services, clock, log }: IdentityCommandParts,
  principal: Principal,
  action: string,
  parameters: Readonly<Record<string, string>>,
): Promise<object> {
  const row = findOperation(action, '2010-05-08');
  const values = new Map(Object.entries(parameters));
  const answer = await row.handler({
    parameters: readParameters(row.parameters as ParameterSpecs, values, row.name),
    principal,
    services,
    requestId: '',
    nowMs: clock.nowMs(),
    context: () => undefined,
    signal: new AbortController().signal,
    log,
    authorize: async () => {},
  });
  return answer ?? {};
}

const NEW_ACCOUNT = { AccountName: text({ min: 1, max: 64, pattern: /^[\w+=,.@-]+$/ }) };
const NEW_SERVICE_ACCOUNT = {
  UserName: USER_NAME,
  PolicyDocument: POLICY_DOCUMENT,
  Description: optional(text({ max: 256 })),
};
const SOMEBODY = { UserName: optional(USER_NAME), RoleName: optional(ROLE_NAME) };
const MOST_SERVICE_ACCOUNTS = 100;

function ownCommands(parts: IdentityCommandParts): ReadonlyMap<string, Run> {
  const { identities, randomness } = parts.services;
  const nowMs = (): number => parts.clock.nowMs();
  return new Map<string, Run>([
    command('ListAccounts', {}, async () => ({
      Accounts: identities.accountIds().map((accountId) => {
        const { canonicalId, displayName } = identities.ownerOf(accountId)!;
        return { AccountId: accountId, AccountName: displayName, CanonicalId: canonicalId };
      }),
    })),
    command('CreateAccount', NEW_ACCOUNT, (_principal, { AccountName }) => createAccount(parts, AccountName)),
    command('CreateServiceAccount', NEW_SERVICE_ACCOUNT, async (principal, values) => {
      const { UserName, PolicyDocument, Description = '' } = values;
      checkPolicyDocument(PolicyDocument, 'identity');
      return await identities.change(async (writer) => {
        const { id: userId, accountId } = requireUser(identities, principal, UserName);
        if (serviceAccountsOf(parts, accountId, userId).length >= MOST_SERVICE_ACCOUNTS) {
          throw new IamError('LimitExceeded', `A user has ${MOST_SERVICE_ACCOUNTS} service accounts at most.`);
        }
        const key: AccessKey = {
          ...newKey(makeKeyPair(randomness), accountId, nowMs()),
          userId,
          serviceAccount: { description: Description, policy: PolicyDocument },
        };
        await writer.accessKeys.put(key);
        return { AccessKey: { AccessKeyId: key.id, SecretAccessKey: key.secretAccessKey } };
      });
    }),
    command('ListServiceAccounts', { UserName: USER_NAME }, async (principal, { UserName }) => {
      const { id, accountId } = requireUser(identities, principal, UserName);
      return {
        ServiceAccounts: serviceAccountsOf(parts, accountId, id).map((key) => ({
          AccessKeyId: key.id,
          Status: key.status,
          Description: key.serviceAccount!.description,
          PolicyDocument: key.serviceAccount!.policy,
        })),
      };
    }),
    command('EndSessions', SOMEBODY, async (principal, { UserName, RoleName }) => {
      const notBeforeMs = nowMs() + 1;
      await identities.change(async (writer) => {
        if (UserName !== undefined) {
          const user: User = requireUser(identities, principal, UserName);
          await writer.users.put({ ...user, notBeforeMs });
        } else if (RoleName !== undefined) {
          await writer.roles.put({ ...requireRole(identities, principal, RoleName), notBeforeMs });
        } else {
          throw new IamError('ValidationError', 'Name a user or a role.');
        }
      });
      return { EndedBefore: new Date(notBeforeMs) };
    }),
  ]);
}

/**
 * The account, then its root's key: a crash in between leaves an account that nobody can sign for.
 */
function createAccount({ services, clock }: IdentityCommandParts, name: string): Promise<object> {
  const { identities, randomness } = services;
  return identities.change(async (writer) => {
    const isTaken = identities.accountIds().some((id) => {
      return identities.ownerOf(id)!.displayName.toLowerCase() === name.toLowerCase();
    });
    if (isTaken) throw new IamError('EntityAlreadyExists', `Account with name ${name} already exists.`);
    let accountId = randomAccountId(randomness);
    while (identities.ownerOf(accountId) !== undefined) accountId = randomAccountId(randomness);
    const createdAtMs = clock.nowMs();
    const canonicalId = randomness.bytes(32).toString('hex');
    const account: Account = { id: accountId, accountId, name, createdAtMs, canonicalId };
    await writer.accounts.put(account);
    const key = newKey(makeKeyPair(randomness), accountId, createdAtMs);
    await writer.accessKeys.put(key);
    return {
      Account: { AccountId: accountId, AccountName: name, CanonicalId: canonicalId },
      AccessKey: { AccessKeyId: key.id, SecretAccessKey: key.secretAccessKey },
    };
  });
}

function newKey(
  { accessKeyId, secretAccessKey }: ReturnType<typeof makeKeyPair>,
  accountId: string,
  createdAtMs: number,
): AccessKey {
  return { id: accessKeyId, name: accessKeyId, accountId, createdAtMs, status: 'Active', secretAccessKey };
}

function serviceAccountsOf({ services }: IdentityCommandParts, accountId: string, userId: string): AccessKey[] {
  return services.identities.accessKeys
    .list(accountId)
    .filter((key) => key.userId === userId && key.serviceAccount !== undefined);
}

function command<P extends ParameterSpecs>(
  name: string,
  specs: P,
  run: (principal: Principal, values: ParameterValues<P>) => Promise<object>,
): [string, Run] {
  return [
    name,
    (principal, parameters) => run(principal, readParameters(specs, new Map(Object.entries(parameters)), name)),
  ];
}
