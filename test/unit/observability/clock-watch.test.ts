import { beforeEach, describe, expect, test } from 'vitest';
import { type ClockMemory, type ClockNote, ClockWatch } from '../../../src/observability/clock-watch.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const YEAR_MS = 365 * DAY_MS;

let clock: ManualClock;
let note: ClockNote | undefined;
let isWritable: boolean;
let lastRecordAtMs: number | undefined;
let memory: ClockMemory;
beforeEach(() => {
  clock = new ManualClock();
  note = undefined;
  isWritable = true;
  lastRecordAtMs = undefined;
  memory = {
    get lastRecordAtMs() {
      return lastRecordAtMs;
    },
    read: async () => note,
    write: async (written) => {
      if (!isWritable) throw new Error('too few disks');
      note = written;
    },
  };
});

/** Of a process that begins now. */
async function started(): Promise<ClockWatch> {
  const watch = new ClockWatch({ clock, log: silentLog });
  expect(watch.trustedNowMs()).toBeUndefined();
  await watch.start(memory);
  return watch;
}

/** The process ends, the machine is off for so long, and another process begins. */
async function restarted(watch: ClockWatch, offMs: number): Promise<ClockWatch> {
  await clock.advance(20_000);
  watch.stop();
  clock.jumpWallClock(offMs);
  return await started();
}

describe('while it runs', () => {
  test('a clock that is set back shortens nothing that begins meanwhile', async () => {
    const watch = await started();
    await clock.advance(HOUR_MS);
    expect(watch.latestNowMs()).toBe(clock.nowMs());
    const rightAtMs = clock.nowMs();
    clock.jumpWallClock(-YEAR_MS);
    expect(watch.latestNowMs()).toBe(rightAtMs);
    await clock.advance(HOUR_MS);
    expect(watch.latestNowMs()).toBe(rightAtMs + HOUR_MS);
    clock.jumpWallClock(2 * YEAR_MS);
    expect(watch.latestNowMs()).toBe(clock.nowMs());
  });

  test.each([2 * HOUR_MS, -2 * HOUR_MS, DAY_MS, -DAY_MS, -56 * YEAR_MS, 13 * YEAR_MS])(
    'a jump by %i ms is not believed, from the next question on, until it is accepted',
    async (byMs) => {
      const watch = await started();
      await clock.advance(5 * HOUR_MS);
      expect(watch.trustedNowMs()).toBe(clock.nowMs());
      const expectedAtMs = clock.nowMs();
      clock.jumpWallClock(byMs);
      expect(watch.trustedNowMs()).toBeUndefined();
      expect(watch.jump).toEqual({ expectedAtMs, foundAtMs: expectedAtMs + byMs });
      await clock.advance(30 * DAY_MS);
      expect(watch.trustedNowMs()).toBeUndefined();
      await watch.accept();
      expect(watch.trustedNowMs()).toBe(clock.nowMs());
      await clock.advance(DAY_MS);
      expect(watch.trustedNowMs()).toBe(clock.nowMs());
      expect((await restarted(watch, HOUR_MS)).trustedNowMs()).toBe(clock.nowMs());
    },
  );

  test('a clock that is set by minutes is believed, one that is set back after a jump too', async () => {
    const watch = await started();
    clock.jumpWallClock(-50 * 60_000);
    expect(watch.trustedNowMs()).toBe(clock.nowMs());
    clock.jumpWallClock(DAY_MS);
    expect(watch.trustedNowMs()).toBeUndefined();
    clock.jumpWallClock(-DAY_MS);
    expect(watch.trustedNowMs()).toBe(clock.nowMs());
    expect(watch.jump).toBeUndefined();
  });

  test('many small steps add up to a jump', async () => {
    const watch = await started();
    for (let step = 0; step < 3; step += 1) {
      clock.jumpWallClock(25 * 60_000);
      await clock.advance(DAY_MS);
    }
    expect(watch.trustedNowMs()).toBeUndefined();
  });
});

describe('over a restart', () => {
  test('a pause of days is none, more than a week has to be accepted, and so has any step back', async () => {
    let watch = await started();
    watch = await restarted(watch, 6 * DAY_MS);
    expect(watch.trustedNowMs()).toBe(clock.nowMs());
    watch = await restarted(watch, 8 * DAY_MS);
    expect(watch.trustedNowMs()).toBeUndefined();
    await watch.accept();
    watch = await restarted(watch, -2 * HOUR_MS);
    expect(watch.trustedNowMs()).toBeUndefined();
    await watch.accept();
    expect((await restarted(watch, 0)).trustedNowMs()).toBe(clock.nowMs());
  });

  test.each([2 * HOUR_MS, DAY_MS, 40 * DAY_MS, -DAY_MS])(
    'a jump by %i ms is still one, until it is accepted',
    async (byMs) => {
      let watch = await started();
      await clock.advance(HOUR_MS);
      clock.jumpWallClock(byMs);
      await clock.advance(20_000);
      // Records go on being stamped by the clock that jumped.
      lastRecordAtMs = clock.nowMs();
      for (const offMs of [0, byMs > 0 ? 3 * DAY_MS : 0]) {
        watch = await restarted(watch, offMs);
        expect(watch.trustedNowMs()).toBeUndefined();
      }
      await watch.accept();
      expect((await restarted(watch, HOUR_MS)).trustedNowMs()).toBe(clock.nowMs());
    },
  );

  test('a jump that was set right while the server was off is over', async () => {
    let watch = await started();
    clock.jumpWallClock(DAY_MS);
    watch = await restarted(watch, 0);
    expect(watch.trustedNowMs()).toBeUndefined();
    watch = await restarted(watch, HOUR_MS - DAY_MS);
    expect(watch.trustedNowMs()).toBe(clock.nowMs());
  });

  test('without a note the newest record tells of a step back, and nothing of a pause', async () => {
    lastRecordAtMs = clock.nowMs() - YEAR_MS;
    expect((await started()).trustedNowMs()).toBe(clock.nowMs());
    note = undefined;
    lastRecordAtMs = clock.nowMs() + DAY_MS;
    const watch = await started();
    expect(watch.trustedNowMs()).toBeUndefined();
    expect(watch.jump).toEqual({ expectedAtMs: lastRecordAtMs, foundAtMs: clock.nowMs() });
  });

  test('a note that is older than the newest record counts for less', async () => {
    const watch = await started();
    await clock.advance(20_000);
    watch.stop();
    clock.jumpWallClock(30 * DAY_MS);
    lastRecordAtMs = clock.nowMs();
    clock.jumpWallClock(2 * DAY_MS);
    expect((await started()).trustedNowMs()).toBe(clock.nowMs());
  });
});

describe('the note', () => {
  test('is written at the start and every hour, so that an idle server is not taken for one that was off', async () => {
    const watch = await started();
    await clock.advance(30 * DAY_MS);
    expect(note!.trustedAtMs).toBeGreaterThan(clock.nowMs() - 2 * HOUR_MS);
    expect((await restarted(watch, DAY_MS)).trustedNowMs()).toBe(clock.nowMs());
  });

  test('is tried again when it cannot be written; accepting fails then and changes nothing', async () => {
    const watch = await started();
    isWritable = false;
    clock.jumpWallClock(DAY_MS);
    await clock.advance(60_000);
    expect(note?.jump).toBeUndefined();
    await expect(watch.accept()).rejects.toThrow('too few disks');
    expect(watch.trustedNowMs()).toBeUndefined();
    isWritable = true;
    await clock.advance(20_000);
    expect(note?.jump).toEqual(watch.jump);
  });
});
