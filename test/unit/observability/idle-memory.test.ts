import { getHeapSpaceStatistics } from 'node:v8';
import { expect, test } from 'vitest';
import { IdleMemory } from '../../../src/observability/idle-memory.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

test('memory is given back once after the start and once after each time of work, never beside a request', async () => {
  const clock = new ManualClock();
  const requests = { inFlight: 0, startedCount: 0 };
  let count = 0;
  const memory = new IdleMemory({ clock, requests, release: () => (count += 1) });
  memory.start();
  await clock.advance(10_000);
  expect(count).toBe(0);
  await clock.advance(100_000);
  expect(count, 'quiet').toBe(1);
  requests.startedCount += 1;
  requests.inFlight = 1;
  await clock.advance(100_000);
  expect(count, 'a long request').toBe(1);
  requests.inFlight = 0;
  await clock.advance(10_000);
  expect(count, 'it has only just ended').toBe(1);
  await clock.advance(10_000);
  expect(count, 'quiet again').toBe(2);
  for (let second = 0; second < 100; second += 5) {
    requests.startedCount += 1;
    await clock.advance(5000);
  }
  expect(count, 'short requests').toBe(2);
  await clock.advance(100_000);
  expect(count).toBe(3);
  memory.stop();
  expect(clock.timerCount).toBe(0);
});

test('what it does by itself collects garbage', async () => {
  const used = (): number => getHeapSpaceStatistics().reduce((sum, space) => sum + space.space_used_size, 0);
  const clock = new ManualClock();
  const memory = new IdleMemory({ clock, requests: { inFlight: 0, startedCount: 0 } });
  memory.start();
  let garbage: unknown[] | undefined = Array.from({ length: 1_000_000 }, (_, index) => ({ index }));
  const before = used();
  expect(garbage.length).toBe(1_000_000);
  garbage = undefined;
  await clock.advance(20_000);
  memory.stop();
  expect(used()).toBeLessThan(before - 20_000_000);
});
