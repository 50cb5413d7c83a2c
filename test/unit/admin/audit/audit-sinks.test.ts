import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { AuditFile } from '../../../../src/admin/audit/audit-file.ts';
import { AuditWebhook } from '../../../../src/admin/audit/audit-webhook.ts';
import { silentLog } from '../../../../src/observability/log.ts';
import { RecordingLog } from '../../../support/recording-log.ts';
import { ManualClock } from '../../../support/simulated-clock.ts';

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'holdfast-audit-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a file that has grown is put aside, so many are kept, and no line is lost or torn at the border', async () => {
  const path = join(folder, 'audit.log');
  const file = new AuditFile({ path, sizeBytes: 65_536, keep: 3, log: silentLog });
  const lines = Array.from({ length: 2_000 }, (_, index) => JSON.stringify({ index, filler: 'x'.repeat(80) }));
  for (const line of lines) file.write(line);
  await file.close();
  const names = readdirSync(folder)
    .filter((name) => name.startsWith('audit.log'))
    .sort();
  expect(names).toEqual(['audit.log', 'audit.log.1', 'audit.log.2', 'audit.log.3']);
  const kept = ['audit.log.3', 'audit.log.2', 'audit.log.1', 'audit.log']
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
    .filter((line) => line !== '');
  expect(kept).toEqual(lines.slice(-kept.length));
  expect(file.droppedCount).toBe(0);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('what was there before a restart stays', async () => {
  const path = join(folder, 'audit.log');
  for (const line of ['first', 'second']) {
    const file = new AuditFile({ path, sizeBytes: 65_536, keep: 3, log: silentLog });
    file.write(line);
    await file.close();
  }
  expect(readFileSync(path, 'utf8')).toBe('first\nsecond\n');
});

test('a webhook gets all lines in order, in batches, with its token', async () => {
  const clock = new ManualClock();
  const posts: { url: string; body: string; headers: Headers }[] = [];
  const webhook = new AuditWebhook({
    url: 'http://receiver.example/audit',
    token: 'secret-token',
    clock,
    log: silentLog,
    fetch: async (url, init) => {
      posts.push({ url: url as string, body: init?.body as string, headers: new Headers(init?.headers) });
      return new Response('');
    },
  });
  for (let index = 0; index < 2_500; index++) webhook.write(`line ${index}`);
  expect(posts).toEqual([]);
  await clock.advance(1_000);
  await webhook.close();
  expect(posts.map(({ body }) => body.trimEnd().split('\n').length)).toEqual([1_000, 1_000, 500]);
  const lines = posts.flatMap(({ body }) => body.trimEnd().split('\n'));
  expect(lines).toEqual(Array.from({ length: 2_500 }, (_, index) => `line ${index}`));
  expect(posts[0]!.headers.get('authorization')).toBe('Bearer secret-token');
  expect(webhook.droppedCount).toBe(0);
});

test('a receiver that is away gets the lines when it is back; they are told of, and bounded', async () => {
  const clock = new ManualClock();
  const log = new RecordingLog();
  let isAway = true;
  const received: string[] = [];
  const webhook = new AuditWebhook({
    url: 'http://receiver.example/audit',
    token: '',
    clock,
    log,
    fetch: async (_url, init) => {
      if (isAway) return new Response('', { status: 503 });
      received.push(...(init!.body as string).trimEnd().split('\n'));
      return new Response('', { status: 200 });
    },
  });
  webhook.write('early');
  await clock.advance(1_000);
  await vi.waitFor(() => expect(log.lines.length).toBeGreaterThan(0), { timeout: 30_000 });
  for (let index = 0; index < 100_000; index++) webhook.write(`late ${index}`);
  isAway = false;
  for (let turn = 0; turn < 200 && received.length < 99_000; turn++) await clock.advance(1_000);
  await webhook.close();
  expect(webhook.droppedCount).toBe(1_000);
  expect(received).toHaveLength(99_001);
  expect(received.at(-1)).toBe('late 99999');
});

test('a receiver that never answers does not keep the server from ending', async () => {
  const webhook = new AuditWebhook({
    url: 'http://receiver.example/audit',
    token: '',
    clock: new ManualClock(),
    log: silentLog,
    fetch: async () => {
      throw new Error('refused');
    },
  });
  webhook.write('line');
  await webhook.close();
  expect(webhook.droppedCount).toBe(1);
});
