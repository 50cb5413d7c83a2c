import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AdminActions } from '../../../src/admin/admin-app.ts';
import { AdminServer } from '../../../src/admin/admin-server.ts';
import { Readiness } from '../../../src/admin/readiness.ts';
import { COMMANDS } from '../../../src/cli/run-cli.ts';
import { rememberCluster } from '../../../src/cli/state-directory.ts';
import { StoreError } from '../../../src/errors/store-error.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { RequestMetrics } from '../../../src/observability/request-metrics.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { NO_CENSUS, NO_SCRUB, statusExample } from '../admin/status-example.ts';
import { FakeCli } from './fake-cli.ts';

let cli: FakeCli;
beforeEach(() => {
  cli = new FakeCli();
});
afterEach(() => cli.destroy());

function state(...args: string[]): Promise<number> {
  return cli.run(...args, '--state', cli.stateDirectory);
}

test('no command is wrong usage, --help and --version are fine', async () => {
  expect(await cli.run()).toBe(2);
  expect(await cli.run('--help')).toBe(0);
  expect(await cli.run('--version')).toBe(0);
  expect(cli.stdout).toContain('holdfast 0.1.0');
});

test.each(COMMANDS.map(({ name }) => name))('%s --help describes it and touches nothing', async (name) => {
  expect(await cli.run(name, '--help')).toBe(0);
  expect(cli.stdout).toContain(`Usage: holdfast ${name}`);
  expect(cli.stdout).toContain('--buffer-budget');
});

test('a misspelt command or flag is answered with the nearest one, all flags at once', async () => {
  expect(await cli.run('serv')).toBe(2);
  expect(cli.stderr).toContain('did you mean "serve"?');
  expect(await cli.run('serve', '--disk', '/a', '--lisen', 'x')).toBe(2);
  expect(cli.stderr).toContain('did you mean --disks?');
  expect(cli.stderr).toContain('did you mean --listen?');
});

test('a wrong configuration ends with 2, lists everything and touches nothing', async () => {
  cli.env['HOLDFAST_REGON'] = 'x';
  expect(await state('format', '--disks', cli.path('d{1..6}'), '--code', '9+9', '--reserve', '1')).toBe(2);
  for (const part of ['HOLDFAST_REGON', '--code', '--reserve']) expect(cli.stderr).toContain(part);
  expect(existsSync(cli.stateDirectory)).toBe(false);
  expect(existsSync(cli.path('d1'))).toBe(false);
});

test('format makes missing directories, the master key and remembers the cluster', async () => {
  expect(await state('format', '--disks', cli.path('d{1..6}'))).toBe(0);
  expect(cli.composition.formats[0]?.code).toEqual({ k: 4, m: 2 });
  expect(statSync(cli.path('d6')).isDirectory()).toBe(true);
  expect(statSync(`${cli.stateDirectory}/master.key`).mode & 0o777).toBe(0o600);
  expect(cli.stdout).toContain(`holdfast serve --disks`);
  expect(await state('format', '--disks', cli.path('e{1..6}'))).toBe(1);
});

test('format refuses directories with other files, too few disks and a missing parent', async () => {
  mkdirSync(cli.path('d1'));
  writeFileSync(cli.path('d1/holiday.jpg'), '');
  expect(await state('format', '--disks', cli.path('d{1..3}'))).toBe(1);
  expect(await state('format', '--disks', cli.path('d{2..3}'), '--code', '4+2')).toBe(2);
  expect(await state('format', '--disks', cli.path('no/such/d{1..3}'))).toBe(1);
  expect(cli.composition.formats).toEqual([]);
});

test('positional arguments after --disks are disks too, as a shell expands them', async () => {
  expect(await state('format', '--disks', cli.path('a'), cli.path('b'), cli.path('c'))).toBe(0);
  expect(cli.composition.formats[0]?.diskPaths).toEqual(['a', 'b', 'c'].map((name) => cli.path(name)));
});

