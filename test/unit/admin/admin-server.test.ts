import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AdminActions } from '../../../src/admin/admin-app.ts';
import { AdminServer } from '../../../src/admin/admin-server.ts';
import { Readiness } from '../../../src/admin/readiness.ts';
import { socketPath } from '../../../src/admin/socket-path.ts';
import { askServer } from '../../../src/cli/admin-client.ts';
import { StoreError } from '../../../src/errors/store-error.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { RequestMetrics } from '../../../src/observability/request-metrics.ts';
import { ManualClock } from '../../support/simulated-clock.ts';
import { NO_CENSUS, NO_SCRUB, statusExample } from './status-example.ts';

const KEY = { accessKeyId: 'HFKEY', secretAccessKey: 'the-secret-of-the-root-key' };
let stateDirectory: string;
let actions: AdminActions;
let rotations: number;
let server: AdminServer;
let endpoint: string;

beforeEach(async () => {
  stateDirectory = mkdtempSync(path.join(tmpdir(), 'holdfast-admin-'));
  rotations = 0;
  const readiness = new Readiness(new ManualClock());
  readiness.ready();
  actions = {
    readiness,
    requests: new RequestMetrics(),
    eventLoop: { read: () => ({ p50Ms: 0, p99Ms: 0, maximumMs: 0 }) },
    status: async () => statusExample(),
    rootKey: () => KEY,
    rotateRootKey: async () => {
      rotations += 1;
      return KEY;
    },
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
  };
  server = new AdminServer({ actions, listen: [{ host: '127.0.0.1', port: 0 }], stateDirectory, log: silentLog });
  endpoint = (await server.start()).endpoints[0] ?? '';
});
afterEach(async () => {
  await server.stop();
  rmSync(stateDirectory, { recursive: true });
});

test('status, health and metrics answer over TCP', async () => {
  expect(await (await fetch(`${endpoint}/status`)).json()).toMatchObject({ marginDiskCount: 1 });
  expect((await fetch(`${endpoint}/-/live`)).status).toBe(200);
  expect((await fetch(`${endpoint}/-/ready`)).status).toBe(200);
  const metrics = await (await fetch(`${endpoint}/metrics`)).text();
  expect(metrics).toContain('holdfast_ready 1\n');
  expect(metrics).toContain('holdfast_disk_usable{disk="0",id="disk-a"} 1\n');
});

test('sec_admin_over_tcp_reads_only: credentials and changes exist on the socket alone', async () => {
  for (const [method, route] of [
    ['GET', '/credentials'],
    ['POST', '/credentials/rotate'],
    ['POST', '/tls/reload'],
    ['GET', '/explain?bucket=b&key=k'],
    ['GET', '/credentials/'],
    ['GET', '//credentials'],
  ] as const) {
    const answer = await fetch(`${endpoint}${route}`, { method });
    expect([route, answer.status]).toEqual([route, 404]);
    expect(await answer.text()).not.toContain(KEY.secretAccessKey);
  }
  expect(rotations).toBe(0);
});

test('sec_admin_dns_rebinding: a page of another origin gets nothing', async () => {
  const answer = await rawGet('/status', { origin: 'http://evil.example', host: 'evil.example' });
  expect(answer).toBe(403);
});

async function rawGet(route: string, headers: Record<string, string>): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    request(`${endpoint}${route}`, { headers }, (incoming) => {
      incoming.resume();
      resolve(incoming.statusCode);
    })
      .on('error', reject)
      .end();
  });
}

test('the socket is for its owner and serves the commands', async () => {
  expect(statSync(socketPath(stateDirectory)).mode & 0o777).toBe(0o600);
  expect(await askServer(stateDirectory, { method: 'GET', path: '/credentials' })).toEqual(KEY);
  await askServer(stateDirectory, { method: 'POST', path: '/credentials/rotate' });
  expect(rotations).toBe(1);
});

test('a refusal reaches the command with its hint', async () => {
  actions.rotateRootKey = async () =>
    await Promise.reject(Object.assign(new Error('no quorum'), { hint: 'mount disks' }));
  await expect(askServer(stateDirectory, { method: 'POST', path: '/credentials/rotate' })).rejects.toMatchObject({
    message: 'no quorum',
    hint: 'mount disks',
  });
});

test('while the stores are not open status is 503 and metrics still answer', async () => {
  actions.status = async () => undefined;
  expect((await fetch(`${endpoint}/status`)).status).toBe(503);
  expect(await (await fetch(`${endpoint}/metrics`)).text()).not.toContain('margin_disks');
});

test('after stop nothing listens and commands see no server', async () => {
  await server.stop();
  await expect(fetch(`${endpoint}/-/live`)).rejects.toThrow();
  expect(await askServer(stateDirectory, { method: 'GET', path: '/status' })).toBeUndefined();
});

test('the socket of a killed server does not keep the next one from starting', async () => {
  await server.stop();
  // A listener that dies without unlinking leaves its file: made here by renaming it out of the closing one's reach.
  const stale = createServer();
  await new Promise<void>((resolve) => stale.listen(`${socketPath(stateDirectory)}.x`, resolve));
  const { renameSync } = await import('node:fs');
  renameSync(`${socketPath(stateDirectory)}.x`, socketPath(stateDirectory));
  await new Promise((resolve) => stale.close(resolve));
  expect(await askServer(stateDirectory, { method: 'GET', path: '/status' })).toBeUndefined();
  await server.start();
  expect(await askServer(stateDirectory, { method: 'GET', path: '/status' })).toMatchObject({ mode: 'online' });
});

test('a port in use is an error with address and port, and leaves nothing open', async () => {
  const port = Number(new URL(endpoint).port);
  const second = new AdminServer({
    actions,
    listen: [
      { host: '127.0.0.1', port: 0 },
      { host: '127.0.0.1', port },
    ],
    stateDirectory,
    log: silentLog,
  });
  await expect(second.start()).rejects.toMatchObject({ code: 'EADDRINUSE', port });
});
