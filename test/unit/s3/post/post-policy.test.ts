import { describe, expect, it } from 'vitest';
import { checkPostPolicy, parsePostPolicy } from '../../../../src/s3/post/post-policy.ts';
import { errorOf } from '../../../support/service-fixture.ts';

const EXPIRATION = '2030-01-01T00:00:00Z';
const NOW_MS = Date.parse('2029-12-31T00:00:00Z');

function encode(document: unknown): string {
  return Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)).toString('base64');
}

/** The policy speaks of its bucket, and says `conditions`. */
function check(
  conditions: unknown[],
  fields: Record<string, string>,
  { key = fields['key'] ?? '', nowMs = NOW_MS, bucket = 'bucket', ofBucket = [{ bucket }] as unknown[] } = {},
): Promise<string> {
  const outcome = Promise.resolve().then(() => {
    const policy = parsePostPolicy(encode({ expiration: EXPIRATION, conditions: [...conditions, ...ofBucket] }));
    checkPostPolicy(policy, { fields: new Map(Object.entries(fields)), bucket, key, nowMs });
  });
  return outcome.then(
    () => 'allowed',
    async () => (await errorOf(outcome)).message,
  );
}

describe('a condition', () => {
  it.each<[string, unknown[], Record<string, string>]>([
    ['eq', [['eq', '$key', 'a']], { key: 'a' }],
    ['the object form', [{ key: 'a' }], { key: 'a' }],
    ['starts-with', [['starts-with', '$key', 'a/']], { key: 'a/b' }],
    ['starts-with anything', [['starts-with', '$key', '']], { key: 'whatever' }],
    ['starts-with nothing, of a field that is not there', [{ key: 'a' }, ['starts-with', '$acl', '']], { key: 'a' }],
    ['names and operators in any case', [['StArTs-WiTh', '$KeY', 'a']], { key: 'a' }],
    ['the bucket of the request', [{ bucket: 'bucket' }, { key: 'a' }], { key: 'a' }],
    [
      'a list of types',
      [{ key: 'a' }, ['starts-with', '$Content-Type', 'image/']],
      { key: 'a', 'content-type': 'image/a, image/b' },
    ],
    [
      'parts of the signature need none',
      [{ key: 'a' }],
      { key: 'a', policy: 'p', 'x-amz-signature': 's', signature: 's', awsaccesskeyid: 'i' },
    ],
    ['x-ignore-* needs none', [{ key: 'a' }], { key: 'a', 'x-ignore-this': 'x' }],
    ['a checksum of the file needs none', [{ key: 'a' }], { key: 'a', 'x-amz-checksum-crc32': 'AAAAAA==' }],
  ])('holds: %s', async (_, conditions, fields) => {
    expect(await check(conditions, fields)).toBe('allowed');
  });

  it.each<[string, unknown[], Record<string, string>, string]>([
    ['another value', [['eq', '$key', 'a']], { key: 'b' }, 'Policy Condition failed: ["eq","$key","a"]'],
    ['another case of the value', [{ key: 'a' }], { key: 'A' }, 'Policy Condition failed: ["eq","$key","a"]'],
    ['another beginning', [['starts-with', '$key', 'a']], { key: 'b' }, 'Policy Condition failed'],
    [
      'a field that is not there',
      [{ key: 'a' }, ['starts-with', '$acl', 'p']],
      { key: 'a' },
      'Policy Condition failed',
    ],
    [
      'a list of types, one of another',
      [{ key: 'a' }, ['starts-with', '$Content-Type', 'image/']],
      { key: 'a', 'content-type': 'image/a,text/html' },
      'Policy Condition failed',
    ],
    [
      'another bucket, whatever the field says',
      [{ bucket: 'other' }, { key: 'a' }],
      { key: 'a', bucket: 'other' },
      'Policy Condition failed',
    ],
    ['a field nothing speaks of', [{ key: 'a' }], { key: 'a', acl: 'private' }, 'Extra input fields: acl'],
    ['x-amz-date and the like too', [{ key: 'a' }], { key: 'a', 'x-amz-date': 'd' }, 'Extra input fields: x-amz-date'],
    ['no conditions', [], { key: 'a' }, 'Extra input fields: key'],
  ])('sec_post_policy_every_field_is_covered__CVE_2026_27607: refused: %s', async (_, conditions, fields, message) => {
    expect(await check(conditions, fields)).toContain(`Invalid according to Policy: ${message}`);
  });

  it('sec_post_policy_for_every_bucket__CVE_2023_28434: a policy that does not speak of the bucket is refused', async () => {
    expect(await check([{ key: 'a' }], { key: 'a' }, { ofBucket: [] })).toContain('Extra input fields: bucket');
    expect(await check([{ key: 'a' }, ['starts-with', '$bucket', '']], { key: 'a' }, { ofBucket: [] })).toBe('allowed');
  });

  it('looks at the key that is written, not at the field', async () => {
    expect(await check([['starts-with', '$key', 'user/']], { key: '${filename}' }, { key: 'user/x' })).toBe('allowed');
    expect(await check([['starts-with', '$key', '$']], { key: '${filename}' }, { key: 'x' })).toContain('failed');
  });
});

