import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runSchedule } from '../support/journal-schedule.ts';

/**
 * The real journal on simulated disks. A failure prints seed and story; replay one with
 * `JOURNAL_SEED=<seed> npx vitest run test/crash/journal-schedules.test.ts`. JOURNAL_SCHEDULES sets how many are run.
 */
const FIRST_SEED = Number(process.env['JOURNAL_SEED'] ?? 1);
const COUNT = process.env['JOURNAL_SEED'] === undefined ? Number(process.env['JOURNAL_SCHEDULES'] ?? 50) : 1;

describe('DiskJournal under random crashes, losses, stale disks, damage and errors', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'journal-schedules-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each([
    { k: 2, m: 1, diskCount: 3 },
    { k: 1, m: 1, diskCount: 2 },
    { k: 4, m: 2, diskCount: 6 },
    { k: 2, m: 2, diskCount: 4 },
    { k: 3, m: 0, diskCount: 3 },
    { k: 2, m: 1, diskCount: 9 },
  ])(
    '$k plus $m on $diskCount disks loses nothing acknowledged and never changes its mind',
    async (cluster) => {
      let acknowledged = 0;
      for (let seed = FIRST_SEED; seed < FIRST_SEED + COUNT; seed++) {
        const outcome = await runSchedule({ ...cluster, seed, steps: 40, folder });
        acknowledged += outcome.acknowledged;
      }
      expect(acknowledged).toBeGreaterThan(0);
    },
    300_000,
  );
});
