import { S3Error } from '../../errors/s3-error.ts';
import type {
  LifecycleConfiguration,
  LifecycleExpiration,
  LifecycleFilter,
  LifecyclePredicates,
  LifecycleRule,
  LifecycleTag,
  LifecycleTransition,
  NoncurrentVersionTransition,
} from '../../model/lifecycle-configuration.ts';
import { xmlDocument, xmlGroup, xmlOptional, xmlText } from './write-xml.ts';
import { list, structure, text, type XmlResult } from './xml-schema.ts';

const TAG = structure({ Key: text, Value: text });
const AND = structure({ Prefix: text, Tag: list(TAG), ObjectSizeGreaterThan: text, ObjectSizeLessThan: text });
const FILTER = structure({
  Prefix: text,
  Tag: TAG,
  ObjectSizeGreaterThan: text,
  ObjectSizeLessThan: text,
  And: AND,
});
const EXPIRATION = structure({ Date: text, Days: text, ExpiredObjectDeleteMarker: text });
const TRANSITION = structure({ Date: text, Days: text, StorageClass: text });
const NONCURRENT_EXPIRATION = structure({ NoncurrentDays: text, NewerNoncurrentVersions: text });
const NONCURRENT_TRANSITION = structure({ NoncurrentDays: text, NewerNoncurrentVersions: text, StorageClass: text });
const RULE = structure({
  ID: text,
  Prefix: text,
  Filter: FILTER,
  Status: text,
  Expiration: EXPIRATION,
  Transition: list(TRANSITION),
  NoncurrentVersionExpiration: NONCURRENT_EXPIRATION,
  NoncurrentVersionTransition: list(NONCURRENT_TRANSITION),
  AbortIncompleteMultipartUpload: structure({ DaysAfterInitiation: text }),
});

/** The body of PutBucketLifecycleConfiguration. */
export const LIFECYCLE_CONFIGURATION = structure({ Rule: list(RULE) });

type RuleXml = XmlResult<typeof RULE>;

const GREATEST_NUMBER = 2 ** 31 - 1;
const ISO_DATE = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?$/;

/**
 * The rules of a document as values: what its schema asks for is here, what they mean together is checked by
 * `checkLifecycle`. A rule without an ID has an empty one.
 *
 * @throws S3Error MalformedXML
 */
export function readLifecycleRules(document: XmlResult<typeof LIFECYCLE_CONFIGURATION>): LifecycleRule[] {
  if (document.Rule.length === 0) throw malformed('no rule');
  return document.Rule.map(readRule);
}

function readRule(xml: RuleXml): LifecycleRule {
  const { Status: status, Prefix: prefix, Filter: filter, Expiration: expiration } = xml;
  if (status !== 'Enabled' && status !== 'Disabled') throw malformed('Status');
  if ((prefix === undefined) === (filter === undefined)) throw malformed('one of Filter and Prefix');
  const rule: LifecycleRule = { id: xml.ID ?? '', isEnabled: status === 'Enabled' };
  if (prefix !== undefined) rule.prefix = prefix;
  if (filter !== undefined) rule.filter = readFilter(filter);
  if (expiration !== undefined) rule.expiration = readExpiration(expiration);
  if (xml.Transition.length > 0) rule.transitions = xml.Transition.map(readTransition);
  if (xml.NoncurrentVersionExpiration !== undefined) {
    rule.noncurrentVersionExpiration = readNoncurrent(xml.NoncurrentVersionExpiration);
  }
  if (xml.NoncurrentVersionTransition.length > 0) {
    rule.noncurrentVersionTransitions = xml.NoncurrentVersionTransition.map((transition) => ({
      ...readNoncurrent(transition),
      storageClass: required(transition.StorageClass),
    }));
  }
  if (xml.AbortIncompleteMultipartUpload !== undefined) {
    const days = required(xml.AbortIncompleteMultipartUpload.DaysAfterInitiation);
    rule.abortIncompleteMultipartUpload = { daysAfterInitiation: readNumber(days) };
  }
  return rule;
}

function readFilter(xml: XmlResult<typeof FILTER>): LifecycleFilter {
  const filter: LifecycleFilter = readPredicates(xml, xml.Tag === undefined ? [] : [xml.Tag]);
  if (xml.And === undefined) return filter;
  const and = readPredicates(xml.And, xml.And.Tag);
  const count = (and.tags?.length ?? 0) + Object.keys(and).filter((name) => name !== 'tags').length;
  if (count < 2) throw malformed('And of less than two');
  return { ...filter, and };
}

function readPredicates(
  xml: { Prefix?: string; ObjectSizeGreaterThan?: string; ObjectSizeLessThan?: string },
  tags: readonly XmlResult<typeof TAG>[],
): LifecyclePredicates {
  const predicates: LifecyclePredicates = {};
  if (xml.Prefix !== undefined) predicates.prefix = xml.Prefix;
  if (tags.length > 0) predicates.tags = tags.map(readTag);
  const { ObjectSizeGreaterThan: greater, ObjectSizeLessThan: less } = xml;
  if (greater !== undefined) predicates.objectSizeGreaterThan = readNumber(greater, Number.MAX_SAFE_INTEGER);
  if (less !== undefined) predicates.objectSizeLessThan = readNumber(less, Number.MAX_SAFE_INTEGER);
  return predicates;
}

function readTag({ Key: key, Value: value }: XmlResult<typeof TAG>): LifecycleTag {
  return { key: required(key), value: required(value) };
}

