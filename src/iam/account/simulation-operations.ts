import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseIamArn } from '../../access/identities/arns.ts';
import type { Group, Role, User } from '../../access/identities/entities.ts';
import type { Identities } from '../../access/identities/identities.ts';
import { PolicyLibrary } from '../../access/identities/policy-library.ts';
import type { ConditionContext } from '../../access/policy/condition-context.ts';
import { type CallerPolicies, decideAccess } from '../../access/policy/decide-access.ts';
import { parsePolicy } from '../../access/policy/parse-policy.ts';
import { PolicyError } from '../../access/policy/policy-error.ts';
import type { Policy } from '../../access/policy/policy-document.ts';
import { IDENTITY_VOCABULARY } from '../../access/policy/vocabulary.ts';
import type { Principal } from '../../access/principal.ts';
import { IamError } from '../../errors/iam-error.ts';
import { pageOf, PAGING_PARAMETERS } from '../paging.ts';
import { members, optional, structure, text } from '../parameter.ts';
import type { ParameterValues } from '../parameter.ts';
import { type AnswerStructure, queryOperation, type QueryOperationRow } from '../query-operation.ts';
import { iamTarget } from '../rules/entity-conditions.ts';
import { ARN, POLICY_DOCUMENT } from '../rules/parameters.ts';

const ASKED = {
  PolicyInputList: members(POLICY_DOCUMENT),
  PermissionsBoundaryPolicyInputList: members(POLICY_DOCUMENT, { max: 1 }),
  ActionNames: members(text({ min: 3, max: 128, pattern: /^[\w-]+:\w+$/ })),
  ResourceArns: members(text({ min: 1, max: 2048 })),
  ContextEntries: members(
    structure({
      ContextKeyName: text({ min: 5, max: 256 }),
      ContextKeyValues: members(text()),
      ContextKeyType: optional(text()),
    }),
  ),
  ...PAGING_PARAMETERS,
};

/** What one request may ask for: it is answered beside everybody else's. */
const MOST_QUESTIONS = 10_000;
const CONTEXT_LIMIT = 8192;

/** @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulateCustomPolicy.html */
const simulateCustomPolicy = queryOperation({
  name: 'SimulateCustomPolicy',
  service: 'iam',
  parameters: ASKED,
  target: () => iamTarget('*'),
  handler: async ({ parameters, principal }) =>
    simulate(parameters, principal, { identity: [], boundary: undefined }, () => undefined),
});

/**
 * What the policies of a user, group or role, and those that are given, say. Of the caller only a user's name, id and ARN
 * are known; everything else conditions ask for is to be given.
 * @see https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
 */
const simulatePrincipalPolicy = queryOperation({
  name: 'SimulatePrincipalPolicy',
  service: 'iam',
  parameters: { PolicySourceArn: ARN, ...ASKED },
  target: ({ parameters: { PolicySourceArn } }) => iamTarget(PolicySourceArn),
  handler: async ({ parameters, principal, services: { identities } }) => {
    const { PolicySourceArn } = parameters;
    const { source, kind } = requireSource(identities, principal, PolicySourceArn);
    const library = new PolicyLibrary(identities);
    const carried = library.carriedBy(source);
    const held =
      kind === 'group'
        ? { identity: carried.filter((policy) => policy !== undefined), boundary: undefined }
        : library.heldBy(source as User | Role);
    if (held === undefined || (kind === 'group' && carried.includes(undefined))) {
      throw new IamError('InvalidInput', `A policy of ${PolicySourceArn} cannot be read.`);
    }
    const facts = new Map([['aws:principalarn', PolicySourceArn]]);
    if (kind === 'user') facts.set('aws:username', source.name).set('aws:userid', source.id);
    return simulate(parameters, principal, held, (key) => {
      const fact = facts.get(key);
      return fact === undefined ? undefined : [fact];
    });
  },
});

