import type { ConditionOperator } from './condition-operators.ts';
import type { Template } from './template.ts';

/** A policy, parsed and ready to be evaluated. */
export interface Policy {
  readonly version: '2012-10-17' | '2008-10-17';
  readonly id: string | undefined;
  readonly statements: readonly Statement[];
}

export interface Statement {
  readonly sid: string | undefined;
  readonly effect: 'Allow' | 'Deny';
  /** Of policies of resources and roles; an identity's policies have none: they are about whoever carries them. */
  readonly principals: PrincipalElement | undefined;
  /** Lower-case patterns: names of actions know no case. */
  readonly actions: Element;
  /** ARNs. A role's trust policy has none: it is about the role. */
  readonly resources: Element | undefined;
  readonly conditions: readonly Condition[];
}

/** `Action` or `NotAction`, `Resource` or `NotResource`. */
export interface Element {
  readonly isNot: boolean;
  readonly templates: readonly Template[];
}

export interface PrincipalElement {
  readonly isNot: boolean;
  readonly isEverybody: boolean;
  /** As written: account ids, ARNs, canonical ids, names of providers and services. */
  readonly aws: readonly string[];
  readonly canonicalUsers: readonly string[];
  readonly federated: readonly string[];
  readonly services: readonly string[];
}

/** One key under one operator. All conditions of a statement must hold. */
export interface Condition {
  /** Lower-case. */
  readonly key: string;
  readonly quantifier: 'ForAllValues' | 'ForAnyValue' | undefined;
  readonly holdsIfMissing: boolean;
  readonly test:
    | { readonly type: 'null'; readonly mustBeMissing: readonly boolean[] }
    | { readonly type: 'compare'; readonly operator: ConditionOperator; readonly templates: readonly Template[] };
}
