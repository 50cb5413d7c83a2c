import { expect, test } from 'vitest';
import { Patience } from '../../../src/disk/patience.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

test('patience ends after two seconds when half have answered, not before', async () => {
  const clock = new ManualClock();
  const patience = new Patience({ clock, count: 4, onTick: () => {} });
  patience.answered();
  await clock.advance(3000);
  expect(patience.isOver).toBe(false);
  patience.answered();
  await clock.advance(2750);
  expect(patience.isOver).toBe(false);
  await clock.advance(250);
  expect(patience.isOver).toBe(true);
  patience.stop();
  expect(clock.timerCount).toBe(0);
});

test('a stall of the process counts as one tick: no disk is blamed for it', () => {
  let fire = (): void => {};
  let nowMs = 0;
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    schedule: (_: number, run: () => void) => ((fire = run), () => {}),
  };
  const patience = new Patience({ clock, count: 2, onTick: () => {} });
  patience.answered();
  nowMs = 60_000;
  fire();
  expect(patience.isOver).toBe(false);
  for (let tick = 0; tick < 7; tick++) fire();
  expect(patience.isOver).toBe(true);
});
