import { expect, test } from 'vitest';
import { S3Error } from '../../../../src/errors/s3-error.ts';
import { LIFECYCLE_CONFIGURATION, lifecycleXml, readLifecycleRules } from '../../../../src/s3/xml/lifecycle-xml.ts';
import { readXml } from '../../../../src/s3/xml/read-xml.ts';
import { checkLifecycle } from '../../../../src/service/lifecycle/check-lifecycle.ts';

const CLASSES = new Set(['STANDARD', 'REDUCED_REDUNDANCY', 'COLD']);
const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';
const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

function read(rules: string): ReturnType<typeof readLifecycleRules> {
  const bytes = Buffer.from(`<LifecycleConfiguration>${rules}</LifecycleConfiguration>`);
  return readLifecycleRules(readXml(bytes, LIFECYCLE_CONFIGURATION, { root: 'LifecycleConfiguration' }));
}

function outcome(rules: string): string {
  try {
    checkLifecycle(read(rules), CLASSES);
    return 'accepted';
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    return error.code === 'MalformedXML' ? error.code : `${error.code}: ${error.message}`;
  }
}

function rule(content: string, { id = '', status = 'Enabled', scope = '<Filter/>' } = {}): string {
  return `<Rule>${id === '' ? '' : `<ID>${id}</ID>`}${scope}<Status>${status}</Status>${content}</Rule>`;
}

function filtered(filter: string, content = DAYS): string {
  return rule(content, { scope: `<Filter>${filter}</Filter>` });
}

function oldRule(prefix: string, content: string): string {
  return rule(content, { scope: `<Prefix>${prefix}</Prefix>` });
}

const DAYS = '<Expiration><Days>1</Days></Expiration>';
const TAG = '<Tag><Key>k</Key><Value>v</Value></Tag>';
const MARKER = '<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>';
const ABORT =
  '<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>';
const to = (storageClass: string, when: string): string =>
  `<Transition>${when}<StorageClass>${storageClass}</StorageClass></Transition>`;
const noncurrentTo = (storageClass: string, days: number): string =>
  `<NoncurrentVersionTransition><NoncurrentDays>${days}</NoncurrentDays><StorageClass>${storageClass}</StorageClass></NoncurrentVersionTransition>`;
const noncurrent = (content: string): string => `<NoncurrentVersionExpiration>${content}</NoncurrentVersionExpiration>`;

test.each([
  ['a rule of the old form', oldRule('a/', DAYS)],
  ['an empty filter', rule(DAYS)],
  [
    'every predicate of And',
    filtered(
      `<And><Prefix>a</Prefix>${TAG}<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan><ObjectSizeLessThan>9</ObjectSizeLessThan></And>`,
    ),
  ],
  [
    'predicates side by side, which AWS refuses and RGW takes',
    filtered(`<Prefix>a</Prefix>${TAG}<And><Prefix>ab</Prefix><Tag><Key>l</Key><Value/></Tag></And>`),
  ],
  ['a date at midnight', rule('<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration>')],
  ['a date alone', rule('<Expiration><Date>2030-01-01</Date></Expiration>')],
  ['midnight UTC in another zone', rule('<Expiration><Date>2030-01-01T02:00:00+02:00</Date></Expiration>')],
  [
    'markers kept, with days',
    rule('<Expiration><Days>3</Days><ExpiredObjectDeleteMarker>false</ExpiredObjectDeleteMarker></Expiration>'),
  ],
  ['a transition on the first day', rule(to('COLD', '<Days>0</Days>') + DAYS)],
  [
    'all actions of versions and uploads',
    rule(
      `${noncurrentTo('COLD', 1)}${noncurrent('<NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>500</NewerNoncurrentVersions>')}${ABORT}`,
    ),
  ],
  [
    'two old rules with one prefix and different actions',
    oldRule('', MARKER) + oldRule('', noncurrent('<NoncurrentDays>1</NoncurrentDays>')),
  ],
  ['new rules that overlap', filtered('<Prefix>a</Prefix>') + filtered('<Prefix>ab</Prefix>')],
])('%s is accepted', (_name, rules) => {
  expect(outcome(rules)).toBe('accepted');
});