/** Exactly one of three; beside a `false` for expired markers, which asks for nothing, another may stand. */
function readExpiration(xml: XmlResult<typeof EXPIRATION>): LifecycleExpiration {
  const expiration: LifecycleExpiration = {};
  const { Date: date, Days: days, ExpiredObjectDeleteMarker: marker } = xml;
  if (days !== undefined) expiration.days = readNumber(days);
  if (date !== undefined) expiration.dateMs = readDate(date);
  if (marker !== undefined) expiration.expiredObjectDeleteMarker = readBoolean(marker);
  const asked = [days !== undefined, date !== undefined, expiration.expiredObjectDeleteMarker === true];
  const isSaid = Object.keys(expiration).length > 0;
  if (!isSaid || asked.filter(Boolean).length > 1) throw malformed('Expiration');
  return expiration;
}

function readTransition(xml: XmlResult<typeof TRANSITION>): LifecycleTransition {
  const { Date: date, Days: days } = xml;
  if ((date === undefined) === (days === undefined)) throw malformed('Transition');
  const storageClass = required(xml.StorageClass);
  return date === undefined
    ? { days: readNumber(required(days)), storageClass }
    : { dateMs: readDate(date), storageClass };
}

function readNoncurrent(xml: XmlResult<typeof NONCURRENT_EXPIRATION>): {
  noncurrentDays: number;
  newerNoncurrentVersions?: number;
} {
  const noncurrentDays = readNumber(required(xml.NoncurrentDays));
  const { NewerNoncurrentVersions: newer } = xml;
  return { noncurrentDays, ...(newer === undefined ? {} : { newerNoncurrentVersions: readNumber(newer) }) };
}

/** Negative numbers are read: they are refused with S3's own words later. */
function readNumber(value: string, greatest = GREATEST_NUMBER): number {
  const trimmed = value.trim();
  const number = Number(trimmed);
  if (!/^-?\d{1,16}$/.test(trimmed) || Math.abs(number) > greatest) throw malformed('a number');
  return number;
}

/** Without a zone it is UTC, as all of S3's times. */
function readDate(value: string): number {
  const trimmed = value.trim();
  if (!ISO_DATE.test(trimmed)) throw malformed('a date');
  const hasZone = trimmed.length === 10 || /(?:Z|[+-]\d{2}:\d{2})$/.test(trimmed);
  const timeMs = Date.parse(hasZone ? trimmed : `${trimmed}Z`);
  if (Number.isNaN(timeMs)) throw malformed('a date');
  return timeMs;
}

function readBoolean(value: string): boolean {
  if (value.trim() === 'true') return true;
  if (value.trim() === 'false') return false;
  throw malformed('true or false');
}

function required(value: string | undefined): string {
  if (value === undefined) throw malformed('a missing element');
  return value;
}

function malformed(hint: string): S3Error {
  return new S3Error('MalformedXML', { hint });
}

/** The answer of GetBucketLifecycleConfiguration: the rules in the form in which they were put. */
export function lifecycleXml({ rules }: LifecycleConfiguration): string {
  return xmlDocument('LifecycleConfiguration', rules.map(ruleXml).join(''));
}

function ruleXml(rule: LifecycleRule): string {
  const { noncurrentVersionExpiration: noncurrent, abortIncompleteMultipartUpload: abort } = rule;
  return xmlGroup(
    'Rule',
    xmlText('ID', rule.id) +
      xmlOptional('Prefix', rule.prefix) +
      (rule.filter === undefined ? '' : filterXml(rule.filter)) +
      xmlText('Status', rule.isEnabled ? 'Enabled' : 'Disabled') +
      (rule.transitions ?? []).map((each) => xmlGroup('Transition', timeXml(each) + classXml(each))).join('') +
      (rule.expiration === undefined ? '' : xmlGroup('Expiration', expirationXml(rule.expiration))) +
      (rule.noncurrentVersionTransitions ?? [])
        .map((each) => xmlGroup('NoncurrentVersionTransition', noncurrentXml(each) + classXml(each)))
        .join('') +
      (noncurrent === undefined ? '' : xmlGroup('NoncurrentVersionExpiration', noncurrentXml(noncurrent))) +
      (abort === undefined
        ? ''
        : xmlGroup('AbortIncompleteMultipartUpload', xmlText('DaysAfterInitiation', abort.daysAfterInitiation))),
  );
}

function filterXml(filter: LifecycleFilter): string {
  const and = filter.and === undefined ? '' : xmlGroup('And', predicatesXml(filter.and));
  return xmlGroup('Filter', predicatesXml(filter) + and);
}

function predicatesXml(predicates: LifecyclePredicates): string {
  return (
    xmlOptional('Prefix', predicates.prefix) +
    (predicates.tags ?? [])
      .map(({ key, value }) => xmlGroup('Tag', xmlText('Key', key) + xmlText('Value', value)))
      .join('') +
    xmlOptional('ObjectSizeGreaterThan', predicates.objectSizeGreaterThan) +
    xmlOptional('ObjectSizeLessThan', predicates.objectSizeLessThan)
  );
}

function expirationXml(expiration: LifecycleExpiration): string {
  return timeXml(expiration) + xmlOptional('ExpiredObjectDeleteMarker', expiration.expiredObjectDeleteMarker);
}

function timeXml({ days, dateMs }: { days?: number; dateMs?: number }): string {
  const date = dateMs === undefined ? '' : xmlText('Date', new Date(dateMs).toISOString());
  return xmlOptional('Days', days) + date;
}

function noncurrentXml(each: Omit<NoncurrentVersionTransition, 'storageClass'>): string {
  return (
    xmlText('NoncurrentDays', each.noncurrentDays) +
    xmlOptional('NewerNoncurrentVersions', each.newerNoncurrentVersions)
  );
}

function classXml({ storageClass }: { storageClass: string }): string {
  return xmlText('StorageClass', storageClass);
}
