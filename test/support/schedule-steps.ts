import type { ErasureCode } from '../../src/model/erasure-code.ts';

export type StepKind =
  | 'batch'
  | 'crash'
  | 'detach'
  | 'attach'
  | 'remember-index'
  | 'remember-disk'
  | 'stale-disk'
  | 'damage'
  | 'heal'
  | 'list'
  | 'clock-jump';

/** An invariant is broken. */
export class ScheduleViolation extends Error {
  /** What was done, in order. */
  readonly story: readonly string[];
  /** The step that ended it; `undefined`: the checks at the end. */
  readonly failedStep: number | undefined;

  constructor(message: string, options: { story: readonly string[]; failedStep: number | undefined; cause: unknown }) {
    super(`${message}\n${options.story.join(' ')}`, { cause: options.cause });
    this.name = 'ScheduleViolation';
    this.story = options.story;
    this.failedStep = options.failedStep;
  }
}

/** Of a hundred: the first whose limit is above the dice. */
const STEP_ODDS: readonly (readonly [limit: number, kind: StepKind])[] = [
  [62, 'batch'],
  [68, 'crash'],
  [76, 'detach'],
  [85, 'attach'],
  [88, 'remember-index'],
  [90, 'remember-disk'],
  [92, 'stale-disk'],
  [93, 'damage'],
  [94, 'heal'],
  [97, 'list'],
  [100, 'clock-jump'],
];
/** So many steps may follow one seed before the next one's. */
export const STEP_SEED_FACTOR = 1000;

export function noSteps(): Record<StepKind, number> {
  return Object.fromEntries(STEP_ODDS.map(([, kind]) => [kind, 0])) as Record<StepKind, number>;
}

export function kindOfDice(dice: number): StepKind {
  return STEP_ODDS.find(([limit]) => dice < limit)![1];
}

const CODES: readonly ErasureCode[] = [
  { k: 4, m: 2 },
  { k: 2, m: 1 },
  { k: 1, m: 1 },
  { k: 2, m: 2 },
];

/** What a seed is run on. */
export function codeOfSeed(seed: number): ErasureCode {
  return CODES[seed % CODES.length]!;
}

/** Every other seed also writes, deletes and restores versions in a bucket whose versioning changes. */
export function isVersionedSeed(seed: number): boolean {
  return seed % 2 === 1;
}

/** Whether a bucket of it has Object Lock. */
export function hasLocksSeed(seed: number): boolean {
  return seed % 3 === 0;
}

/** Steps of a schedule where nothing else is said. */
export const USUAL_STEPS = 60;
