import { expect, test, vi } from 'vitest';
import { EventLoopDelayMonitor } from '../../../src/observability/event-loop-delay.ts';
import { SystemClock } from '../../../src/observability/system-clock.ts';

function block(durationMs: number): void {
  const end = performance.now() + durationMs;
  while (performance.now() < end);
}

test('a block of the event loop is told as its worst delay, and kept through one window', async () => {
  const scheduled: (() => void)[] = [];
  const clock = new SystemClock();
  clock.schedule = (_delayMs, callback) => {
    scheduled.push(callback);
    return () => {};
  };
  const monitor = new EventLoopDelayMonitor(clock);
  expect(monitor.read()).toEqual({ p50Ms: 0, p99Ms: 0, maximumMs: 0 });
  monitor.start();
  try {
    // The first round only takes the time: block until one is seen.
    await vi.waitFor(
      () => {
        block(120);
        expect(monitor.read().maximumMs).toBeGreaterThan(100);
      },
      { timeout: 60_000 },
    );
    scheduled.shift()?.();
    expect(monitor.read().maximumMs).toBeGreaterThan(100);
    scheduled.shift()?.();
    expect(monitor.read().maximumMs).toBe(0);
  } finally {
    monitor.stop();
  }
});
