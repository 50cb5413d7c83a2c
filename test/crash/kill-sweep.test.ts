import { execFileSync } from 'node:child_process';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../support/server-process.ts';
import { makeSweep, type Sweep, type SweepName } from '../support/kill-sweep.ts';

/**
 * Kills the real process at the Nth call of a mutating system call while it does a piece of work, starts it again and
 * checks everything that was acknowledged; after background work also, by census, that every shard is there. strace counts per
 * thread and per call, so the pool has one thread. KILL_SWEEP_STEP=1 visits every call; the default samples. KILL_SWEEP_WORK and
 * KILL_SWEEP_CALLS choose.
 */
const STEP = Number(process.env['KILL_SWEEP_STEP'] ?? 0);
const MOST = Number(process.env['KILL_SWEEP_MOST'] ?? Infinity);
const WORK = process.env['KILL_SWEEP_WORK']?.split(',');
const CALLS = process.env['KILL_SWEEP_CALLS']?.split(',') ?? [
  'pwrite64',
  'fdatasync',
  'fsync',
  'unlink',
  'rename',
  'ftruncate',
  'mkdir',
  'openat',
];

/** With no KILL_SWEEP_STEP: the calls at which a process is killed, in the middle of the work as far as they were counted. */
const SAMPLES: Readonly<Record<SweepName, Readonly<Record<string, readonly number[]>>>> = {
  writes: { pwrite64: [3, 60], fdatasync: [12] },
  versions: { pwrite64: [60] },
  healing: { rename: [8] },
  collecting: { unlink: [8] },
  checkpointing: { pwrite64: [100] },
};

let sweep: Sweep | undefined;
afterEach(async () => {
  await sweep?.server.destroy();
  sweep = undefined;
});

function nextCall(name: SweepName, call: string, visits: number): number | undefined {
  if (STEP === 0) return SAMPLES[name][call]?.[visits];
  return visits < MOST ? 1 + visits * STEP : undefined;
}

const cases = (Object.keys(SAMPLES) as SweepName[])
  .filter((name) => WORK?.includes(name) ?? true)
  .flatMap((name) =>
    CALLS.filter((call) => STEP > 0 || SAMPLES[name][call] !== undefined).map((call) => ({ name, call })),
  );

test.each(cases)(
  '$name, killed at the Nth $call: everything acknowledged is there after a restart',
  { timeout: STEP === 0 ? 180_000 : 12 * 3_600_000 },
  async ({ name, call }) => {
    execFileSync('strace', ['-V']);
    sweep = await makeSweep(name);
    const { server, swept } = sweep;
    const kills = { starting: 0, working: 0 };
    const violations: string[] = [];
    for (let visits = 0; ; visits++) {
      const nth = nextCall(name, call, visits);
      if (nth === undefined) break;
      const inject = ['-e', `trace=${call}`, '-e', `inject=${call}:signal=KILL:when=${nth}`];
      const visit = `${call} ${nth}`;
      await swept.prepare(visit);
      let end: 'starting' | 'working' | 'survived' = 'starting';
      try {
        await server.start({
          prefix: ['strace', '-f', '-qq', '-o', '/dev/null', ...inject],
          environment: { UV_THREADPOOL_SIZE: '1' },
        });
        end = 'working';
        await swept.work(visit);
        end = 'survived';
      } catch (error) {
        // A process that runs on has failed the work.
        const isGone = await eventually('it is gone', () => Promise.resolve(!server.isAlive), 10_000).catch(
          () => false,
        );
        if (isGone === false) violations.push(`${visit}, ${end}: ${String(error)}`);
      }
      await server.kill();
      await server.start({ readyWithinMs: 60_000 });
      violations.push(...(await swept.violations(visit)).map((text) => `${visit}: ${text}`));
      await server.kill();
      if (end === 'survived') break;
      kills[end]++;
    }
    console.log(`${name}, ${call}: killed ${kills.starting} + ${kills.working} times, ${violations.length} violations`);
    expect(violations).toEqual([]);
    // A work that never makes the call is no sweep of it; one that is killed while it starts only, neither.
    if (STEP === 0) expect(kills.starting + kills.working).toBeGreaterThan(0);
  },
);
