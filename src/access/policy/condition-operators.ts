import { BlockList, isIP } from 'node:net';
import type { ConditionContext } from './condition-context.ts';
import { resolvePattern, resolveText, splitTemplate, type Template } from './template.ts';
import { matchesPattern } from './wildcard.ts';

/** `unknown`: it cannot be decided. Such a statement never allows, and denies if it is a Deny. */
export type Truth = boolean | 'unknown';

/** Compares one value of the request with one of the policy. */
type Comparison = (value: string, template: Template, context: ConditionContext) => Truth;

export interface ConditionOperator {
  /** A negated operator holds when no value of the policy matches, and when the request has none. */
  readonly isNegated: boolean;
  readonly compare: Comparison;
  /** True when a policy may name this value. Values with variables are seen only when a request comes. */
  readonly accepts: (value: string) => boolean;
}

/**
 * The operators of conditions by lower-case name, without `…IfExists`, `ForAllValues:` and `ForAnyValue:`, and without
 * `Null`, which compares no values.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
 */
export const CONDITION_OPERATORS: ReadonlyMap<string, ConditionOperator> = new Map([
  ...pair(
    'StringEquals',
    'StringNotEquals',
    compareText((value, expected) => value === expected),
    isAnything,
  ),
  ...pair(
    'StringEqualsIgnoreCase',
    'StringNotEqualsIgnoreCase',
    compareText((value, expected) => value.toLowerCase() === expected.toLowerCase()),
    isAnything,
  ),
  ...pair('StringLike', 'StringNotLike', compareLike, isAnything),
  ...pair(
    'NumericEquals',
    'NumericNotEquals',
    compareNumbers((a, b) => a === b),
    isNumber,
  ),
  one(
    'NumericLessThan',
    compareNumbers((a, b) => a < b),
    isNumber,
  ),
  one(
    'NumericLessThanEquals',
    compareNumbers((a, b) => a <= b),
    isNumber,
  ),
  one(
    'NumericGreaterThan',
    compareNumbers((a, b) => a > b),
    isNumber,
  ),
  one(
    'NumericGreaterThanEquals',
    compareNumbers((a, b) => a >= b),
    isNumber,
  ),
  ...pair(
    'DateEquals',
    'DateNotEquals',
    compareDates((a, b) => a === b),
    isDate,
  ),
  one(
    'DateLessThan',
    compareDates((a, b) => a < b),
    isDate,
  ),
  one(
    'DateLessThanEquals',
    compareDates((a, b) => a <= b),
    isDate,
  ),
  one(
    'DateGreaterThan',
    compareDates((a, b) => a > b),
    isDate,
  ),
  one(
    'DateGreaterThanEquals',
    compareDates((a, b) => a >= b),
    isDate,
  ),
  one(
    'Bool',
    compareParsed(parseBool, (a, b) => a === b),
    (value) => parseBool(value) !== undefined,
  ),
  one(
    'BinaryEquals',
    compareParsed(parseBase64, (a, b) => a === b),
    (value) => parseBase64(value) !== undefined,
  ),
  ...pair('IpAddress', 'NotIpAddress', compareAddresses, (value) => parseRange(value) !== undefined),
  ...pair('ArnEquals', 'ArnNotEquals', compareArns, isArn),
  ...pair('ArnLike', 'ArnNotLike', compareArns, isArn),
]);

function one(name: string, compare: Comparison, accepts: ConditionOperator['accepts']): [string, ConditionOperator] {
  return [name.toLowerCase(), { isNegated: false, compare, accepts }];
}

function pair(
  name: string,
  negatedName: string,
  compare: Comparison,
  accepts: ConditionOperator['accepts'],
): [string, ConditionOperator][] {
  return [one(name, compare, accepts), [negatedName.toLowerCase(), { isNegated: true, compare, accepts }]];
}

function isAnything(): boolean {
  return true;
}

function compareText(matches: (value: string, expected: string) => boolean): Comparison {
  return (value, template, context) => {
    const expected = resolveText(template, context);
    return expected === undefined ? 'unknown' : matches(value, expected);
  };
}

function compareLike(value: string, template: Template, context: ConditionContext): Truth {
  const pattern = resolvePattern(template, context);
  return pattern === undefined ? 'unknown' : matchesPattern(pattern, value);
}

function compareParsed<T>(parse: (text: string) => T | undefined, matches: (a: T, b: T) => boolean): Comparison {
  return (value, template, context) => {
    const text = resolveText(template, context);
    const expected = text === undefined ? undefined : parse(text);
    const actual = parse(value);
    return expected === undefined || actual === undefined ? 'unknown' : matches(actual, expected);
  };
}

