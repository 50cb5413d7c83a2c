import { expect, test } from 'vitest';
import { BackgroundLoop } from '../../../src/healing/background-loop.ts';
import { WorkPace } from '../../../src/healing/work-pace.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const MIB = 1024 * 1024;

function make({ rate, requests = 0 }: { rate: number; requests?: number }) {
  const clock = new ManualClock();
  const loop = new BackgroundLoop({ clock, intervalMs: 1, step: () => Promise.resolve() });
  const load = { requests };
  const options = { clock, loop, rateBytesPerSecond: () => rate, requestsInFlight: () => load.requests };
  return { clock, loop, load, pace: new WorkPace(options) };
}

/** Works in steps of `workMs` for `totalMs`, `workers` at once; returns the bytes spent. */
async function work(
  { clock, pace }: ReturnType<typeof make>,
  { totalMs, workMs, stepBytes, workers = 1 }: { totalMs: number; workMs: number; stepBytes: number; workers?: number },
): Promise<number> {
  let spent = 0;
  const state = { isOver: false };
  const running = Array.from({ length: workers }, async () => {
    while (!state.isOver) {
      if (workMs > 0) await new Promise<void>((resolve) => clock.schedule(workMs, resolve));
      await pace.spend(stepBytes);
      spent += stepBytes;
      await Promise.resolve();
    }
  });
  await clock.advance(totalMs);
  state.isOver = true;
  await clock.advance(10_000);
  await Promise.all(running);
  return spent;
}

test('work is never faster than its rate, however many do it at once', async () => {
  for (const workers of [1, 6]) {
    const spent = await work(make({ rate: 4 * MIB }), { totalMs: 10_000, workMs: 1, stepBytes: 256 * 1024, workers });
    expect(spent, `${workers} at once`).toBeLessThanOrEqual(42 * MIB);
    expect(spent, `${workers} at once`).toBeGreaterThan(36 * MIB);
  }
});

test('while requests are answered it works a quarter of the time', async () => {
  const step = { totalMs: 10_000, workMs: 5, stepBytes: 512 * 1024 };
  const alone = await work(make({ rate: 1e12 }), step);
  const beside = await work(make({ rate: 1e12, requests: 3 }), step);
  expect(beside / alone).toBeGreaterThan(0.2);
  expect(beside / alone).toBeLessThan(0.3);
});

test('however slow its steps are beside requests, it goes on with 1 MiB/s', async () => {
  const spent = await work(make({ rate: 1e12, requests: 3 }), { totalMs: 20_000, workMs: 400, stepBytes: 512 * 1024 });
  expect(spent).toBeGreaterThanOrEqual(10 * MIB);
});

test('a stop ends pauses and the work', async () => {
  const { loop, pace, clock } = make({ rate: 1 });
  const spending = pace.spend(MIB);
  await clock.advance(10);
  await loop.stop();
  await expect(spending).rejects.toMatchObject({ code: 'NotReady' });
});
