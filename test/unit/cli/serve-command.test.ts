import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { StoreError } from '../../../src/errors/store-error.ts';
import { FakeCli } from './fake-cli.ts';

let cli: FakeCli;
beforeEach(() => {
  cli = new FakeCli();
});
afterEach(() => cli.destroy());

function makeDisks({ used }: { used: boolean }): string {
  for (let index = 1; index <= 6; index += 1) {
    mkdirSync(cli.path(`disk${index}`));
    if (used) writeFileSync(cli.path(`disk${index}/disk.json`), '{}');
  }
  return cli.path('disk{1..6}');
}

function serve(disks: string, ...more: string[]): Promise<number> {
  return cli.run('serve', '--disks', disks, '--state', cli.stateDirectory, '--log-level', 'error', ...more);
}

/** Serves until the banner stands, then asks it to stop. */
async function serveAndStop(disks: string, ...more: string[]): Promise<number> {
  const ended = serve(disks, ...more);
  await vi.waitFor(() => expect(cli.stdout).toContain('Holdfast is ready'), { timeout: 60_000 });
  cli.signal('SIGTERM');
  return await ended;
}

test('serve on empty directories refuses and prints the exact format line', async () => {
  expect(await serve(makeDisks({ used: false }), '--code', '3+2')).toBe(1);
  expect(cli.stderr).toContain(
    `holdfast format --disks '${cli.path('disk{1..6}')}' --code 3+2 --state ${cli.stateDirectory}`,
  );
  expect(cli.composition.formats).toEqual([]);
  expect(cli.composition.servers).toEqual([]);
  expect(existsSync(cli.stateDirectory)).toBe(false);
});

test('serve without disks is wrong usage', async () => {
  expect(await cli.run('serve')).toBe(2);
});

test('serve on formatted disks prints how to reach it and stops cleanly on SIGTERM', async () => {
  expect(await serveAndStop(makeDisks({ used: true }))).toBe(0);
  expect(cli.stdout).toContain('http://127.0.0.1:9000');
  expect(cli.stdout).toContain('cluster-1, created');
  expect(cli.composition.stopCount).toBe(1);
  expect(cli.listenerCount).toBe(0);
});

