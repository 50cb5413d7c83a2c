import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { repositoryRoot } from '../repository/tracked-files.ts';
import { codeOfSeed, hasLocksSeed, isVersionedSeed, USUAL_STEPS } from '../support/schedule-steps.ts';
import { runServiceSchedule, type ServiceScheduleOptions } from '../support/service-schedule.ts';

/**
 * The whole service against a model, on simulated disks with crashes (durability.md, layer L0). A failure names its seed
 * and tells its story; replay and shrink it with `npm run simulate -- --seed <seed> --once`, and once it is understood keep it
 * in `test/fixtures/seeds.json`. `MODEL_SECONDS` is the budget, `MODEL_FIRST_SEED` where a campaign begins.
 */
const FIRST_SEED = Number(process.env['MODEL_FIRST_SEED'] ?? 1);
const BUDGET_MS = Number(process.env['MODEL_SECONDS'] ?? 20) * 1000;

type SavedSeed = Pick<ServiceScheduleOptions, 'seed' | 'steps' | 'isVersioned' | 'hasLocks'> & {
  dice: 'by-step' | 'one-stream';
  /** Of a shrunk failure. */
  without?: number[];
};

const SAVED = JSON.parse(readFileSync(join(repositoryRoot, 'test/fixtures/seeds.json'), 'utf8')) as SavedSeed[];

it.each(SAVED)('seed $seed, which once failed, breaks nothing', async ({ without = [], ...saved }) => {
  const { seed } = saved;
  const outcome = await runServiceSchedule({ ...saved, code: codeOfSeed(seed), without: new Set(without) });
  expect(outcome.operations).toBeGreaterThan(outcome.unknown);
});

it(
  'the service loses nothing, shows nothing half and never changes its mind',
  { timeout: 10 * BUDGET_MS + 60_000 },
  async () => {
    const endMs = performance.now() + BUDGET_MS;
    const total = { schedules: 0, operations: 0, unknown: 0, starts: 0 };
    for (let seed = FIRST_SEED; performance.now() < endMs; seed++) {
      const outcome = await runServiceSchedule({
        seed,
        code: codeOfSeed(seed),
        isVersioned: isVersionedSeed(seed),
        hasLocks: hasLocksSeed(seed),
        steps: USUAL_STEPS,
      });
      total.schedules++;
      total.operations += outcome.operations;
      total.unknown += outcome.unknown;
      total.starts += outcome.starts;
    }
    console.log(`seeds from ${FIRST_SEED}: ${JSON.stringify(total)}`);
    expect(total.operations).toBeGreaterThan(total.unknown);
  },
);
