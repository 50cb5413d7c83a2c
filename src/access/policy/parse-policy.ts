import { objectOf, parseConditions, stringsOf, templateOf } from './parse-condition.ts';
import type { Element, Policy, PrincipalElement, Statement } from './policy-document.ts';
import { PolicyError } from './policy-error.ts';
import { parseStrictJson } from './strict-json.ts';
import { matchesPattern, patternOf } from './wildcard.ts';

/** Where a policy stands. `identity`: attached to a user, group, role or session. `trust`: who may assume a role. */
export type PolicyKind = 'resource' | 'identity' | 'trust';

/** What policies may speak of; unknown names are refused when a policy is put. */
export interface PolicyVocabulary {
  /** All of them, lower-case: `s3:getobject`. */
  readonly actions: readonly string[];
  /** Of a service that is not here: such an action is taken and matches nothing that is asked for. Lower-case. */
  readonly isOtherAction?: (action: string) => boolean;
  readonly isConditionKey: (key: string) => boolean;
}

const POLICY_MEMBERS = new Set(['Version', 'Id', 'Statement']);
const STATEMENT_MEMBERS = new Set([
  'Sid',
  'Effect',
  'Principal',
  'NotPrincipal',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
]);
const PRINCIPAL_MEMBERS = new Set(['AWS', 'CanonicalUser', 'Federated', 'Service']);
const ARN = /^arn:aws[a-z-]*:[a-z0-9-]*:[^:]*:[^:]*:.+$/;

/**
 * Everything is checked here; evaluation meets only what it knows. Sizes are the caller's to bound: 20 KiB for buckets.
 *
 * @throws PolicyError
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
 */
export function parsePolicy(text: string, kind: PolicyKind, vocabulary: PolicyVocabulary): Policy {
  let json: unknown;
  try {
    json = parseStrictJson(text);
  } catch (error) {
    throw new PolicyError('This policy contains invalid Json', { cause: error });
  }
  const document = objectOf(json, 'document');
  refuseUnknownMembers(document, POLICY_MEMBERS);
  const version = document.Version ?? '2008-10-17';
  if (version !== '2012-10-17' && version !== '2008-10-17') {
    throw new PolicyError('The policy must contain a valid version string');
  }
  const id = optionalString(document.Id, 'Id');
  if (document.Statement === undefined) throw new PolicyError('Missing required field Statement');
  const statements = Array.isArray(document.Statement) ? (document.Statement as unknown[]) : [document.Statement];
  if (statements.length === 0) throw new PolicyError('Policy statement must not be empty');
  const reader = new StatementReader(kind, vocabulary, version === '2012-10-17');
  const parsed = statements.map((statement) => reader.read(statement));
  const sids = parsed.flatMap(({ sid }) => (sid === undefined || sid === '' ? [] : [sid]));
  if (new Set(sids).size < sids.length) throw new PolicyError('Statement IDs (SID) in a single policy must be unique');
  return { version, id, statements: parsed };
}

class StatementReader {
  readonly #kind: PolicyKind;
  readonly #vocabulary: PolicyVocabulary;
  readonly #hasVariables: boolean;

  constructor(kind: PolicyKind, vocabulary: PolicyVocabulary, hasVariables: boolean) {
    this.#kind = kind;
    this.#vocabulary = vocabulary;
    this.#hasVariables = hasVariables;
  }

  read(value: unknown): Statement {
    const statement = objectOf(value, 'statement');
    refuseUnknownMembers(statement, STATEMENT_MEMBERS);
    const { Effect: effect } = statement;
    if (effect === undefined) throw new PolicyError('Missing required field Effect');
    if (effect !== 'Allow' && effect !== 'Deny') throw new PolicyError(`Invalid effect: ${JSON.stringify(effect)}`);
    return {
      sid: optionalString(statement.Sid, 'Sid'),
      effect,
      principals: this.#readPrincipals(statement),
      actions: this.#readActions(statement),
      resources: this.#readResources(statement),
      conditions: parseConditions(statement.Condition, {
        hasVariables: this.#hasVariables,
        isConditionKey: this.#vocabulary.isConditionKey,
      }),
    };
  }

