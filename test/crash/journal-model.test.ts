import { describe, expect, it } from 'vitest';
import { exploreJournalModel, type ModelBounds, type PlantedBug } from '../support/journal-model.ts';

/** JOURNAL_MODEL_DEEP=1 adds bounds that take minutes. */
const isDeep = process.env['JOURNAL_MODEL_DEEP'] === '1';

const BOUNDS: ModelBounds[] = [
  { n: 2, m: 1, maxEpoch: 4, maxPayloads: 2, maxWipes: 1 },
  { n: 2, m: 1, maxEpoch: 3, maxPayloads: 2, maxWipes: 1, anyOpeningFails: true },
  { n: 2, m: 0, maxEpoch: 3, maxPayloads: 2, maxWipes: 0 },
  { n: 3, m: 1, maxEpoch: 3, maxPayloads: 2, maxWipes: 1 },
  { n: 3, m: 2, maxEpoch: 2, maxPayloads: 2, maxWipes: 1 },
  { n: 4, m: 2, maxEpoch: 2, maxPayloads: 2, maxWipes: 0, maxStates: 15_000 },
];
const DEEP_BOUNDS: ModelBounds[] = [
  { n: 2, m: 1, maxEpoch: 4, maxPayloads: 3, maxWipes: 1, anyOpeningFails: true },
  { n: 3, m: 2, maxEpoch: 3, maxPayloads: 1, maxWipes: 0 },
  { n: 3, m: 1, maxEpoch: 3, maxPayloads: 2, maxWipes: 0, anyOpeningFails: true, maxStates: 500_000 },
  { n: 4, m: 2, maxEpoch: 2, maxPayloads: 1, maxWipes: 0 },
  { n: 4, m: 2, maxEpoch: 2, maxPayloads: 2, maxWipes: 1, maxStates: 500_000 },
  { n: 4, m: 2, maxEpoch: 3, maxPayloads: 1, maxWipes: 0, maxStates: 500_000 },
  { n: 2, m: 1, maxEpoch: 5, maxPayloads: 3, maxWipes: 2 },
  { n: 3, m: 1, maxEpoch: 4, maxPayloads: 2, maxWipes: 1 },
  { n: 3, m: 1, maxEpoch: 3, maxPayloads: 3, maxWipes: 2 },
  { n: 4, m: 2, maxEpoch: 3, maxPayloads: 2, maxWipes: 0 },
  { n: 4, m: 1, maxEpoch: 2, maxPayloads: 2, maxWipes: 1 },
];