test.each([
  ['serve', 'extra'],
  ['serve', '--disks', '/mnt/d{1..3}', 'extra'],
  ['serve', '--disks', '/mnt/d{1..3}', '--listen', '127.0.0.1:0', '/mnt/d4'],
  ['serve', '--disks', '/mnt/d{1..3}', '--', '/mnt/d4'],
  ['start', 'extra'],
  ['format', 'extra', '--disks', 'd{1..3}'],
  ['status', 'extra'],
  ['doctor', '/mnt/d1'],
  ['print-config', 'extra'],
  ['credentials', 'show', 'extra'],
  ['credentials', 'shwo'],
  ['tls', 'self-signed', 'extra'],
  ['tls', 'signed'],
  ['help', 'serve', 'extra'],
  ['--version', 'extra'],
])('%s %s %s %s: a stray argument is refused with the usage line, and nothing is done', async (...args) => {
  expect(await state(...args.filter((arg) => arg !== undefined))).toBe(2);
  expect(cli.stderr).toMatch(/^holdfast: holdfast \S+ takes no argument "\S+"\nUsage: holdfast /);
  expect(existsSync(cli.stateDirectory)).toBe(false);
  expect(cli.composition.servers).toEqual([]);
});

test('inspect of no file, a directory, a file that is none of a disk and an unknown kind ends with 2', async () => {
  writeFileSync(cli.path('note.txt'), 'hello');
  for (const args of [[], ['missing'], ['.'], ['note.txt'], ['note.txt', '--kind', 'volume'], ['note.txt', 'extra']]) {
    expect(await state('inspect', ...args)).toBe(2);
    expect(cli.stdout).toBe('');
  }
  expect(cli.stderr).toContain('no file of a disk that is known here');
});

test('while a server recovers status tells phase, percent and time left', async () => {
  await rememberOne();
  const clock = new ManualClock();
  const readiness = new Readiness(clock);
  readiness.enter('replaying', 0);
  await clock.advance(3000);
  readiness.enter('replaying', 0.25, '25 of 100 frames');
  const server = await serveAdmin({ readiness, status: async () => undefined });
  try {
    expect(await state('status')).toBe(1);
    expect(cli.stdout).toContain('replaying 25 %, about 9 s left (25 of 100 frames)');
    cli.stdout = '';
    expect(await state('status', '--json')).toBe(1);
    expect(JSON.parse(cli.stdout)).toEqual({
      formatVersion: 1,
      mode: 'not-ready',
      readiness: { isReady: false, phase: 'replaying', percent: 25, timeLeftMs: 9000, detail: '25 of 100 frames' },
    });
    cli.stdout = '';
    await state('doctor');
    expect(cli.stdout).toContain('replaying 25 %, about 9 s left (25 of 100 frames) [server-not-ready]');
  } finally {
    await server.stop();
  }
});

test('relaxed syncing is said by the banner, the log and doctor; strict is the default and says nothing', async () => {
  mkdirSync(cli.path('d1'));
  const ports = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];
  await state('doctor', '--disks', cli.path('d1'), ...ports);
  expect(cli.stdout).not.toContain('sync-relaxed');
  expect(await state('doctor', '--disks', cli.path('d1'), '--sync', 'relaxed', ...ports)).toBe(0);
  expect(cli.stdout).toContain('WARN  syncing is RELAXED');
  expect(await state('doctor', '--disks', cli.path('d1'), '--sync', 'none', ...ports)).toBe(2);
});

test('status without a server says offline, and JSON is JSON', async () => {
  await rememberOne();
  expect(await state('status')).toBe(0);
  expect(cli.stdout).toContain('offline');
  cli.stdout = '';
  expect(await state('status', '--json')).toBe(0);
  expect(JSON.parse(cli.stdout)).toMatchObject({ mode: 'offline', formatVersion: 1 });
});

test('status of a state directory that knows nothing is a failure with a hint', async () => {
  expect(await state('status')).toBe(1);
  expect(cli.stderr).toContain('--state DIR');
});

