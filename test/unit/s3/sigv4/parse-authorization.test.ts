import { expect, test } from 'vitest';
import { parseAuthorization } from '../../../../src/s3/sigv4/parse-authorization.ts';
import { s3Error } from './fixtures.ts';

const beginning =
  'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, ';
const one = '1'.repeat(64);
const two = '2'.repeat(64);

test('a second request of the same client is parsed to the same parts with its own signature', () => {
  const first = parseAuthorization(`${beginning}Signature=${one}`);
  const second = parseAuthorization(`${beginning}Signature=${two}`);
  expect(first).toEqual({
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    scope: { date: '20130524', region: 'us-east-1', service: 's3' },
    signedHeaders: ['host', 'x-amz-date'],
    signature: one,
  });
  expect(second).toEqual({ ...first, signature: two });
});

test('two clients that differ in one letter of the credential or of the signed headers are two', () => {
  const ofFirst = parseAuthorization(`${beginning}Signature=${one}`);
  const other = beginning.replace('EXAMPLE/', 'EXAMPLF/').replace('x-amz-date', 'x-amz-data');
  const ofOther = parseAuthorization(`${other}Signature=${one}`);
  expect(ofFirst.accessKeyId).toBe('AKIAIOSFODNN7EXAMPLE');
  expect(ofOther.accessKeyId).toBe('AKIAIOSFODNN7EXAMPLF');
  expect(ofOther.signedHeaders).toEqual(['host', 'x-amz-data']);
});

test('the signature may stand anywhere', () => {
  const pieces = beginning.slice('AWS4-HMAC-SHA256 '.length, -2);
  const parsed = parseAuthorization(`AWS4-HMAC-SHA256 Signature=${one},${pieces}`);
  expect(parsed.signature).toBe(one);
  expect(parsed.accessKeyId).toBe('AKIAIOSFODNN7EXAMPLE');
});

test.each([
  ['a piece whose name ends in Signature', `${beginning}XSignature=${one}`],
  ['a second signature', `${beginning}Signature=${one}, Signature=${two}`],
  ['a credential after the signature', `${beginning}Signature=${one}, Credential=a/20130524/us-east-1/s3/aws4_request`],
])('%s is malformed, also when the same client was seen before', (_what, value) => {
  parseAuthorization(`${beginning}Signature=${one}`);
  expect(s3Error(() => parseAuthorization(value)).code).toBe('AuthorizationHeaderMalformed');
  expect(s3Error(() => parseAuthorization(value)).code).toBe('AuthorizationHeaderMalformed');
});

test('clients without number are all parsed', () => {
  for (let index = 0; index < 3000; index++) {
    const accessKeyId = `KEY${index}`;
    const parsed = parseAuthorization(`${beginning.replace('AKIAIOSFODNN7EXAMPLE', accessKeyId)}Signature=${one}`);
    expect(parsed.accessKeyId).toBe(accessKeyId);
  }
});
