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