/** A server's admin listener on the socket of the state directory. */
async function serveAdmin(actions: Partial<AdminActions>): Promise<AdminServer> {
  const server = new AdminServer({
    actions: {
      readiness: new Readiness(new ManualClock()),
      requests: new RequestMetrics(),
      eventLoop: { read: () => ({ p50Ms: 0, p99Ms: 0, maximumMs: 0 }) },
      status: async () => statusExample(),
      rootKey: () => ({ accessKeyId: 'HFKEY', secretAccessKey: 'a-secret-that-stays' }),
      rotateRootKey: async () => ({ accessKeyId: 'HFKEY', secretAccessKey: 'a-secret-that-stays' }),
      reloadTls: async () => {},
      explain: async () => undefined,
      disks: () => {
        throw new StoreError('NotReady', 'no disks here');
      },
      census: () => NO_CENSUS,
      acceptClock: async () => ({ before: { jump: undefined } }),
      finalizeUpgrade: async () => ({ active: 2, newest: 2 }),
      keys: () => ({ list: () => [], run: async () => {} }),
      identities: () => ({ call: async ({ action }) => ({ action }) }),
      recode: () => ({
        start: async () => ({}),
        stop: async () => ({}),
        report: async () => ({}),
        wait: async () => ({}),
      }),
      scrub: () => NO_SCRUB,
      ...actions,
    },
    listen: [],
    stateDirectory: cli.stateDirectory,
    log: silentLog,
  });
  await server.start();
  return server;
}

async function rememberOne(): Promise<void> {
  await rememberCluster(cli.stateDirectory, { clusterId: 'cluster-1', diskPaths: ['/a'], code: { k: 1, m: 0 } });
}

test('credentials rotate works offline; show prints what rotate made', async () => {
  await state('format', '--disks', cli.path('d{1..3}'));
  cli.stdout = '';
  expect(await state('credentials', 'rotate')).toBe(0);
  const secret = /aws_secret_access_key = (\S+)/.exec(
    readFileSync(`${cli.stateDirectory}/aws-credentials`, 'utf8'),
  )?.[1];
  expect(secret).toMatch(/^[a-z2-9]{40}$/);
  expect(cli.stdout).not.toContain(secret);
  expect(await state('credentials', 'show')).toBe(0);
  expect(cli.stdout).toContain(secret);
});

test('credentials show opens the sealed key when the file of it is gone', async () => {
  await state('format', '--disks', cli.path('d{1..3}'));
  await state('credentials', 'rotate');
  const file = `${cli.stateDirectory}/aws-credentials`;
  const secret = /aws_secret_access_key = (\S+)/.exec(readFileSync(file, 'utf8'))?.[1];
  rmSync(file);
  cli.stdout = '';
  expect(await state('credentials', 'show')).toBe(0);
  expect(cli.stdout).toContain(secret);
});

test('credentials reset makes a new master key when it is lost', async () => {
  await state('format', '--disks', cli.path('d{1..3}'));
  await state('credentials', 'rotate');
  rmSync(`${cli.stateDirectory}/master.key`);
  rmSync(`${cli.stateDirectory}/aws-credentials`);
  expect(await state('credentials', 'show')).toBe(1);
  expect(cli.stderr).toContain('holdfast credentials reset');
  expect(await state('credentials', 'reset')).toBe(0);
  expect(await state('credentials', 'show')).toBe(0);
  expect(existsSync(`${cli.stateDirectory}/master.key`)).toBe(true);
});

test('credentials reset says that a server is running and names rotate', async () => {
  await state('format', '--disks', cli.path('d{1..3}'));
  const server = await serveAdmin({
    rotateRootKey: () => Promise.reject(new Error('nothing is rotated')),
  });
  try {
    expect(await state('credentials', 'reset')).toBe(1);
  } finally {
    await server.stop();
  }
  expect(cli.stderr).toContain('a server is running; reset works offline');
  expect(cli.stderr).toContain('holdfast credentials rotate');
});

