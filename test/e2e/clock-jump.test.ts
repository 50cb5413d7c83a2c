import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { repositoryRoot } from '../repository/tracked-files.ts';
import { TestServer } from '../support/server-process.ts';

const SHIFT = join(repositoryRoot, 'test/support/shift-clock.cjs');
const DAY_MS = 86_400_000;

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

test('a start on another day than it should be is told by status and doctor, until the clock is accepted', async () => {
  const environment: Record<string, string> = { NODE_OPTIONS: `--require ${SHIFT}`, TEST_CLOCK_SHIFT_MS: '0' };
  const it = (server = await TestServer.create({ diskCount: 3, code: '2+1', environment }));
  const run = (...args: string[]) => it.command(...args, '--state', it.stateDirectory);
  expect((await run('clock', 'accept')).stdout).toContain('The clock had not jumped');
  await it.stop();
  environment['TEST_CLOCK_SHIFT_MS'] = String(-DAY_MS);
  await it.start();
  for (const command of ['status', 'doctor']) {
    const { stdout } = await run(command);
    expect(stdout, command).toContain('[clock-jumped]');
    expect(stdout, command).toContain('holdfast clock accept');
  }
  expect((await run('clock', 'accept')).stdout).toMatch(/^Accepted: the clock is right at /);
  expect((await run('status')).stdout).not.toContain('clock-jumped');
  await it.stop();
  await it.start();
  expect(await it.statusReport()).toMatchObject({ clock: {} });
  expect((await run('status')).stdout).not.toContain('clock-jumped');
});
