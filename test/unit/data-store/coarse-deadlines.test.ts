import { expect, test } from 'vitest';
import { CoarseDeadlines } from '../../../src/data-store/reader/coarse-deadlines.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

test('a deadline is missed once, after its time and a tick at most', async () => {
  const clock = new ManualClock();
  const deadlines = new CoarseDeadlines(clock);
  const missed: string[] = [];
  deadlines.set(30, () => missed.push('thirty'));
  deadlines.set(12, () => missed.push('twelve'));
  await clock.advance(11);
  expect(missed).toEqual([]);
  await clock.advance(6);
  expect(missed).toEqual(['twelve']);
  await clock.advance(100);
  expect(missed).toEqual(['twelve', 'thirty']);
});

test('one that was cancelled is not missed, and no timer runs when none is left', async () => {
  const clock = new ManualClock();
  const deadlines = new CoarseDeadlines(clock);
  const missed: string[] = [];
  const cancelled = deadlines.set(30, () => missed.push('cancelled'));
  deadlines.cancel(cancelled);
  await clock.advance(100);
  expect(missed).toEqual([]);
  expect(clock.timerCount).toBe(0);
  deadlines.set(5, () => missed.push('later'));
  await clock.advance(10);
  expect(missed).toEqual(['later']);
});

test('a deadline set by the one that was missed holds as well', async () => {
  const clock = new ManualClock();
  const deadlines = new CoarseDeadlines(clock);
  const missed: number[] = [];
  deadlines.set(5, () => {
    missed.push(1);
    deadlines.set(5, () => missed.push(2));
  });
  await clock.advance(50);
  expect(missed).toEqual([1, 2]);
});

test('a stall of the process misses no deadline: what has returned meanwhile is seen first', () => {
  let nowMs = 0;
  let tick = (): void => {};
  const clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    schedule: (_delayMs: number, callback: () => void) => {
      tick = callback;
      return () => {};
    },
  };
  const deadlines = new CoarseDeadlines(clock);
  const missed: string[] = [];
  const returned = deadlines.set(30, () => missed.push('returned'));
  deadlines.set(30, () => missed.push('hung'));
  nowMs = 500;
  tick();
  deadlines.cancel(returned);
  expect(missed).toEqual([]);
  for (let count = 0; count < 5; count++) {
    nowMs += 5;
    tick();
  }
  expect(missed).toEqual(['hung']);
});