it('sec_post_policy_expired_by_one_second: a policy ends when it says', async () => {
  const endMs = Date.parse(EXPIRATION);
  expect(await check([{ key: 'a' }], { key: 'a' }, { nowMs: endMs })).toBe('allowed');
  expect(await check([{ key: 'a' }], { key: 'a' }, { nowMs: endMs + 1000 })).toContain('Policy expired.');
});

describe('a document', () => {
  it('may escape a dollar', async () => {
    const text = `{"expiration":"${EXPIRATION}","conditions":[["eq","$key","\\$a"]]}`;
    expect(parsePostPolicy(encode(text)).conditions).toMatchObject([{ field: 'key', value: '$a' }]);
    const escapedBackslash = text.replace('\\$a', '\\\\$a');
    expect(parsePostPolicy(encode(escapedBackslash)).conditions).toMatchObject([{ value: '\\$a' }]);
  });

  it('holds the file to the narrowest of its ranges', () => {
    const conditions = [
      ['content-length-range', 1, 100],
      ['Content-Length-Range', '10', '1000'],
    ];
    const { sizeRange } = parsePostPolicy(encode({ expiration: EXPIRATION, conditions }));
    expect(sizeRange).toEqual({ minimumBytes: 10, maximumBytes: 100 });
  });

  it.each<[string, unknown]>([
    ['no JSON', '{'],
    ['a list', []],
    ['no expiration', { conditions: [] }],
    ['no conditions', { expiration: EXPIRATION }],
    ['another name', { expiration: EXPIRATION, conditions: [], CONDITIONS: [] }],
    ['names in another case', { EXPIRATION, CONDITIONS: [] }],
    ['a date of another form', { expiration: '2030-01-01 00:00:00', conditions: [] }],
    ['a number for a date', { expiration: 1, conditions: [] }],
    ['conditions that are no list', { expiration: EXPIRATION, conditions: {} }],
    ['an empty condition', { expiration: EXPIRATION, conditions: [{}] }],
    ['two in one', { expiration: EXPIRATION, conditions: [{ key: 'a', acl: 'b' }] }],
    ['a number for a value', { expiration: EXPIRATION, conditions: [{ key: 1 }] }],
    ['an unknown operator', { expiration: EXPIRATION, conditions: [['ends-with', '$key', 'a']] }],
    ['a name without dollar', { expiration: EXPIRATION, conditions: [['eq', 'key', 'a']] }],
    ['a range with one end', { expiration: EXPIRATION, conditions: [['content-length-range', 1]] }],
    ['a range that is none', { expiration: EXPIRATION, conditions: [['content-length-range', 'a', 2]] }],
    ['a negative range', { expiration: EXPIRATION, conditions: [['content-length-range', -1, 2]] }],
    ['a range upside down', { expiration: EXPIRATION, conditions: [['content-length-range', 2, 1]] }],
    ['a member twice', `{"expiration":"${EXPIRATION}","expiration":"2099-01-01T00:00:00Z","conditions":[]}`],
    ['__proto__', `{"expiration":"${EXPIRATION}","conditions":[],"__proto__":{}}`],
    ['a byte order mark', `\ufeff{"expiration":"${EXPIRATION}","conditions":[]}`],
    ['deep nesting', `{"expiration":"${EXPIRATION}","conditions":[${'['.repeat(1000)}${']'.repeat(1000)}]}`],
  ])('is refused with %s', async (_, document) => {
    const error = await errorOf(Promise.resolve().then(() => parsePostPolicy(encode(document))));
    expect(error.code).toBe('InvalidPolicyDocument');
  });

  it('is refused when it is no Base64', async () => {
    for (const text of ['{"a":1}', `AAAA${' '.repeat(20_000)}!`]) {
      const error = await errorOf(Promise.resolve().then(() => parsePostPolicy(text)));
      expect(error.code).toBe('InvalidPolicyDocument');
    }
  });

  it('may be broken into lines', () => {
    const lines = encode({ expiration: EXPIRATION, conditions: [] }).replaceAll(/.{20}/g, '$&\r\n');
    expect(parsePostPolicy(lines).conditions).toEqual([]);
  });
});
