import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LifecycleConfiguration, LifecyclePredicates } from '../../src/model/lifecycle-configuration.ts';
import { CompiledLifecycle, matchesFilter, walkedPrefixes } from '../../src/service/lifecycle/compiled-lifecycle.ts';
import {
  announcedExpiration,
  evaluateCurrent,
  evaluateNoncurrent,
  type LifecycleAction,
} from '../../src/service/lifecycle/evaluate-lifecycle.ts';
import { CALENDAR_DAY_MS } from '../../src/service/lifecycle/lifecycle-days.ts';
import { naiveLifecycle, type NaiveVersion } from '../support/naive-lifecycle.ts';

const EPOCH_MS = Date.UTC(2026, 0, 1);
/** Often a midnight: that is where rounding begins and ends. */
const moment = fc
  .tuple(fc.nat(12), fc.oneof(fc.constant(0), fc.constantFrom(-1, 1), fc.nat(CALENDAR_DAY_MS)))
  .map(([day, restMs]) => EPOCH_MS + day * CALENDAR_DAY_MS + restMs);
const midnight = fc.nat(12).map((day) => EPOCH_MS + day * CALENDAR_DAY_MS);
const key = fc.array(fc.constantFrom('a', 'b', '/'), { maxLength: 3 }).map((letters) => letters.join(''));
const size = fc.constantFrom(0, 1, 100, 131_071, 131_072, 1e9);
const tag = fc.record({ key: fc.constantFrom('k', 'l'), value: fc.constantFrom('', 'v') });
const tags = fc.uniqueArray(tag, { maxLength: 2, selector: (each) => each.key });
const storageClass = fc.constantFrom('STANDARD', 'COLD', 'FROZEN');
const dayCount = fc.integer({ min: 0, max: 5 });

const predicates: fc.Arbitrary<LifecyclePredicates> = fc.record(
  { prefix: key, tags, objectSizeGreaterThan: size, objectSizeLessThan: size },
  { requiredKeys: [] },
);
const filter = fc.oneof(
  predicates,
  fc.tuple(predicates, predicates).map(([beside, and]) => ({ ...beside, and })),
);
const noncurrentTime = { noncurrentDays: dayCount, newerNoncurrentVersions: fc.integer({ min: 1, max: 3 }) };
const time = fc.oneof(
  dayCount.map((days) => ({ days })),
  midnight.map((dateMs) => ({ dateMs })),
);
const actions = fc.record(
  {
    expiration: fc.oneof(
      time,
      fc.boolean().map((expiredObjectDeleteMarker) => ({ expiredObjectDeleteMarker })),
    ),
    transitions: fc.array(
      fc.tuple(time, storageClass).map(([when, to]) => ({ ...when, storageClass: to })),
      { maxLength: 2 },
    ),
    noncurrentVersionExpiration: fc.record(noncurrentTime, { requiredKeys: ['noncurrentDays'] }),
    noncurrentVersionTransitions: fc.array(
      fc.record({ ...noncurrentTime, storageClass }, { requiredKeys: ['noncurrentDays', 'storageClass'] }),
      { maxLength: 2 },
    ),
  },
  { requiredKeys: [] },
);
const scope = fc.oneof(
  key.map((prefix) => ({ prefix })),
  filter.map((each) => ({ filter: each })),
);
const configuration: fc.Arbitrary<LifecycleConfiguration> = fc.record({
  rules: fc
    .array(fc.tuple(scope, actions, fc.nat(9)), { maxLength: 4 })
    .map((rules) =>
      rules.map(([where, what, luck], index) => ({ id: `${index}`, isEnabled: luck > 0, ...where, ...what })),
    ),
  transitionMinimumSize: fc.constantFrom('all_storage_classes_128K', 'varies_by_storage_class'),
});
const version: fc.Arbitrary<NaiveVersion> = fc.record({
  madeAtMs: moment,
  sizeBytes: size,
  tags,
  storageClass,
  isDeleteMarker: fc.nat(3).map((luck) => luck === 0),
});
const newestFirst = fc
  .array(version, { minLength: 1, maxLength: 5 })
  .map((all) => all.sort((a, b) => b.madeAtMs - a.madeAtMs));

function words(action: LifecycleAction | undefined, isVersioned: boolean): string {
  if (action === undefined) return 'stays';
  if (action.kind === 'transition') return `to ${action.storageClass}`;
  return action.kind === 'expire' && isVersioned ? 'marker' : 'gone';
}

test('every version of a key meets the fate that the naive model tells', () => {
  const testDay = fc.constantFrom(undefined, 10_000, 1000);
  fc.assert(
    fc.property(
      configuration,
      key,
      newestFirst,
      moment,
      fc.boolean(),
      testDay,
      (rules, name, versions, nowMs, isVersioned, testDayMs) => {
        const lifecycle = CompiledLifecycle.of(rules);
        const clock = { nowMs, dayMs: testDayMs ?? CALENDAR_DAY_MS };
        let newerNoncurrentCount = 0;
        const fates = versions.map((each, index) => {
          const facts = { key: name, ...each };
          if (index === 0) {
            const isOnlyVersion = versions.length === 1;
            const now = { ...facts, lastModifiedMs: each.madeAtMs, isVersioned, isOnlyVersion };
            return words(evaluateCurrent(lifecycle, now, clock), isVersioned);
          }
          const old = { ...facts, noncurrentSinceMs: versions[index - 1]!.madeAtMs, newerNoncurrentCount };
          if (!each.isDeleteMarker) newerNoncurrentCount++;
          return words(evaluateNoncurrent(lifecycle, old, clock), isVersioned);
        });
        const told = naiveLifecycle(rules, name, versions, {
          nowMs,
          isVersioned,
          ...(testDayMs === undefined ? {} : { testDayMs }),
        });
        expect(fates).toEqual(told);
      },
    ),
    { numRuns: 3000 },
  );
});

test('an object is there until the moment that is announced, and not after', () => {
  fc.assert(
    fc.property(configuration, key, version, (rules, name, each) => {
      const lifecycle = CompiledLifecycle.of(rules);
      const facts = { key: name, ...each, isDeleteMarker: false, lastModifiedMs: each.madeAtMs };
      const announced = announcedExpiration(lifecycle, facts);
      const fateAt = (nowMs: number): string | undefined =>
        evaluateCurrent(
          lifecycle,
          { ...facts, isVersioned: false, isOnlyVersion: true },
          { nowMs, dayMs: CALENDAR_DAY_MS },
        )?.kind;
      if (announced === undefined) {
        expect(fateAt(EPOCH_MS + 1000 * CALENDAR_DAY_MS)).not.toBe('expire');
        return;
      }
      expect(announced.atMs % CALENDAR_DAY_MS).toBe(0);
      expect(fateAt(announced.atMs - 1)).not.toBe('expire');
      expect(fateAt(announced.atMs)).toBe('expire');
    }),
    { numRuns: 1000 },
  );
});

test('what a rule matches lies under exactly one of the prefixes that are walked', () => {
  fc.assert(
    fc.property(configuration, key, version, (rules, name, each) => {
      const lifecycle = CompiledLifecycle.of(rules);
      const walked = walkedPrefixes(lifecycle.rules);
      const above = walked.filter((prefix) => name.startsWith(prefix));
      expect(above.length).toBeLessThanOrEqual(1);
      if (lifecycle.rules.some((rule) => matchesFilter(rule, { key: name, ...each }))) expect(above).toHaveLength(1);
    }),
  );
});