test('the secret is printed to a terminal only; elsewhere the banner names its file, mode 0600', async () => {
  await serveAndStop(makeDisks({ used: true }));
  const file = `${cli.stateDirectory}/aws-credentials`;
  expect(cli.stdout + cli.stderr).not.toContain('the-root-secret-never-in-a-log');
  expect(cli.stdout).toContain(`AWS_SHARED_CREDENTIALS_FILE=${file}`);
  expect(readFileSync(file, 'utf8')).toContain('the-root-secret-never-in-a-log');
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

test('on a terminal the secret can be pasted', async () => {
  cli.isTerminal = true;
  await serveAndStop(makeDisks({ used: true }));
  expect(cli.stdout).toContain('export AWS_SECRET_ACCESS_KEY=the-root-secret-never-in-a-log');
});

test('lines to paste name an address that can be connected to', async () => {
  cli.composition.facts = { endpoints: ['http://0.0.0.0:9000'] };
  await serveAndStop(makeDisks({ used: true }));
  expect(cli.stdout).toContain('AWS_ENDPOINT_URL=http://127.0.0.1:9000\n');
  expect(cli.stdout).toContain('Endpoint    http://0.0.0.0:9000');
});

test('a configured root key is neither printed nor written', async () => {
  cli.isTerminal = true;
  const root = {
    accessKeyId: 'FROMENV',
    secretAccessKey: 'secret-from-the-environment',
    accountId: '1',
    source: 'configuration',
  } as const;
  cli.env['HOLDFAST_ROOT_ACCESS_KEY_ID'] = root.accessKeyId;
  cli.env['HOLDFAST_ROOT_SECRET_ACCESS_KEY'] = root.secretAccessKey;
  cli.composition.facts = { root };
  await serveAndStop(makeDisks({ used: true }));
  expect(cli.composition.servers[0]?.secrets.rootKey).toEqual({
    accessKeyId: 'FROMENV',
    secretAccessKey: 'secret-from-the-environment',
  });
  expect(cli.stdout + cli.stderr).not.toContain(root.secretAccessKey);
  expect(existsSync(`${cli.stateDirectory}/aws-credentials`)).toBe(false);
});

test('a second start says opened, with counts', async () => {
  cli.composition.facts = { isCreated: false, bucketCount: 1, objectCount: 12_345 };
  await serveAndStop(makeDisks({ used: true }));
  expect(cli.stdout).toContain('opened: 1 bucket, 12,345 objects');
});

test('HOLDFAST_FORMAT=if-empty formats empty disks once and then serves', async () => {
  cli.env['HOLDFAST_FORMAT'] = 'if-empty';
  await serveAndStop(makeDisks({ used: false }));
  expect(cli.composition.formats).toHaveLength(1);
  expect(cli.composition.formats[0]?.code).toEqual({ k: 4, m: 2 });
  expect(statSync(`${cli.stateDirectory}/master.key`).mode & 0o777).toBe(0o600);
  expect(cli.composition.servers[0]?.secrets.masterKey).toHaveLength(32);
});

test('empty disks of a remembered cluster are an error, also with if-empty', async () => {
  const disks = makeDisks({ used: true });
  await serveAndStop(disks);
  for (let index = 1; index <= 6; index += 1) {
    const { rmSync } = await import('node:fs');
    rmSync(cli.path(`disk${index}/disk.json`));
  }
  cli.env['HOLDFAST_FORMAT'] = 'if-empty';
  expect(await serve(disks)).toBe(1);
  expect(cli.stderr).toContain('belongs to the cluster cluster-1');
  expect(await cli.run('format', '--disks', disks, '--state', cli.stateDirectory)).toBe(1);
  expect(cli.composition.formats).toEqual([]);
});

test('a formatting cut off by a crash is finished by the next if-empty start', async () => {
  cli.env['HOLDFAST_FORMAT'] = 'if-empty';
  const disks = makeDisks({ used: false });
  cli.composition.onFormat = () => {
    writeFileSync(cli.path('disk1/disk.json'), '{}');
    throw new StoreError('DiskFailed', 'power lost');
  };
  expect(await serve(disks)).toBe(1);
  cli.composition.onFormat = () => {};
  await serveAndStop(disks);
  expect(cli.composition.formats).toHaveLength(2);
  expect(readdirSync(cli.stateDirectory).sort()).toEqual(['aws-credentials', 'cluster.json', 'master.key']);
});

test('SIGHUP reloads TLS, a hung disk ends the process by force, a second Ctrl-C at once', async () => {
  const ended = serve(makeDisks({ used: true }));
  await vi.waitFor(() => expect(cli.stdout).toContain('ready'), { timeout: 60_000 });
  cli.signal('SIGHUP');
  expect(cli.composition.reloadCount).toBe(1);
  cli.composition.stopResult = { isClean: false };
  let stopped: () => void = () => {};
  cli.composition.onStop = async () => await new Promise((resolve) => (stopped = resolve));
  cli.signal('SIGINT');
  cli.signal('SIGINT');
  expect(cli.killCount).toBe(0);
  await cli.clock.advance(1001);
  cli.signal('SIGINT');
  await vi.waitFor(() => expect(cli.killCount).toBe(1), { timeout: 60_000 });
  stopped();
  await ended;
  expect(cli.killCount).toBe(2);
});

test('SIGTERM during recovery stops the server without a banner', async () => {
  let fail: (error: Error) => void = () => {};
  cli.composition.onStart = async () => await new Promise((_resolve, reject) => (fail = reject));
  const ended = serve(makeDisks({ used: true }));
  await vi.waitFor(() => expect(cli.composition.servers).toHaveLength(1), { timeout: 60_000 });
  await vi.waitFor(() => expect(cli.listenerCount).toBe(3), { timeout: 60_000 });
  cli.signal('SIGTERM');
  fail(new Error('stopped'));
  expect(await ended).toBe(0);
  expect(cli.stdout).toBe('');
  expect(cli.composition.stopCount).toBe(1);
});

test.each([
  [{ code: 'EADDRINUSE', address: '127.0.0.1', port: 9000 }, '--listen 127.0.0.1:9010'],
  [{ code: 'EACCES', address: '::1', port: 80 }, '--listen [::1]:9000'],
  [{ code: 'EACCES', path: '/mnt/disk one' }, "'/mnt/disk one'"],
])('a start that fails with %j prints %s', async (fields, line) => {
  cli.composition.onStart = async () => await Promise.reject(Object.assign(new Error('x'), fields));
  expect(await serve(makeDisks({ used: true }))).toBe(1);
  expect(cli.stderr).toContain(line);
  expect(cli.composition.stopCount).toBe(1);
});

test('a store error is printed with its hint', async () => {
  cli.composition.onStart = async () =>
    await Promise.reject(new StoreError('QuorumLost', '3 of 6 journals', { hint: 'mount the others' }));
  expect(await serve(makeDisks({ used: true }))).toBe(1);
  expect(cli.stderr).toBe('holdfast: 3 of 6 journals\nmount the others\n');
});

test('six directories on one device say so in the banner', async () => {
  await serveAndStop(makeDisks({ used: true }));
  expect(cli.composition.servers[0]?.findings.map(({ code }) => code)).toContain('one-device');
});

test('the state directory may not lie on a disk', async () => {
  const disks = makeDisks({ used: true });
  expect(await cli.run('serve', '--disks', disks, '--state', cli.path('disk3/state'))).toBe(2);
});