function compareNumbers(matches: (a: number, b: number) => boolean): Comparison {
  return compareParsed(parseNumber, matches);
}

function compareDates(matches: (a: number, b: number) => boolean): Comparison {
  return compareParsed(parseDate, matches);
}

function parseNumber(text: string): number | undefined {
  return /^[+-]?(\d+(\.\d*)?|\.\d+)$/.test(text.trim()) ? Number(text) : undefined;
}

function isNumber(text: string): boolean {
  return parseNumber(text) !== undefined;
}

const ISO_DATE = /^\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?)?)?$/;

/** W3C's ISO 8601 dates (without a zone: UTC) or seconds since 1970. Milliseconds. */
function parseDate(text: string): number | undefined {
  if (/^\d{5,}$/.test(text)) return Number(text) * 1000;
  if (!ISO_DATE.test(text)) return undefined;
  const hasZone = !text.includes('T') || /(Z|[+-]\d{2}:?\d{2})$/.test(text);
  const ms = Date.parse(hasZone ? text : `${text}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function isDate(text: string): boolean {
  return parseDate(text) !== undefined;
}

function parseBool(text: string): boolean | undefined {
  const lower = text.toLowerCase();
  return lower === 'true' ? true : lower === 'false' ? false : undefined;
}

/** Canonical, so that two spellings of the same bytes are equal. */
function parseBase64(text: string): string | undefined {
  return /^[A-Za-z0-9+/]*={0,2}$/.test(text) ? Buffer.from(text, 'base64').toString('base64') : undefined;
}

/** An address, or a network as `address/bits`. */
function parseRange(text: string): BlockList | undefined {
  const [address, bits, ...rest] = text.split('/');
  const version = isIP(address!);
  if (version === 0 || rest.length > 0) return undefined;
  const range = new BlockList();
  const most = version === 4 ? 32 : 128;
  if (bits !== undefined && !(/^\d{1,3}$/.test(bits) && Number(bits) <= most)) return undefined;
  range.addSubnet(address!, bits === undefined ? most : Number(bits), version === 4 ? 'ipv4' : 'ipv6');
  return range;
}

function compareAddresses(value: string, template: Template, context: ConditionContext): Truth {
  const range = rangeOf(template, context);
  const version = isIP(value);
  if (range === undefined || version === 0) return 'unknown';
  return range.check(value, version === 4 ? 'ipv4' : 'ipv6');
}

const fixedRanges = new WeakMap<Template, BlockList>();

/** Of a template without variables it is always the same. */
function rangeOf(template: Template, context: ConditionContext): BlockList | undefined {
  const known = fixedRanges.get(template);
  if (known !== undefined) return known;
  const text = resolveText(template, context);
  const range = text === undefined ? undefined : parseRange(text);
  if (range !== undefined && template.pattern !== undefined) fixedRanges.set(template, range);
  return range;
}

const ARN_FIELDS = 6;

/**
 * Both of the Equals and the Like operators know wildcards, field by field: none reaches across a colon but in the last.
 * What a variable inserts is text, within one field: neither a `*` nor a colon in it means anything.
 */
function compareArns(value: string, template: Template, context: ConditionContext): Truth {
  if (template.source === '*') return true;
  const fields = fieldsOf(template).map((field) => resolvePattern(field, context));
  const actual = splitArn(value);
  if (fields.length < ARN_FIELDS || actual === undefined) return 'unknown';
  let truth: Truth = true;
  for (const [index, field] of fields.entries()) {
    if (field === undefined) truth = 'unknown';
    else if (!matchesPattern(field, actual[index]!)) return false;
  }
  return truth;
}

const fieldsOfTemplates = new WeakMap<Template, Template[]>();

/** At most six: the last takes the rest. */
function fieldsOf(template: Template): Template[] {
  let fields = fieldsOfTemplates.get(template);
  if (fields === undefined) fieldsOfTemplates.set(template, (fields = splitTemplate(template, ':', ARN_FIELDS)));
  return fields;
}

function splitArn(arn: string): string[] | undefined {
  const fields = arn.split(':');
  if (fields.length < ARN_FIELDS) return undefined;
  return [...fields.slice(0, ARN_FIELDS - 1), fields.slice(ARN_FIELDS - 1).join(':')];
}

function isArn(text: string): boolean {
  return text === '*' || (splitArn(text) !== undefined && /^(arn|\*)/.test(text));
}