test.each([
  ['no rule', ''],
  ['a status in lower case', rule(DAYS, { status: 'enabled' })],
  ['neither Filter nor Prefix', rule(DAYS, { scope: '' })],
  ['both Filter and Prefix', rule(DAYS, { scope: '<Filter/><Prefix>a</Prefix>' })],
  ['And of one predicate', filtered('<And><Prefix>a</Prefix></And>')],
  ['And of one tag', filtered(`<And>${TAG}</And>`)],
  ['an empty Expiration', rule('<Expiration/>')],
  ['Days with Date', rule('<Expiration><Days>1</Days><Date>2030-01-01</Date></Expiration>')],
  [
    'Days with expired markers',
    rule('<Expiration><Days>1</Days><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>'),
  ],
  [
    'a marker that is neither true nor false',
    rule('<Expiration><ExpiredObjectDeleteMarker>yes</ExpiredObjectDeleteMarker></Expiration>'),
  ],
  ['Days that are no number', rule('<Expiration><Days>1.5</Days></Expiration>')],
  ['more days than there are', rule('<Expiration><Days>2147483648</Days></Expiration>')],
  ['an HTTP date', rule('<Expiration><Date>Fri, 01 Jan 2016 00:00:00 GMT</Date></Expiration>')],
  ['a day that does not exist', rule('<Expiration><Date>2030-02-41</Date></Expiration>')],
  ['a transition without a class', rule('<Transition><Days>1</Days></Transition>')],
  ['a transition without a time', rule(to('COLD', ''))],
  ['a transition with two times', rule(to('COLD', '<Days>1</Days><Date>2030-01-01</Date>'))],
  ['NewerNoncurrentVersions alone', rule(noncurrent('<NewerNoncurrentVersions>1</NewerNoncurrentVersions>'))],
  ['an abort without days', rule('<AbortIncompleteMultipartUpload/>')],
  ['a tag without a value', filtered('<Tag><Key>k</Key></Tag>')],
  ['an unknown element', rule('<Archive/>')],
])('%s is MalformedXML', (_name, rules) => {
  expect(outcome(rules)).toBe('MalformedXML');
});