  #readPrincipals(statement: Record<string, unknown>): PrincipalElement | undefined {
    const one = oneOf(statement, 'Principal', 'NotPrincipal');
    if (this.#kind === 'identity') {
      if (one !== undefined) throw new PolicyError('Policy document should not specify a principal');
      return undefined;
    }
    if (one === undefined) throw new PolicyError('Missing required field Principal');
    if (one.isNot && statement.Effect === 'Allow') {
      throw new PolicyError('Allow with NotPrincipal is not allowed');
    }
    return readPrincipals(one.value, one.isNot);
  }

  #readActions(statement: Record<string, unknown>): Element {
    const one = oneOf(statement, 'Action', 'NotAction');
    if (one === undefined) throw new PolicyError('Missing required field Action');
    const names = stringsOf(one.value, 'action').map((name) => name.toLowerCase());
    for (const name of names) {
      const pattern = patternOf(name);
      if (this.#vocabulary.isOtherAction?.(name) === true) continue;
      if (!this.#vocabulary.actions.some((action) => matchesPattern(pattern, action))) {
        throw new PolicyError('Policy has invalid action');
      }
    }
    return { isNot: one.isNot, templates: names.map((name) => templateOf(name, { hasVariables: false })) };
  }

  #readResources(statement: Record<string, unknown>): Element | undefined {
    const one = oneOf(statement, 'Resource', 'NotResource');
    if (this.#kind === 'trust') {
      if (one !== undefined) throw new PolicyError('Has prohibited field Resource');
      return undefined;
    }
    if (one === undefined) throw new PolicyError('Missing required field Resource');
    const names = stringsOf(one.value, 'resource');
    for (const name of names) if (name !== '*' && !ARN.test(name)) throw new PolicyError('Policy has invalid resource');
    return { isNot: one.isNot, templates: names.map((name) => templateOf(name, { hasVariables: this.#hasVariables })) };
  }
}

function readPrincipals(value: unknown, isNot: boolean): PrincipalElement {
  const everybody = { isNot, isEverybody: true, aws: [], canonicalUsers: [], federated: [], services: [] };
  if (value === '*') return everybody;
  if (typeof value === 'string') throw new PolicyError('Invalid principal in policy');
  const members = objectOf(value, 'principal');
  refuseUnknownMembers(members, PRINCIPAL_MEMBERS);
  const read = (name: string): string[] => (members[name] === undefined ? [] : stringsOf(members[name], 'principal'));
  const principals = {
    isNot,
    isEverybody: read('AWS').includes('*'),
    aws: read('AWS'),
    canonicalUsers: read('CanonicalUser'),
    federated: read('Federated'),
    services: read('Service'),
  };
  const isAws = (name: string): boolean =>
    name === '*' ||
    /^\d{12}$/.test(name) ||
    /^arn:aws:(iam|sts)::\d{12}:(root|user\/.+|role\/.+|assumed-role\/[^/]+\/.+|federated-user\/.+)$/.test(name);
  if (!principals.aws.every(isAws) || !principals.canonicalUsers.every((id) => /^[0-9a-f]{64}$/.test(id))) {
    throw new PolicyError('Invalid principal in policy');
  }
  // A wildcard stands for everybody by itself only; within an ARN it would read as one principal.
  if (principals.aws.some((name) => name !== '*' && /[*?]/.test(name)))
    throw new PolicyError('Invalid principal in policy');
  const { aws, canonicalUsers, federated, services } = principals;
  if (aws.length + canonicalUsers.length + federated.length + services.length === 0) {
    throw new PolicyError('Invalid principal in policy');
  }
  return principals;
}

function oneOf(
  statement: Record<string, unknown>,
  name: string,
  notName: string,
): { value: unknown; isNot: boolean } | undefined {
  if (statement[name] !== undefined && statement[notName] !== undefined) {
    throw new PolicyError(`Policy cannot contain both ${name} and ${notName}`);
  }
  if (statement[name] !== undefined) return { value: statement[name], isNot: false };
  return statement[notName] === undefined ? undefined : { value: statement[notName], isNot: true };
}

function refuseUnknownMembers(object: Record<string, unknown>, known: ReadonlySet<string>): void {
  const unknown = Object.keys(object).find((name) => !known.has(name));
  if (unknown !== undefined) throw new PolicyError(`Unknown field ${unknown}`);
}

function optionalString(value: unknown, name: string): string | undefined {
  if (value !== undefined && typeof value !== 'string') throw new PolicyError(`Policy has an invalid ${name}`);
  return value;
}