describe('the journal protocol', () => {
  it.each(isDeep ? [...BOUNDS, ...DEEP_BOUNDS] : BOUNDS)(
    'loses, flips and reuses nothing with n=$n m=$m, up to $maxEpoch epochs, $maxPayloads frames and $maxWipes wiped disks',
    (bounds) => {
      const result = exploreJournalModel(bounds);
      expect(result.violation).toBeUndefined();
      expect(result.isComplete || result.states >= (bounds.maxStates ?? Infinity)).toBe(true);
      expect(result.states).toBeGreaterThan(1000);
    },
    600_000,
  );

  const GIVEN_UP = ['notes-on-declared-disks', 'stale-reads'] as const;
  const declaring: ModelBounds[] = [
    { n: 2, m: 1, spares: 1, maxEpoch: 3, maxPayloads: 2, maxWipes: 1, givenUp: [GIVEN_UP[0]] },
    { n: 3, m: 1, spares: 1, maxEpoch: 2, maxPayloads: 1, maxWipes: 1, givenUp: [GIVEN_UP[0]] },
    { n: 3, m: 2, spares: 1, maxEpoch: 2, maxPayloads: 1, maxWipes: 1, givenUp: [GIVEN_UP[0]], maxStates: 3000 },
    { n: 4, m: 2, spares: 2, maxEpoch: 2, maxPayloads: 1, maxWipes: 2, givenUp: [GIVEN_UP[0]], maxStates: 3000 },
  ];
  const deepDeclaring: ModelBounds[] = [
    { n: 2, m: 1, spares: 1, maxEpoch: 4, maxPayloads: 2, maxWipes: 1, givenUp: [GIVEN_UP[0]] },
    { n: 4, m: 2, spares: 2, maxEpoch: 2, maxPayloads: 1, maxWipes: 2, givenUp: [GIVEN_UP[0]], maxStates: 300_000 },
  ];
  it.each(isDeep ? [...declaring, ...deepDeclaring] : declaring)(
    'loses nothing when $spares destroyed disks are declared lost with n=$n m=$m',
    (bounds) => {
      const result = exploreJournalModel(bounds);
      expect(result.violation).toBeUndefined();
      expect(result.isComplete || result.states >= (bounds.maxStates ?? Infinity)).toBe(true);
    },
    600_000,
  );

  const falsely: ModelBounds[] = [
    { n: 2, m: 1, spares: 1, declared: 'any-absent', maxEpoch: 3, maxPayloads: 2, maxWipes: 0, givenUp: GIVEN_UP },
    { n: 3, m: 1, spares: 1, declared: 'any-absent', maxEpoch: 2, maxPayloads: 1, maxWipes: 0, givenUp: GIVEN_UP },
    { n: 4, m: 2, spares: 2, declared: 'any-absent', maxEpoch: 2, maxPayloads: 1, maxWipes: 0, givenUp: GIVEN_UP },
  ];
  it.each(falsely.map((bounds) => ({ maxStates: isDeep ? 300_000 : 4000, ...bounds })))(
    'loses and forks nothing even when the declared disks come back with all they have (n=$n m=$m): only stale reads are possible',
    (bounds) => {
      const result = exploreJournalModel(bounds);
      expect(result.violation).toBeUndefined();
      expect(result.isComplete || result.states >= bounds.maxStates).toBe(true);
    },
    600_000,
  );

  it('says what a declaration gives up: what only the declared disks knew was answered', () => {
    const [bounds] = declaring as [ModelBounds];
    expect(exploreJournalModel({ ...bounds, givenUp: [] }).violation?.what).toMatch(/absent before/);
    const [false_] = falsely as [ModelBounds];
    const stale = exploreJournalModel({ ...false_, givenUp: [GIVEN_UP[0]] });
    expect(stale.violation?.what).toMatch(/does not know an acknowledged frame|absent before/);
  });

  const small: ModelBounds = { n: 3, m: 1, maxEpoch: 3, maxPayloads: 2, maxWipes: 0 };
  const few: ModelBounds = { n: 4, m: 2, maxEpoch: 2, maxPayloads: 1, maxWipes: 0 };
  const planted: [PlantedBug, ModelBounds, RegExp][] = [
    ['skip-reservation', small, /second time/],
    ['count-blank-disks', { ...small, maxWipes: 1 }, /second time|lost/],
    ['vote-before-levelled', small, /on no present disk/],
    ['no-levelling-after-a-miss', small, /on no present disk/],
    ['longest-chain-wins', small, /lost/],
    ['acknowledge-at-m', small, /lost/],
    ['read-before-acknowledged', small, /lost/],
    ['serve-before-opened', small, /lost/],
    ['no-void-note', { ...few, n: 2, m: 1 }, /absent before/],
    ['void-note-on-too-few', few, /absent before/],
    ['note-before-reserving', few, /does not know an acknowledged frame/],
    ['note-without-reserving', few, /does not know an acknowledged frame/],
    ['note-forgotten-too-early', { ...few, n: 2, m: 1, maxEpoch: 3 }, /absent before/],
    ['notes-ignored-by-reopen', { ...few, n: 2, m: 1 }, /absent before/],
    ['declare-on-too-few', falsely[2]!, /second time/],
    ['declare-without-reserving', falsely[1]!, /second time/],
    ['notes-of-declared-disks', falsely[0]!, /lost/],
    ['reopen-forgets', { n: 4, m: 1, maxEpoch: 2, maxPayloads: 2, maxWipes: 0 }, /lost/],
  ];
  it.each(planted)('is broken, and the checker says so, by the planted bug %s', (bug, bounds, what) => {
    const result = exploreJournalModel({ ...bounds, bug });
    expect(result.violation?.what).toMatch(what);
    expect(result.violation?.trace.length).toBeGreaterThan(1);
  });
});
