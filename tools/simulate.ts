/**
 * Runs random schedules of the whole service on simulated disks, seed after seed:
 * `npm run simulate -- --seed N --minutes M`. Exit code 1 on a violation, with the seed, the story, the steps that are enough
 * for it, and the command that replays it.
 */
import { parseArgs } from 'node:util';
import { USUAL_STEPS } from '../test/support/schedule-steps.ts';
import { runServiceSchedule } from '../test/support/service-schedule.ts';
import { simulate } from '../test/support/simulation.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '1' },
    steps: { type: 'string', default: String(USUAL_STEPS) },
    once: { type: 'boolean', default: false },
    without: { type: 'string', default: '' },
    'shrink-seconds': { type: 'string', default: '120' },
  },
});

function numberOf(flag: string, text: string, { isWhole = true } = {}): number {
  const value = Number(text);
  if (text === '' || !(value >= 0) || (isWhole && !Number.isSafeInteger(value))) {
    console.error(`--${flag} must be a ${isWhole ? 'whole ' : ''}number, not "${text}"`);
    process.exit(2);
  }
  return value;
}

const without = values.without === '' ? [] : values.without.split(',').map((step) => numberOf('without', step));
process.exitCode = await simulate(
  {
    seed: numberOf('seed', values.seed),
    minutes: numberOf('minutes', values.minutes, { isWhole: false }),
    steps: numberOf('steps', values.steps),
    isOnce: values.once,
    without: new Set(without),
    shrinkSeconds: numberOf('shrink-seconds', values['shrink-seconds'], { isWhole: false }),
  },
  { runSchedule: runServiceSchedule, nowMs: () => performance.now(), print: (line) => console.log(line) },
);
