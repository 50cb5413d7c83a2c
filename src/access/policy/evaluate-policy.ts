import type { ConditionContext } from './condition-context.ts';
import type { Truth } from './condition-operators.ts';
import type { Condition, Element, Policy, PrincipalElement, Statement } from './policy-document.ts';
import { resolvePattern, widestPattern } from './template.ts';
import { matchesPattern } from './wildcard.ts';

/** Who asks, in the forms in which a policy may name them. */
export interface PolicyPrincipal {
  readonly type: 'anonymous' | 'aws' | 'service';
  /** 12 digits; empty for anonymous and services. */
  readonly accountId: string;
  readonly canonicalId: string;
  /** ARNs that are this principal: of a session its own and its role's. */
  readonly arns: readonly string[];
  /** Providers that vouch for the caller (a web identity). */
  readonly federated: readonly string[];
  /** `logging.s3.amazonaws.com`; empty for everybody else. */
  readonly service: string;
}

export interface PolicyRequest {
  readonly principal: PolicyPrincipal;
  /** `s3:GetObject`. */
  readonly action: string;
  /** ARN. */
  readonly resource: string;
  readonly context: ConditionContext;
}

/**
 * What one policy says. `allow-account`: it names the caller's account, not the caller; within that account it is then
 * for the caller's own policies to allow.
 */
export interface PolicyVerdict {
  readonly effect: 'deny' | 'allow' | 'allow-account' | 'none';
  /** The statement that decided. */
  readonly statement: Statement | undefined;
}

const NONE: PolicyVerdict = { effect: 'none', statement: undefined };

/** Pure. A Deny that matches, or of which it cannot be told, comes before any Allow. */
export function evaluatePolicy(policy: Policy, request: PolicyRequest): PolicyVerdict {
  const action = request.action.toLowerCase();
  let allowed = NONE;
  for (const statement of policy.statements) {
    const isDeny = statement.effect === 'Deny';
    if (!isDeny && allowed.effect === 'allow') continue;
    const named = namesPrincipal(statement.principals, request.principal);
    if (named === 'no' || !coversAction(statement.actions, action)) continue;
    const holds = and(coversResource(statement.resources, request), meetsConditions(statement.conditions, request));
    if (isDeny && holds !== false) return { effect: 'deny', statement };
    if (!isDeny && holds === true) {
      allowed = { effect: named === 'account' ? 'allow-account' : 'allow', statement };
    }
  }
  return allowed;
}

function coversAction(element: Element, action: string): boolean {
  // Actions know no variables.
  return element.templates.some((template) => matchesPattern(template.pattern!, action)) !== element.isNot;
}

function coversResource(element: Element | undefined, { resource, context }: PolicyRequest): Truth {
  if (element === undefined) return true;
  let matches: Truth = false;
  for (const template of element.templates) {
    const pattern = resolvePattern(template, context);
    if (pattern === undefined) {
      if (matchesPattern(widestPattern(template), resource)) matches = 'unknown';
    } else if (matchesPattern(pattern, resource)) {
      matches = true;
      break;
    }
  }
  return element.isNot ? not(matches) : matches;
}

type Named = 'no' | 'itself' | 'account';

function namesPrincipal(element: PrincipalElement | undefined, principal: PolicyPrincipal): Named {
  if (element === undefined) return 'itself';
  const named = findPrincipal(element, principal);
  if (!element.isNot) return named;
  // An account in the list excepts its root alone; its users and roles must stand there themselves, as on AWS.
  const isRoot = principal.arns.includes(`arn:aws:iam::${principal.accountId}:root`);
  return named === 'itself' || (named === 'account' && isRoot) ? 'no' : 'itself';
}

function findPrincipal(element: PrincipalElement, principal: PolicyPrincipal): Named {
  if (element.isEverybody) return 'itself';
  if (principal.type === 'anonymous') return 'no';
  if (principal.type === 'service') return element.services.includes(principal.service) ? 'itself' : 'no';
  if (element.aws.some((name) => principal.arns.includes(name))) return 'itself';
  if (element.federated.some((name) => principal.federated.includes(name))) return 'itself';
  const isAccount =
    element.canonicalUsers.includes(principal.canonicalId) ||
    element.aws.some((name) => name === principal.accountId || name === `arn:aws:iam::${principal.accountId}:root`);
  return isAccount ? 'account' : 'no';
}

function meetsConditions(conditions: readonly Condition[], request: PolicyRequest): Truth {
  let met: Truth = true;
  for (const condition of conditions) {
    met = and(met, meetsCondition(condition, request.context));
    if (met === false) return false;
  }
  return met;
}

function meetsCondition(condition: Condition, context: ConditionContext): Truth {
  const { test } = condition;
  const values = context(condition.key);
  if (test.type === 'null') return test.mustBeMissing.includes(values === undefined);
  const { isNegated } = test.operator;
  if (values === undefined || values.length === 0) {
    if (condition.quantifier === 'ForAllValues' || condition.holdsIfMissing) return true;
    return condition.quantifier === 'ForAnyValue' ? false : isNegated;
  }
  const truths = values.map((value) => matchesAny(condition, value, context));
  // Of several values without a quantifier: one that matches is enough, and for a negated operator none may.
  if (condition.quantifier === undefined) return isNegated ? not(any(truths)) : any(truths);
  const perValue = isNegated ? truths.map(not) : truths;
  return condition.quantifier === 'ForAllValues' ? perValue.reduce(and, true) : any(perValue);
}

/** True when the value matches one of the policy's. */
function matchesAny({ test }: Condition, value: string, context: ConditionContext): Truth {
  if (test.type === 'null') return false;
  return any(test.templates.map((template) => test.operator.compare(value, template, context)));
}

function any(truths: readonly Truth[]): Truth {
  return truths.includes(true) ? true : truths.includes('unknown') ? 'unknown' : false;
}

function and(a: Truth, b: Truth): Truth {
  if (a === false || b === false) return false;
  return a === true && b === true ? true : 'unknown';
}

function not(truth: Truth): Truth {
  return truth === 'unknown' ? 'unknown' : !truth;
}
