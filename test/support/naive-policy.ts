/**
 * Policies evaluated the slow and plain way, on the JSON as it stands, with regular expressions: the oracle for the
 * compiled evaluator. Knows the operators that the property test uses.
 */
export interface NaiveRequest {
  accountId: string;
  arn: string;
  action: string;
  resource: string;
  context: Record<string, string[] | undefined>;
}

interface NaiveStatement {
  Effect: 'Allow' | 'Deny';
  Principal?: '*' | { AWS: string[] };
  NotPrincipal?: { AWS: string[] };
  Action?: string[];
  NotAction?: string[];
  Resource?: string[];
  NotResource?: string[];
  Condition?: Record<string, Record<string, string[]>>;
}

export interface NaivePolicy {
  Version: string;
  Statement: NaiveStatement[];
}

export function naiveVerdict(policy: NaivePolicy, request: NaiveRequest): 'deny' | 'allow' | 'allow-account' | 'none' {
  const effects = policy.Statement.map((statement) => [statement.Effect, applies(statement, request)] as const);
  if (effects.some(([effect, how]) => effect === 'Deny' && how !== 'no')) return 'deny';
  if (effects.some(([effect, how]) => effect === 'Allow' && how === 'itself')) return 'allow';
  return effects.some(([effect, how]) => effect === 'Allow' && how === 'account') ? 'allow-account' : 'none';
}

function applies(statement: NaiveStatement, request: NaiveRequest): 'no' | 'itself' | 'account' {
  const { Action, NotAction, Resource, NotResource } = statement;
  if (Action !== undefined && !Action.some((name) => like(name, request.action, 'i'))) return 'no';
  if (NotAction !== undefined && NotAction.some((name) => like(name, request.action, 'i'))) return 'no';
  const resourceLike = (name: string): boolean => like(substitute(name, request), request.resource, '');
  if (Resource !== undefined && !Resource.some(resourceLike)) return 'no';
  if (NotResource !== undefined && NotResource.some(resourceLike)) return 'no';
  for (const [operator, keys] of Object.entries(statement.Condition ?? {})) {
    for (const [key, values] of Object.entries(keys)) {
      if (
        !holds(
          operator,
          request.context[key.toLowerCase()],
          values.map((value) => substitute(value, request)),
        )
      )
        return 'no';
    }
  }
  return who(statement, request);
}

function who(
  { Principal, NotPrincipal }: NaiveStatement,
  { arn, accountId }: NaiveRequest,
): 'no' | 'itself' | 'account' {
  const account = [accountId, `arn:aws:iam::${accountId}:root`];
  if (NotPrincipal !== undefined) {
    const excepted = account.includes(arn) ? account : [arn];
    return NotPrincipal.AWS.some((name) => excepted.includes(name)) ? 'no' : 'itself';
  }
  if (Principal === undefined || Principal === '*' || Principal.AWS.includes('*') || Principal.AWS.includes(arn))
    return 'itself';
  return Principal.AWS.some((name) => account.includes(name)) ? 'account' : 'no';
}

/** Inserted text must not act as a wildcard: the generated values of variables hold none. */
function substitute(text: string, { context }: NaiveRequest): string {
  return text.replaceAll('${aws:username}', context['aws:username']?.[0] ?? '\u0000');
}

function like(pattern: string, text: string, flags: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll('*', '[^]*')
    .replaceAll('?', '[^]');
  return new RegExp(`^${source}$`, flags).test(text);
}

function holds(operator: string, actual: string[] | undefined, expected: string[]): boolean {
  const [, quantifier, name, ifExists] = /^(?:(ForAllValues|ForAnyValue):)?(.*?)(IfExists)?$/.exec(operator)!;
  if (name === 'Null') return expected.includes(String(actual === undefined));
  const isNegated = name!.includes('Not');
  if (actual === undefined) {
    if (quantifier === 'ForAllValues' || ifExists !== undefined) return true;
    return quantifier === 'ForAnyValue' ? false : isNegated;
  }
  const matches = actual.map((value) => expected.some((wanted) => compare(name!.replace('Not', ''), value, wanted)));
  if (quantifier === 'ForAllValues') return matches.every((match) => match !== isNegated);
  if (quantifier === 'ForAnyValue') return matches.some((match) => match !== isNegated);
  return isNegated ? !matches.includes(true) : matches.includes(true);
}

function compare(name: string, actual: string, expected: string): boolean {
  if (name === 'StringEquals') return actual === expected;
  if (name === 'StringEqualsIgnoreCase') return actual.toLowerCase() === expected.toLowerCase();
  if (name === 'StringLike') return like(expected, actual, '');
  if (name === 'NumericEquals') return Number(actual) === Number(expected);
  if (name === 'NumericLessThan') return Number(actual) < Number(expected);
  if (name === 'Bool') return actual.toLowerCase() === expected.toLowerCase();
  throw new Error(`the naive evaluator does not know ${name}`);
}

export interface NaiveCaller {
  isRoot: boolean;
  identity: NaivePolicy[];
  boundary: NaivePolicy | undefined;
  session: NaivePolicy[];
}

/** AWS's evaluation logic, said once more: a Deny anywhere; else both sides as far as they are asked, within every limit. */
export function naiveDecision(
  request: NaiveRequest,
  { isRoot, identity, boundary, session }: NaiveCaller,
  resource: { accountId: string; policy: NaivePolicy | undefined },
): boolean {
  const of = (policy: NaivePolicy): string => naiveVerdict(policy, request);
  const limits = [...(boundary === undefined ? [] : [boundary]), ...session];
  const everything = [...identity, ...limits, ...(resource.policy === undefined ? [] : [resource.policy])];
  if (everything.some((policy) => of(policy) === 'deny')) return false;
  if (!limits.every((policy) => of(policy) === 'allow')) return false;
  const byIdentity = isRoot || identity.some((policy) => of(policy) === 'allow');
  const byResource = resource.policy === undefined ? 'none' : of(resource.policy);
  if (request.accountId === resource.accountId) return byIdentity || byResource === 'allow';
  return byIdentity && (byResource === 'allow' || byResource === 'allow-account');
}
