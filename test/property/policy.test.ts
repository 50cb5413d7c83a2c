import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { evaluatePolicy } from '../../src/access/policy/evaluate-policy.ts';
import { parsePolicy } from '../../src/access/policy/parse-policy.ts';
import { matchesPattern, patternOf } from '../../src/access/policy/wildcard.ts';
import { naiveVerdict } from '../support/naive-policy.ts';
import { pattern, policies, requests, vocabulary, word } from '../support/policy-arbitraries.ts';

test('the compiled evaluator and the naive one agree on every policy and request', () => {
  fc.assert(
    fc.property(policies, requests, (policy, request) => {
      const compiled = parsePolicy(JSON.stringify(policy), 'resource', vocabulary);
      const verdict = evaluatePolicy(compiled, {
        principal: {
          type: 'aws',
          accountId: request.accountId,
          canonicalId: '',
          arns: [request.arn],
          federated: [],
          service: '',
        },
        action: request.action,
        resource: request.resource,
        context: (key) => request.context[key],
      });
      expect(verdict.effect).toBe(naiveVerdict(policy, request));
    }),
    { numRuns: 5000 },
  );
});

test('a pattern matches what the regular expression of it matches', () => {
  fc.assert(
    fc.property(pattern, word, (source, text) => {
      const expression = new RegExp(`^${source.replaceAll('*', '.*').replaceAll('?', '.')}$`, 's');
      expect(matchesPattern(patternOf(source), text)).toBe(expression.test(text));
    }),
    { numRuns: 5000 },
  );
});

test('a long pattern matches what a short one does', () => {
  const long = '#'.repeat(300);
  fc.assert(
    fc.property(pattern, word, fc.nat(40), (source, text, count) => {
      const expected = matchesPattern(patternOf(source), text);
      expect(matchesPattern(patternOf(`${long}${source}${long}`), `${long}${text}${long}`)).toBe(expected);
      // Between runs, across the words of 32 bits.
      const [inner, around] = [`#${'?'.repeat(count)}${source}#`, `#${'-'.repeat(count)}${text}#`];
      const isInner = matchesPattern(patternOf(`*${inner}*`), `+${around}+`);
      expect(matchesPattern(patternOf(`${long}*${inner}*${long}`), `${long}+${around}+${long}`)).toBe(isInner);
    }),
    { numRuns: 2000 },
  );
});

test('sec_policy_pattern_that_starts_over: long patterns over long texts end', () => {
  const text = 'a'.repeat(60_000);
  expect(matchesPattern(patternOf(`*${'a'.repeat(30_000)}b`), text)).toBe(false);
  expect(matchesPattern(patternOf(`*${'a'.repeat(30_000)}b*`), text)).toBe(false);
  expect(matchesPattern(patternOf(`*${'a?'.repeat(15_000)}*`), text)).toBe(true);
});
