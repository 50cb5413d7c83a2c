import { expect, test } from 'vitest';
import { settleCalls } from '../../../src/data-store/volume/disk-calls.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

/** Calls that return after so long, and when the answer came. */
async function settled(tookMs: readonly number[]): Promise<{ afterMs: number; late: number[] }> {
  const clock = new ManualClock();
  const calls = tookMs.map((delayMs, slot) => ({
    slot,
    promise: new Promise<void>((resolve) => void clock.schedule(delayMs, resolve)),
  }));
  const answer: { afterMs: number; late: number[] } = { afterMs: -1, late: [] };
  void settleCalls(calls, { clock, deadlineMs: 2000, longestMs: 10_000, operation: 'append' }).then((failures) => {
    answer.afterMs = clock.monotonicMs();
    answer.late = failures.map(({ slot }) => slot);
  });
  for (let step = 0; step < 30; step++) await clock.advance(500);
  return answer;
}

test('a few late calls are not waited for beyond the deadline', async () => {
  expect(await settled([1, 1, 1, 1, 9000, 99_000])).toEqual({ afterMs: 2000, late: [4, 5] });
  expect(await settled([1, 99_000])).toEqual({ afterMs: 2000, late: [1] });
});

test('when many are late it is the machine: they are waited for until only a few are left, or to the end', async () => {
  expect(await settled([1, 3000, 3000, 3000, 3000, 3000])).toEqual({ afterMs: 3000, late: [] });
  expect(await settled([1, 4000, 4000, 99_000, 99_000, 5000])).toEqual({ afterMs: 6000, late: [3, 4] });
  expect(await settled([1, 99_000, 99_000, 99_000])).toEqual({ afterMs: 10_000, late: [1, 2, 3] });
});

test('the only disk of a volume is waited for to the end', async () => {
  expect(await settled([7000])).toEqual({ afterMs: 7000, late: [] });
});
