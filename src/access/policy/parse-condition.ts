import { CONDITION_OPERATORS } from './condition-operators.ts';
import type { Condition } from './policy-document.ts';
import { PolicyError } from './policy-error.ts';
import { parseTemplate, type Template } from './template.ts';

export interface ConditionRules {
  readonly hasVariables: boolean;
  /** Whether a condition may name this lower-case key. */
  readonly isConditionKey: (key: string) => boolean;
}

const QUANTIFIER = /^(ForAllValues|ForAnyValue):(.*)$/;
const IF_EXISTS = 'IfExists';

/** @throws PolicyError */
export function parseConditions(value: unknown, rules: ConditionRules): Condition[] {
  if (value === undefined) return [];
  const conditions: Condition[] = [];
  for (const [operatorName, keys] of Object.entries(objectOf(value, 'Condition'))) {
    for (const [key, values] of Object.entries(objectOf(keys, operatorName))) {
      conditions.push(parseCondition(operatorName, key, values, rules));
    }
  }
  return conditions;
}

function parseCondition(operatorName: string, key: string, value: unknown, rules: ConditionRules): Condition {
  const quantified = QUANTIFIER.exec(operatorName);
  const quantifier = quantified?.[1] as Condition['quantifier'];
  const name = quantified?.[2] ?? operatorName;
  const values = stringsOf(value, key);
  const lowerKey = key.toLowerCase();
  if (!rules.isConditionKey(lowerKey)) throw new PolicyError(`Policy has an invalid condition key: ${key}`);
  if (name.toLowerCase() === 'null') {
    if (quantifier !== undefined) throw invalidOperator(operatorName);
    return {
      key: lowerKey,
      quantifier,
      holdsIfMissing: false,
      test: { type: 'null', mustBeMissing: values.map((text) => parseBoolean(text, key)) },
    };
  }
  const holdsIfMissing = name.endsWith(IF_EXISTS);
  const bareName = holdsIfMissing ? name.slice(0, -IF_EXISTS.length) : name;
  const operator = CONDITION_OPERATORS.get(bareName.toLowerCase());
  if (operator === undefined) throw invalidOperator(operatorName);
  const templates = values.map((text) => templateOf(text, rules));
  for (const template of templates) {
    if (template.pattern !== undefined && !operator.accepts(template.source)) {
      throw new PolicyError(`Policy has an invalid value for ${bareName}: ${template.source}`);
    }
  }
  return { key: lowerKey, quantifier, holdsIfMissing, test: { type: 'compare', operator, templates } };
}

function invalidOperator(name: string): PolicyError {
  return new PolicyError(`Policy has an invalid condition operator: ${name}`);
}

function parseBoolean(text: string, key: string): boolean {
  if (text !== 'true' && text !== 'false') throw new PolicyError(`Policy has an invalid value for Null of ${key}`);
  return text === 'true';
}

/** @throws PolicyError */
export function templateOf(text: string, { hasVariables }: { hasVariables: boolean }): Template {
  try {
    return parseTemplate(text, hasVariables);
  } catch (error) {
    throw new PolicyError(`Policy has an invalid variable: ${text}`, { cause: error });
  }
}

/** @throws PolicyError */
export function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new PolicyError(`Policy has an invalid ${what}`);
  }
  return value as Record<string, unknown>;
}

/** One or several; numbers and booleans as their text, as AWS takes them. @throws PolicyError */
export function stringsOf(value: unknown, what: string): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) throw new PolicyError(`Policy has an empty ${what}`);
  return values.map((one) => {
    if (typeof one === 'string') return one;
    if (typeof one === 'number' || typeof one === 'boolean') return String(one);
    throw new PolicyError(`Policy has an invalid value of ${what}`);
  });
}
