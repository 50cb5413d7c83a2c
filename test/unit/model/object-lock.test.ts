import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  checkRetentionChange,
  isProtected,
  retentionByDefault,
  type LockTime,
  type Retention,
} from '../../../src/model/object-lock.ts';

const NOW = Date.UTC(2026, 5, 1);
const DAY = 86_400_000;
const time = (over: Partial<LockTime> = {}): LockTime => ({ trustedNowMs: NOW, bypassesGovernance: false, ...over });
const bypassing = time({ bypassesGovernance: true });
const governance = (days: number): Retention => ({ mode: 'GOVERNANCE', retainUntilMs: NOW + days * DAY });
const compliance = (days: number): Retention => ({ mode: 'COMPLIANCE', retainUntilMs: NOW + days * DAY });

test('a default counts days and years of 365 days from the moment of the write', () => {
  expect(retentionByDefault({ mode: 'GOVERNANCE', days: 3 }, NOW)).toEqual(governance(3));
  expect(retentionByDefault({ mode: 'COMPLIANCE', years: 2 }, NOW)).toEqual(compliance(730));
});

test('what protects a version: a hold, COMPLIANCE, and GOVERNANCE unless it is bypassed', () => {
  expect(isProtected({}, time())).toBe(false);
  expect(isProtected({ legalHold: 'ON' }, bypassing)).toBe(true);
  expect(isProtected({ legalHold: 'OFF' }, time())).toBe(false);
  expect(isProtected({ retention: governance(1) }, time())).toBe(true);
  expect(isProtected({ retention: governance(1) }, bypassing)).toBe(false);
  expect(isProtected({ retention: compliance(1) }, bypassing)).toBe(true);
  expect(isProtected({ retention: governance(1), legalHold: 'ON' }, bypassing)).toBe(true);
});

test('retention ends at its date, and not while the clock is not believed', () => {
  const ended = { retention: compliance(0) };
  expect(isProtected({ retention: { mode: 'COMPLIANCE', retainUntilMs: NOW + 1 } }, time())).toBe(true);
  expect(isProtected(ended, time())).toBe(false);
  expect(isProtected(ended, time({ trustedNowMs: undefined }))).toBe(true);
  expect(() => checkRetentionChange(ended.retention, undefined, time())).not.toThrow();
  expect(() => checkRetentionChange(ended.retention, undefined, time({ trustedNowMs: undefined }))).toThrow(
    'object lock',
  );
});

test.each<[string, Retention, Retention | undefined, LockTime, 'allowed' | 'denied']>([
  ['extend GOVERNANCE', governance(1), governance(2), time(), 'allowed'],
  ['put the same GOVERNANCE again', governance(1), governance(1), time(), 'allowed'],
  ['shorten GOVERNANCE', governance(2), governance(1), time(), 'denied'],
  ['shorten GOVERNANCE by bypass', governance(2), governance(1), bypassing, 'allowed'],
  ['remove GOVERNANCE', governance(1), undefined, time(), 'denied'],
  ['remove GOVERNANCE by bypass', governance(1), undefined, bypassing, 'allowed'],
  ['GOVERNANCE to COMPLIANCE', governance(1), compliance(2), time(), 'denied'],
  ['GOVERNANCE to COMPLIANCE by bypass', governance(1), compliance(1), bypassing, 'allowed'],
  ['extend COMPLIANCE', compliance(1), compliance(2), time(), 'allowed'],
  ['shorten COMPLIANCE by bypass', compliance(2), compliance(1), bypassing, 'denied'],
  ['COMPLIANCE to GOVERNANCE by bypass', compliance(1), governance(9), bypassing, 'denied'],
  ['remove COMPLIANCE by bypass', compliance(1), undefined, bypassing, 'denied'],
  ['change COMPLIANCE that has ended', compliance(-1), governance(1), time(), 'allowed'],
])('%s', (_what, current, wanted, asked, outcome) => {
  const change = (): void => checkRetentionChange(current, wanted, asked);
  if (outcome === 'allowed') expect(change).not.toThrow();
  else expect(change).toThrow(expect.objectContaining({ code: 'AccessDenied' }));
});

test('no sequence of changes without bypass lets a version go earlier than any retention it was given', () => {
  const retention = fc.record({
    mode: fc.constantFrom('GOVERNANCE' as const, 'COMPLIANCE' as const),
    retainUntilMs: fc.integer({ min: NOW - 3, max: NOW + 9 }),
  });
  fc.assert(
    fc.property(fc.array(fc.option(retention, { nil: undefined }), { maxLength: 8 }), (changes) => {
      let current: Retention | undefined;
      let promisedMs = 0;
      for (const wanted of changes) {
        try {
          checkRetentionChange(current, wanted, time());
        } catch {
          continue;
        }
        current = wanted;
        promisedMs = Math.max(promisedMs, wanted?.retainUntilMs ?? 0);
      }
      for (let at = NOW; at < promisedMs; at++)
        expect(isProtected({ retention: current }, time({ trustedNowMs: at }))).toBe(true);
    }),
  );
});
