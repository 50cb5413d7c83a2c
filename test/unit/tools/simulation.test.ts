import { expect, test } from 'vitest';
import { noSteps, ScheduleViolation } from '../../support/schedule-steps.ts';
import type { ServiceScheduleOptions } from '../../support/service-schedule.ts';
import { simulate, type SimulationOptions } from '../../support/simulation.ts';

const OPTIONS: SimulationOptions = {
  seed: 10,
  minutes: 1,
  steps: 40,
  isOnce: false,
  without: new Set(),
  shrinkSeconds: 1000,
};

/** A world in which a schedule takes ten seconds and fails when `isBroken` says so. */
function world(isBroken: (options: ServiceScheduleOptions) => boolean) {
  const runs: ServiceScheduleOptions[] = [];
  const lines: string[] = [];
  let nowMs = 0;
  return {
    runs,
    lines,
    nowMs: () => nowMs,
    print: (line: string) => void lines.push(line),
    runSchedule: async (options: ServiceScheduleOptions) => {
      runs.push(options);
      nowMs += 10_000;
      if (isBroken(options)) {
        throw new ScheduleViolation(`seed ${options.seed}: broken`, {
          story: ['a', 'b'],
          failedStep: 30,
          cause: undefined,
        });
      }
      return { steps: { ...noSteps(), batch: 7 }, calls: { PutObject: 5 }, operations: 5, unknown: 1, starts: 2 };
    },
  };
}

test('seeds are run one after the other until the time is over, and counted', async () => {
  const it = world(() => false);
  expect(await simulate(OPTIONS, it)).toBe(0);
  expect(it.runs.map(({ seed }) => seed)).toEqual([10, 11, 12, 13, 14, 15]);
  expect(it.lines[0]).toBe('6 seeds in 1.00 minutes, 6.0 a minute');
  expect(it.lines[1]).toContain('"batch":42');
  expect(it.lines[2]).toBe('calls  {"PutObject":30}, 6 without an answer; 12 starts');
  expect(it.lines[3]).toBe('no violation in seeds 10 to 15');
});

test('a violation ends it with 1, shrunk to the steps that are enough, and says how to replay it', async () => {
  const needed = [3, 17, 28];
  const isBroken = ({ seed, without }: ServiceScheduleOptions): boolean =>
    seed === 12 && needed.every((step) => without?.has(step) !== true);
  const it = world(isBroken);
  expect(await simulate(OPTIONS, it)).toBe(1);
  const text = it.lines.join('\n');
  expect(text).toContain('VIOLATION seed 12: broken\na b');
  expect(text).toContain('it was found by step 30; replay: npm run simulate -- --seed 12 --steps 40 --once\n');
  expect(text).toContain('SHRUNK to 3 of 40 steps');
  const without = /--once --without ([\d,]+)$/.exec(text)?.[1]?.split(',').map(Number) ?? [];
  expect(without).toHaveLength(37);

  const again = world(isBroken);
  expect(await simulate({ ...OPTIONS, seed: 12, isOnce: true, without: new Set(without) }, again)).toBe(1);
  expect(again.lines.join('\n')).toContain('SHRUNK to 3 of 40 steps');
});

test('shrinking ends with its time, and a failure that does not come again is told', async () => {
  const slow = world(({ without }) => without?.has(5) !== true);
  await simulate({ ...OPTIONS, shrinkSeconds: 30 }, slow);
  expect(slow.runs.length).toBeLessThan(8);
  expect(slow.lines.join('\n')).toMatch(/SHRUNK to (1\d|20) of 40 steps/);
  let runs = 0;
  const chance = world(() => runs++ === 0);
  expect(await simulate(OPTIONS, chance)).toBe(1);
  expect(chance.lines.at(-1)).toContain('did not fail again');
});

test('an error that is no violation is not taken for one', async () => {
  const it = world(() => false);
  it.runSchedule = () => Promise.reject(new Error('bug of the harness'));
  await expect(simulate(OPTIONS, it)).rejects.toThrow('bug of the harness');
});