/** @throws IamError ValidationError | InvalidInput (it is too much, or a policy is none) */
async function simulate(
  parameters: ParameterValues<typeof ASKED>,
  { owner }: Principal,
  held: Pick<CallerPolicies, 'identity' | 'boundary'>,
  facts: ConditionContext,
): Promise<AnswerStructure> {
  const { ActionNames, ContextEntries, PolicyInputList, PermissionsBoundaryPolicyInputList } = parameters;
  if (ActionNames.length === 0) throw new IamError('ValidationError', 'ActionNames must not be empty.');
  const contextLength = ContextEntries.flatMap(({ ContextKeyValues }) => ContextKeyValues).join('').length;
  if (contextLength > CONTEXT_LIMIT || ActionNames.length * parameters.ResourceArns.length > MOST_QUESTIONS) {
    throw new IamError('InvalidInput', 'The simulation asks for too much: send fewer actions, resources or values.');
  }
  const given = new Map(
    ContextEntries.map(({ ContextKeyName, ContextKeyValues }) => [ContextKeyName.toLowerCase(), ContextKeyValues]),
  );
  const [boundary] = PermissionsBoundaryPolicyInputList.map(parseInput);
  const caller: CallerPolicies = {
    isRoot: false,
    identity: [...held.identity, ...PolicyInputList.map(parseInput)],
    boundary: boundary ?? held.boundary,
    session: [],
  };
  const { accountId, canonicalId } = owner;
  const principal = { type: 'aws' as const, accountId, canonicalId, arns: [], federated: [], service: '' };
  const resources = parameters.ResourceArns.length === 0 ? ['*'] : parameters.ResourceArns;
  const questions = ActionNames.flatMap((action) => resources.map((resource) => ({ action, resource })));
  const numbered = questions.map((question, index) => ({ ...question, position: String(index).padStart(8, '0') }));
  const { items, IsTruncated, Marker } = pageOf(numbered, parameters, ({ position }) => position);
  const EvaluationResults: AnswerStructure[] = [];
  for (const { action, resource } of items) {
    await nextTurn();
    const missing = new Set<string>();
    const context: ConditionContext = (key) => {
      const values = given.get(key) ?? facts(key);
      if (values === undefined) missing.add(key);
      return values;
    };
    const rules = { accountId: undefined, policy: undefined, isGrantedByAcl: false, isPublicPolicyRestricted: false };
    const { isAllowed, reason } = decideAccess({ principal, action, resource, context }, caller, rules);
    EvaluationResults.push({
      EvalActionName: action,
      EvalResourceName: resource,
      EvalDecision: isAllowed ? 'allowed' : reason === 'explicit-deny' ? 'explicitDeny' : 'implicitDeny',
      MissingContextValues: [...missing].toSorted(),
    });
  }
  return { EvaluationResults, IsTruncated, Marker };
}

/** @throws IamError InvalidInput | NoSuchEntity */
function requireSource(
  identities: Identities,
  { owner }: Principal,
  arn: string,
): { source: User | Group | Role; kind: string } {
  const parsed = parseIamArn(arn);
  const tables = { user: identities.users, group: identities.groups, role: identities.roles };
  if (parsed === undefined || !Object.hasOwn(tables, parsed.kind)) {
    throw new IamError('InvalidInput', `Invalid Entity Arn: ${arn} does not clearly define entity type and name.`);
  }
  const { kind, name, path, accountId } = parsed;
  const source = accountId === owner.accountId ? tables[kind as keyof typeof tables].find(accountId, name) : undefined;
  if (source?.path !== path) throw new IamError('NoSuchEntity', `${arn} cannot be found.`);
  return { source, kind };
}

/** @throws IamError InvalidInput */
function parseInput(document: string): Policy {
  try {
    return parsePolicy(document, 'identity', IDENTITY_VOCABULARY);
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw new IamError('InvalidInput', error.message, { cause: error });
  }
}

export const SIMULATION_OPERATIONS: readonly QueryOperationRow[] = [simulateCustomPolicy, simulatePrincipalPolicy];
