import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FakeCli } from './fake-cli.ts';

let cli: FakeCli;
beforeEach(() => {
  cli = new FakeCli();
  cli.composition.onFormat = ({ diskPaths }) => diskPaths.forEach((disk) => writeFileSync(`${disk}/disk.json`, '{}'));
});
afterEach(() => cli.destroy());

async function startAndStop(): Promise<number> {
  cli.stdout = '';
  const ended = cli.run('start', '--log-level', 'error');
  await vi.waitFor(() => expect(cli.stdout).toContain('Holdfast is ready'), { timeout: 60_000 });
  cli.signal('SIGTERM');
  return await ended;
}

test('the very first start makes data/ with six disks and 4+2, the next one finds it', async () => {
  expect(await startAndStop()).toBe(0);
  expect(cli.composition.formats[0]?.code).toEqual({ k: 4, m: 2 });
  expect(readdirSync(cli.path('data')).sort()).toEqual(['disk1', 'disk2', 'disk3', 'disk4', 'disk5', 'disk6', 'state']);
  expect(readFileSync(cli.path('data/state/cluster.json'), 'utf8')).toContain(cli.path('data/disk6'));
  expect(await startAndStop()).toBe(0);
  expect(cli.composition.formats).toHaveLength(1);
  expect(cli.composition.servers[1]).toMatchObject({
    expectedClusterId: 'cluster-1',
    stateDirectory: cli.path('data/state'),
  });
});

test('a first start cut off while formatting leaves no data/, and the next one finishes it', async () => {
  const onFormat = cli.composition.onFormat;
  cli.composition.onFormat = () => {
    throw new Error('power lost');
  };
  expect(await cli.run('start')).toBe(1);
  expect(existsSync(cli.path('data'))).toBe(false);
  cli.composition.onFormat = onFormat;
  expect(await startAndStop()).toBe(0);
  expect(readdirSync(cli.path('data'))).toHaveLength(7);
});

test('an existing but empty data/ is never formatted', async () => {
  mkdirSync(cli.path('data'));
  expect(await cli.run('start')).toBe(1);
  expect(cli.composition.formats).toEqual([]);
  expect(cli.stderr).toContain('holdfast format');
});

test('with disks of its own start is serve: it refuses empty ones', async () => {
  mkdirSync(cli.path('mine'));
  expect(await cli.run('start', '--disks', cli.path('mine'), '--state', cli.stateDirectory)).toBe(1);
  expect(cli.composition.formats).toEqual([]);
  expect(existsSync(cli.path('data'))).toBe(false);
});