test.each([
  [rule(DAYS, { id: 'x'.repeat(256) }), 'InvalidArgument: ID length should not exceed allowed limit of 255'],
  [
    rule(DAYS, { id: 'a' }) + rule(DAYS, { id: 'a' }),
    'InvalidArgument: Rule ID must be unique. Found same ID for more than one rule',
  ],
  [
    rule(DAYS).repeat(1001),
    'InvalidRequest: The number of lifecycle rules must not exceed the allowed limit of 1000 rules.',
  ],
  [oldRule('a', DAYS) + rule(DAYS), 'InvalidRequest: Filter element can only be used in Lifecycle V2.'],
  [
    rule(DAYS) + oldRule('a', DAYS),
    'InvalidRequest: Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in the Filter.',
  ],
  [
    oldRule('', noncurrent('<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions>')),
    'InvalidRequest: NewerNoncurrentVersions element can only be used in Lifecycle V2.',
  ],
  [
    oldRule('a', DAYS) + oldRule('', DAYS),
    "InvalidRequest: Found overlapping prefixes '' and 'a' for same action type 'Expiration'",
  ],
  [rule(''), 'InvalidRequest: At least one action needs to be specified in a rule'],
  [oldRule('a'.repeat(1025), DAYS), 'InvalidRequest: The maximum size of a prefix is 1024.'],
  [filtered(`<And>${TAG}${TAG}</And>`), 'InvalidRequest: Duplicate Tag Keys are not allowed.'],
  [
    filtered('<ObjectSizeLessThan>0</ObjectSizeLessThan>'),
    "InvalidRequest: 'ObjectSizeLessThan' should be between 1 and 1099511627776000.",
  ],
  [
    filtered('<ObjectSizeGreaterThan>-1</ObjectSizeGreaterThan>'),
    "InvalidRequest: 'ObjectSizeGreaterThan' should be between 0 and 1099511627776000.",
  ],
  [
    filtered('<And><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan><ObjectSizeLessThan>5</ObjectSizeLessThan></And>'),
    "InvalidRequest: 'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
  ],
  [filtered(TAG, MARKER), 'InvalidRequest: ExpiredObjectDeleteMarker cannot be specified with Tags.'],
  [
    filtered('<ObjectSizeLessThan>5</ObjectSizeLessThan>', MARKER),
    'InvalidRequest: ExpiredObjectDeleteMarker cannot be specified with Object Size.',
  ],
  [filtered(TAG, ABORT), 'InvalidRequest: AbortIncompleteMultipartUpload cannot be specified with Tags.'],
  [
    filtered('<ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>', ABORT),
    'InvalidRequest: AbortIncompleteMultipartUpload cannot be specified with Object Size.',
  ],
  [
    rule('<Expiration><Days>0</Days></Expiration>'),
    "InvalidArgument: 'Days' for Expiration action must be a positive integer",
  ],
  [
    rule('<Expiration><Date>2030-01-01T00:00:01Z</Date></Expiration>'),
    "InvalidArgument: 'Date' must be at midnight GMT",
  ],
  [rule(to('COLD', '<Date>2030-01-01T12:00:00Z</Date>')), "InvalidArgument: 'Date' must be at midnight GMT"],
  [
    rule(noncurrent('<NoncurrentDays>0</NoncurrentDays>')),
    "InvalidArgument: 'NoncurrentDays' for NoncurrentVersionExpiration action must be a positive integer",
  ],
  [
    rule(ABORT.replace('>1<', '>0<')),
    "InvalidArgument: 'DaysAfterInitiation' for AbortIncompleteMultipartUpload action must be a positive integer",
  ],
  [rule(to('COLD', '<Days>-1</Days>')), "InvalidArgument: 'Days' in Transition action must be nonnegative"],
  [
    rule(to('GLACIER', '<Days>1</Days>')),
    'InvalidStorageClass: The storage class you specified is not valid: this server has STANDARD, REDUCED_REDUNDANCY, COLD',
  ],
  [
    rule(noncurrentTo('GLACIER', 1)),
    'InvalidStorageClass: The storage class you specified is not valid: this server has STANDARD, REDUCED_REDUNDANCY, COLD',
  ],
  [
    rule(to('COLD', '<Days>1</Days>') + to('COLD', '<Days>2</Days>')),
    "InvalidRequest: 'StorageClass' must be different for 'Transition' actions in same 'Rule' with filter '(prefix=)'",
  ],
  [
    rule(to('COLD', '<Date>2030-01-01</Date>') + DAYS),
    "InvalidRequest: Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter '(prefix=)'",
  ],
  [
    rule(to('COLD', '<Days>1</Days>') + DAYS),
    "InvalidArgument: 'Days' in the Expiration action for filter '(prefix=)' must be greater than 'Days' in the Transition action",
  ],
  [
    rule(noncurrentTo('COLD', 2) + noncurrent('<NoncurrentDays>2</NoncurrentDays>')),
    "InvalidArgument: 'NoncurrentDays' in the NoncurrentVersionExpiration action for filter '(prefix=)' must be greater than 'NoncurrentDays' in the NoncurrentVersionTransition action",
  ],
])('refuses %.60s… as AWS does', (rules, expected) => {
  expect(outcome(rules)).toBe(expected);
});

test('the answer has what was put, in the form in which it was put', () => {
  const rules =
    `<Rule><ID>one &amp; all</ID><Filter><And><Prefix>a/</Prefix>${TAG}<ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter><Status>Disabled</Status>` +
    `${to('COLD', '<Date>2030-01-01T00:00:00.000Z</Date>')}<Expiration><Date>2031-01-01T00:00:00.000Z</Date></Expiration>` +
    `${noncurrentTo('COLD', 1)}${noncurrent('<NoncurrentDays>3</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions>')}</Rule>` +
    `<Rule><ID>two</ID><Filter></Filter><Status>Enabled</Status>${MARKER}${ABORT}</Rule>`;
  const written = lifecycleXml({ rules: read(rules), transitionMinimumSize: 'varies_by_storage_class' });
  expect(written).toBe(`${HEAD}<LifecycleConfiguration ${NAMESPACE}>${rules}</LifecycleConfiguration>`);
  const old = `<Rule><ID>old</ID><Prefix></Prefix><Status>Enabled</Status>${DAYS}</Rule>`;
  expect(lifecycleXml({ rules: read(old), transitionMinimumSize: 'varies_by_storage_class' })).toContain(old);
});