test('a configured root key cannot be rotated here', async () => {
  cli.env['HOLDFAST_ROOT_ACCESS_KEY_ID'] = 'ABCDEF';
  cli.env['HOLDFAST_ROOT_SECRET_ACCESS_KEY'] = 'a-secret-of-the-environment';
  expect(await state('credentials', 'rotate')).toBe(1);
  expect(await state('credentials', 'show')).toBe(0);
  expect(cli.stdout).toContain('a-secret-of-the-environment');
});

test('a secrets file gives the root key; a wrong one is a configuration problem', async () => {
  cli.env['HOLDFAST_ROOT_SECRETS_FILE'] = 'secrets.toml';
  expect(await state('credentials', 'show')).toBe(2);
  writeFileSync(cli.path('secrets.toml'), 'access_key_id = "FILEKEY"\nsecret_access_key = "short"\n');
  expect(await state('credentials', 'show')).toBe(2);
  expect(cli.stderr).toContain('secret_access_key');
  writeFileSync(cli.path('secrets.toml'), 'access_key_id = "FILEKEY"\nsecret_access_key = "long-enough-secret"\n');
  expect(await state('credentials', 'show')).toBe(0);
  expect(cli.stdout).toContain('FILEKEY');
});

test('export-key writes the master key to a private file', async () => {
  await state('format', '--disks', cli.path('d{1..3}'));
  expect(await state('credentials', 'export-key', '--to', 'backup.key')).toBe(0);
  expect(readFileSync(cli.path('backup.key'))).toEqual(readFileSync(`${cli.stateDirectory}/master.key`));
  expect(statSync(cli.path('backup.key')).mode & 0o777).toBe(0o600);
});

test('tls self-signed makes a pair for the given hosts and never overwrites', async () => {
  const make = () => cli.run('tls', 'self-signed', '--out', 'tls', '--hosts', 's3.example.com,10.0.0.1,fe80::1');
  expect(await make()).toBe(0);
  const certificate = new X509Certificate(readFileSync(cli.path('tls/certificate.pem')));
  expect(certificate.subjectAltName).toBe('DNS:s3.example.com, IP Address:10.0.0.1, IP Address:FE80:0:0:0:0:0:0:1');
  expect(certificate.verify(certificate.publicKey)).toBe(true);
  expect(statSync(cli.path('tls/key.pem')).mode & 0o777).toBe(0o600);
  expect(await make()).toBe(1);
  expect(await cli.run('tls', 'self-signed', '--hosts', 'a b', '--out', 'other')).toBe(2);
});

test('print-config shows values in force and no secret', async () => {
  cli.env['HOLDFAST_ROOT_ACCESS_KEY_ID'] = 'ABCDEF';
  cli.env['HOLDFAST_ROOT_SECRET_ACCESS_KEY'] = 'a-secret-of-the-environment';
  expect(await cli.run('print-config', '--region', 'eu-west-1', '--json')).toBe(0);
  expect(JSON.parse(cli.stdout)).toMatchObject({ 's3.region': 'eu-west-1', 'root.secret_access_key': '(secret)' });
  expect(cli.stdout).not.toContain('a-secret-of-the-environment');
});

test('doctor measures a sync; warnings end with 0, an error with 1', async () => {
  mkdirSync(cli.path('d1'));
  const ports = ['--listen', '127.0.0.1:0', '--admin-listen', '127.0.0.1:0'];
  expect(await state('doctor', '--disks', cli.path('d1'), ...ports)).toBe(0);
  expect(cli.stdout).toContain('WARN ');
  expect(cli.stdout).toContain('does not survive the loss of this device [one-device]');
  const taken = createServer();
  const port = await new Promise<number>((resolve) => {
    taken.listen(0, '127.0.0.1', () => resolve((taken.address() as AddressInfo).port));
  });
  try {
    const listen = ['--listen', `127.0.0.1:${port}`, '--admin-listen', '127.0.0.1:0'];
    expect(await state('doctor', '--disks', cli.path('d1'), ...listen)).toBe(1);
    expect(cli.stdout).toContain('ERROR');
  } finally {
    taken.close();
  }
});
