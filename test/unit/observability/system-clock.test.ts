import { expect, test } from 'vitest';
import { SystemClock, SystemRandomness } from '../../../src/observability/system-clock.ts';

test('schedule runs its callback once, and not when it was cancelled', async () => {
  const clock = new SystemClock();
  const seen: string[] = [];
  const cancel = clock.schedule(1, () => seen.push('cancelled'));
  cancel();
  await new Promise<void>((resolve) => {
    clock.schedule(5, () => {
      seen.push('run');
      resolve();
    });
  });
  expect(seen).toEqual(['run']);
});

test('a delay longer than the system has timers for does not run at once and can be cancelled', async () => {
  const clock = new SystemClock();
  let hasRun = false;
  const cancel = clock.schedule(2 ** 40, () => (hasRun = true));
  await new Promise((resolve) => setTimeout(resolve, 5));
  cancel();
  expect(hasRun).toBe(false);
});

test('randomness is uniform enough in [0, 1) and bytes have the wanted length', () => {
  const random = new SystemRandomness();
  const fractions = Array.from({ length: 2000 }, () => random.fraction());
  expect(fractions.every((value) => value >= 0 && value < 1)).toBe(true);
  expect(fractions.filter((value) => value < 0.5).length).toBeGreaterThan(800);
  expect(random.bytes(33)).toHaveLength(33);
});
