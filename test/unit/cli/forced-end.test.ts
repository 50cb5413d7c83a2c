import { mkdirSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Log, silentLog } from '../../../src/observability/log.ts';
import { FakeCli } from './fake-cli.ts';

/** What the log has gathered, and what of it was flushed; a broken standard error refuses. */
const logged = vi.hoisted(() => ({ lines: [] as string[], flushed: [] as string[], isBroken: false }));

vi.mock('../../../src/cli/create-log.ts', () => ({
  createLog: () => {
    const note = (_facts: object, message: string): void => void logged.lines.push(message);
    const log: Log = { ...silentLog, debug: note, info: note, warn: note, error: note };
    const flush = (): void => {
      if (logged.isBroken) throw new Error('EPIPE');
      logged.flushed.push(...logged.lines.splice(0));
    };
    const flushWithin = async (): Promise<void> => flush();
    return { log, flush, flushWithin };
  },
}));

let cli: FakeCli;
beforeEach(() => {
  cli = new FakeCli();
  Object.assign(logged, { lines: [], flushed: [], isBroken: false });
});
afterEach(() => cli.destroy());

/** Serves until the banner stands, then stops while file calls are stuck. */
async function endByForce(): Promise<void> {
  mkdirSync(cli.path('disk1'));
  writeFileSync(cli.path('disk1/disk.json'), '{}');
  cli.composition.stopResult = { isClean: false };
  const ended = cli.run('serve', '--disks', cli.path('disk1'), '--state', cli.stateDirectory);
  await vi.waitFor(() => expect(cli.stdout).toContain('ready'), { timeout: 60_000 });
  cli.signal('SIGTERM');
  await ended;
}

test('why a server ends by force is in the log before it does', async () => {
  let flushedBefore: string[] = [];
  cli.onKill = () => (flushedBefore = [...logged.flushed]);
  await endByForce();
  expect(cli.killCount).toBe(1);
  expect(flushedBefore.at(-1)).toContain('file calls are stuck');
});

test('a server whose log cannot be written ends by force all the same', async () => {
  cli.composition.onStop = async () => void (logged.isBroken = true);
  await endByForce().catch(() => {});
  expect(cli.killCount).toBeGreaterThan(0);
});

test('a second signal ends a server at once, and what was logged until then is told', async () => {
  let flushedBefore: string[] = [];
  cli.onKill = () => (flushedBefore = [...logged.flushed]);
  mkdirSync(cli.path('disk1'));
  writeFileSync(cli.path('disk1/disk.json'), '{}');
  let isStopping = false;
  let stopped = (): void => {};
  cli.composition.onStop = () => {
    isStopping = true;
    return new Promise<void>((resolve) => (stopped = resolve));
  };
  const ended = cli.run('serve', '--disks', cli.path('disk1'), '--state', cli.stateDirectory);
  await vi.waitFor(() => expect(cli.stdout).toContain('ready'), { timeout: 60_000 });
  cli.signal('SIGINT');
  await vi.waitFor(() => expect(isStopping).toBe(true), { timeout: 60_000 });
  await cli.clock.advance(1500);
  cli.signal('SIGINT');
  await vi.waitFor(() => expect(cli.killCount).toBe(1), { timeout: 60_000 });
  expect(flushedBefore).toContain('stopping');
  stopped();
  await ended;
});
