import { S3Error } from '../../errors/s3-error.ts';
import type {
  LifecycleConfiguration,
  LifecyclePredicates,
  LifecycleRule,
  LifecycleTransition,
} from '../../model/lifecycle-configuration.ts';

const RULE_LIMIT = 1000;
const ID_LIMIT = 255;
const PREFIX_LIMIT_BYTES = 1024;
const TAG_KEY_LIMIT = 128;
const TAG_VALUE_LIMIT = 256;
const TAG_LIMIT = 10;
/** 1 PiB: the bound AWS names. */
const SIZE_LIMIT_BYTES = 1_099_511_627_776_000;
const DAY_MS = 86_400_000;

const NO_TAGS: readonly { key: string; value: string }[] = [];

/**
 * Whether rules, each well formed, make sense alone and together; with AWS's codes and wording. AWS's least days before
 * some classes come from their prices and are not asked for (docs/decisions/0019-lifecycle.md).
 *
 * @param storageClasses what this server has
 * @throws S3Error InvalidArgument | InvalidRequest | InvalidTag | InvalidStorageClass
 */
export function checkLifecycle(rules: LifecycleConfiguration['rules'], storageClasses: ReadonlySet<string>): void {
  if (rules.length > RULE_LIMIT) {
    throw invalidRequest(`The number of lifecycle rules must not exceed the allowed limit of ${RULE_LIMIT} rules.`);
  }
  const ids = new Set<string>();
  for (const { id } of rules) {
    if (id.length > ID_LIMIT) throw invalidArgument(`ID length should not exceed allowed limit of ${ID_LIMIT}`);
    if (id !== '' && ids.has(id)) {
      throw invalidArgument('Rule ID must be unique. Found same ID for more than one rule');
    }
    ids.add(id);
  }
  checkForms(rules);
  for (const rule of rules) checkRule(rule, storageClasses);
  checkOverlaps(rules);
}

/** A configuration is of the old form or of the new one, as its first rule is. */
function checkForms(rules: readonly LifecycleRule[]): void {
  const isNew = rules[0]?.filter !== undefined;
  for (const rule of rules) {
    if (isNew && rule.filter === undefined) {
      throw invalidRequest(
        'Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.',
      );
    }
    if (isNew) continue;
    if (rule.filter !== undefined) throw invalidRequest('Filter element can only be used in Lifecycle V2.');
    const noncurrent = [rule.noncurrentVersionExpiration, ...(rule.noncurrentVersionTransitions ?? [])];
    if (noncurrent.some((each) => each?.newerNoncurrentVersions !== undefined)) {
      throw invalidRequest('NewerNoncurrentVersions element can only be used in Lifecycle V2.');
    }
  }
}

function checkRule(rule: LifecycleRule, storageClasses: ReadonlySet<string>): void {
  const { filter } = rule;
  const predicates = filter === undefined ? [{ prefix: rule.prefix ?? '' }] : [filter, filter.and ?? {}];
  predicates.forEach(checkPredicates);
  const tags = predicates.flatMap((each) => each.tags ?? NO_TAGS);
  if (new Set(tags.map(({ key }) => key)).size < tags.length) {
    throw invalidRequest('Duplicate Tag Keys are not allowed.');
  }
  if (tags.length > TAG_LIMIT) throw invalidRequest(`A filter cannot name more than ${TAG_LIMIT} tags`);
  const hasAction =
    rule.expiration ??
    rule.transitions ??
    rule.noncurrentVersionExpiration ??
    rule.noncurrentVersionTransitions ??
    rule.abortIncompleteMultipartUpload;
  if (hasAction === undefined) throw invalidRequest('At least one action needs to be specified in a rule');
  const hasSizes = predicates.some(namesSize);
  for (const [name, isThere] of [
    ['ExpiredObjectDeleteMarker', rule.expiration?.expiredObjectDeleteMarker !== undefined],
    ['AbortIncompleteMultipartUpload', rule.abortIncompleteMultipartUpload !== undefined],
  ] as const) {
    if (isThere && tags.length > 0) throw invalidRequest(`${name} cannot be specified with Tags.`);
    if (isThere && hasSizes) throw invalidRequest(`${name} cannot be specified with Object Size.`);
  }
  checkTimes(rule);
  checkTransitions(rule, storageClasses);
  checkNoncurrentTransitions(rule, storageClasses);
}

