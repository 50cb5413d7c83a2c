import { expect, test } from 'vitest';
import type { CorsRule } from '../../../src/model/cors-rule.ts';
import { corsHeaders, findCorsRule, type CorsQuestion } from '../../../src/service/cors.ts';

const RULE: CorsRule = {
  allowedOrigins: ['https://a.example'],
  allowedMethods: ['GET'],
  allowedHeaders: [],
  exposeHeaders: [],
};

function isAllowed(rule: Partial<CorsRule>, question: Partial<CorsQuestion>): boolean {
  const whole = { origin: 'https://a.example', method: 'GET', requestHeaders: [], ...question };
  return findCorsRule([{ ...RULE, ...rule }], whole) !== undefined;
}

test.each<[string, string, string, boolean]>([
  ['the same', 'https://a.example', 'https://a.example', true],
  ['another', 'https://a.example', 'https://b.example', false],
  ['another scheme', 'https://a.example', 'http://a.example', false],
  ['one that only begins so', 'https://a.example', 'https://a.example.evil', false],
  ['any', '*', 'https://b.example', true],
  ['a subdomain', 'https://*.example', 'https://a.b.example', true],
  ['a subdomain of another', 'https://*.example', 'https://a.example.evil', false],
  ['a star that must not overlap', 'https://a*a.example', 'https://a.example', false],
  ['a star at the end', 'http://localhost:*', 'http://localhost:8080', true],
  ['a dot that is no wildcard', 'https://a.example', 'https://aXexample', false],
])('origin: %s', (_, pattern, origin, expected) => {
  expect(isAllowed({ allowedOrigins: [pattern] }, { origin })).toBe(expected);
});

test('every header of the request must be allowed, in any case', () => {
  const rule = { allowedHeaders: ['Content-Type', 'x-amz-*'] };
  expect(isAllowed(rule, { requestHeaders: ['content-type', 'x-amz-date'] })).toBe(true);
  expect(isAllowed(rule, { requestHeaders: ['content-type', 'authorization'] })).toBe(false);
  expect(isAllowed({ allowedHeaders: ['*'] }, { requestHeaders: ['authorization'] })).toBe(true);
  expect(isAllowed({}, { requestHeaders: ['authorization'] })).toBe(false);
});

test('the first rule that matches is the one', () => {
  const put: CorsRule = { ...RULE, allowedMethods: ['PUT'], maxAgeSeconds: 1 };
  const second: CorsRule = { ...RULE, allowedMethods: ['GET', 'PUT'], maxAgeSeconds: 2 };
  const question = { origin: 'https://a.example', requestHeaders: [] };
  expect(findCorsRule([put, second], { ...question, method: 'PUT' })).toBe(put);
  expect(findCorsRule([put, second], { ...question, method: 'GET' })).toBe(second);
  expect(findCorsRule([put, second], { ...question, method: 'DELETE' })).toBeUndefined();
});

test('sec_cors_reflected_origin_with_credentials__CVE_2026_46685: `*` is never answered with credentials', () => {
  const question = { origin: 'https://evil.example', method: 'GET', requestHeaders: [] };
  const forAll = corsHeaders({ ...RULE, allowedOrigins: ['https://a.example', '*'] }, question);
  expect(forAll['access-control-allow-origin']).toBe('*');
  expect(forAll).not.toHaveProperty('access-control-allow-credentials');
  const named = corsHeaders(RULE, { ...question, origin: 'https://a.example' });
  expect(named).toMatchObject({
    'access-control-allow-origin': 'https://a.example',
    'access-control-allow-credentials': 'true',
  });
});