export function namesSize(predicates: LifecyclePredicates): boolean {
  return predicates.objectSizeGreaterThan !== undefined || predicates.objectSizeLessThan !== undefined;
}

function checkPredicates({
  prefix,
  tags,
  objectSizeGreaterThan: greater,
  objectSizeLessThan: less,
}: LifecyclePredicates) {
  if (prefix !== undefined && Buffer.byteLength(prefix) > PREFIX_LIMIT_BYTES) {
    throw invalidRequest(`The maximum size of a prefix is ${PREFIX_LIMIT_BYTES}.`);
  }
  for (const { key, value } of tags ?? []) {
    if (key === '' || key.length > TAG_KEY_LIMIT) {
      throw new S3Error('InvalidTag', { message: 'The TagKey you have provided is invalid' });
    }
    if (value.length > TAG_VALUE_LIMIT) {
      throw new S3Error('InvalidTag', { message: 'The TagValue you have provided is invalid' });
    }
  }
  if (greater !== undefined && (greater < 0 || greater > SIZE_LIMIT_BYTES)) {
    throw invalidRequest(`'ObjectSizeGreaterThan' should be between 0 and ${SIZE_LIMIT_BYTES}.`);
  }
  if (less !== undefined && (less < 1 || less > SIZE_LIMIT_BYTES)) {
    throw invalidRequest(`'ObjectSizeLessThan' should be between 1 and ${SIZE_LIMIT_BYTES}.`);
  }
  if (greater !== undefined && less !== undefined && less <= greater) {
    throw invalidRequest("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.");
  }
}

function checkTimes(rule: LifecycleRule): void {
  const { expiration, noncurrentVersionExpiration: noncurrent, abortIncompleteMultipartUpload: abort } = rule;
  requirePositive('Days', 'Expiration', expiration?.days);
  requirePositive('NoncurrentDays', 'NoncurrentVersionExpiration', noncurrent?.noncurrentDays);
  requirePositive('NewerNoncurrentVersions', 'NoncurrentVersionExpiration', noncurrent?.newerNoncurrentVersions);
  requirePositive('DaysAfterInitiation', 'AbortIncompleteMultipartUpload', abort?.daysAfterInitiation);
  for (const each of [expiration, ...(rule.transitions ?? [])]) {
    if (each?.dateMs !== undefined && each.dateMs % DAY_MS !== 0) {
      throw invalidArgument("'Date' must be at midnight GMT");
    }
  }
}

function requirePositive(element: string, action: string, value: number | undefined): void {
  if (value !== undefined && value < 1) {
    throw invalidArgument(`'${element}' for ${action} action must be a positive integer`);
  }
}

function checkTransitions(rule: LifecycleRule, storageClasses: ReadonlySet<string>): void {
  const { expiration, transitions = [] } = rule;
  checkClasses(rule, 'Transition', transitions, storageClasses);
  for (const { days } of transitions) {
    if (days !== undefined && days < 0) throw invalidArgument("'Days' in Transition action must be nonnegative");
  }
  const timed = [...transitions, ...(expiration === undefined ? [] : [expiration])];
  if (timed.some(({ days }) => days !== undefined) && timed.some(({ dateMs }) => dateMs !== undefined)) {
    throw invalidRequest(
      `Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '${filterWords(rule)}'`,
    );
  }
  const isLate = (element: 'days' | 'dateMs'): boolean => {
    const end = expiration?.[element];
    return end !== undefined && transitions.some((each: LifecycleTransition) => (each[element] ?? -1) >= end);
  };
  for (const [element, name] of [
    ['days', 'Days'],
    ['dateMs', 'Date'],
  ] as const) {
    if (isLate(element)) {
      throw invalidArgument(
        `'${name}' in the Expiration action for filter '${filterWords(rule)}' must be greater than '${name}' in the Transition action`,
      );
    }
  }
}

function checkNoncurrentTransitions(rule: LifecycleRule, storageClasses: ReadonlySet<string>): void {
  const { noncurrentVersionTransitions: transitions = [], noncurrentVersionExpiration: expiration } = rule;
  checkClasses(rule, 'NoncurrentVersionTransition', transitions, storageClasses);
  for (const { noncurrentDays, newerNoncurrentVersions } of transitions) {
    if (noncurrentDays < 0) {
      throw invalidArgument("'NoncurrentDays' in NoncurrentVersionTransition action must be nonnegative");
    }
    requirePositive('NewerNoncurrentVersions', 'NoncurrentVersionTransition', newerNoncurrentVersions);
    if (expiration !== undefined && noncurrentDays >= expiration.noncurrentDays) {
      throw invalidArgument(
        `'NoncurrentDays' in the NoncurrentVersionExpiration action for filter '${filterWords(rule)}' must be greater than 'NoncurrentDays' in the NoncurrentVersionTransition action`,
      );
    }
  }
}

function checkClasses(
  rule: LifecycleRule,
  action: string,
  transitions: readonly { storageClass: string }[],
  storageClasses: ReadonlySet<string>,
): void {
  const seen = new Set<string>();
  for (const { storageClass } of transitions) {
    if (!storageClasses.has(storageClass)) throw unknownStorageClass(storageClass, storageClasses);
    if (seen.has(storageClass)) {
      throw invalidRequest(
        `'StorageClass' must be different for '${action}' actions in same 'Rule' with filter '${filterWords(rule)}'`,
      );
    }
    seen.add(storageClass);
  }
}

/** A class that this server does not have, in a rule. */
function unknownStorageClass(storageClass: string, storageClasses: ReadonlySet<string>): S3Error {
  return new S3Error('InvalidStorageClass', {
    message: `The storage class you specified is not valid: this server has ${[...storageClasses].join(', ')}`,
    details: { StorageClassRequested: storageClass },
  });
}

/** In rules of the old form, prefixes of rules with the same kind of action must not overlap. */
function checkOverlaps(rules: readonly LifecycleRule[]): void {
  if (rules[0]?.prefix === undefined) return;
  for (const [name, action] of [
    ['Expiration', 'expiration'],
    ['Transition', 'transitions'],
    ['NoncurrentVersionExpiration', 'noncurrentVersionExpiration'],
    ['NoncurrentVersionTransition', 'noncurrentVersionTransitions'],
    ['AbortIncompleteMultipartUpload', 'abortIncompleteMultipartUpload'],
  ] as const) {
    const prefixes = rules.filter((rule) => rule[action] !== undefined).map((rule) => rule.prefix ?? '');
    // A prefix that begins another stands before it, and begins the one that follows it.
    prefixes.sort();
    prefixes.forEach((prefix, index) => {
      const next = prefixes[index + 1];
      if (next?.startsWith(prefix) !== true) return;
      throw invalidRequest(`Found overlapping prefixes '${prefix}' and '${next}' for same action type '${name}'`);
    });
  }
}

/** As AWS names a rule's filter in its messages. */
function filterWords({ prefix, filter }: LifecycleRule): string {
  return `(prefix=${prefix ?? filter?.prefix ?? filter?.and?.prefix ?? ''})`;
}

function invalidArgument(message: string): S3Error {
  return new S3Error('InvalidArgument', { message });
}

function invalidRequest(message: string): S3Error {
  return new S3Error('InvalidRequest', { message });
}
