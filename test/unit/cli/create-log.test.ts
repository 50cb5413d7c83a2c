import { execFileSync } from 'node:child_process';
import { constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createLog, type FlushableLog } from '../../../src/cli/create-log.ts';

const CONFIG = { level: 'info', format: 'json' } as Parameters<typeof createLog>[0];
const LIMIT_BYTES = 256 * 1024;
/** What a pipe holds, and what is on its way to it. */
const PIPE_BYTES = 256 * 1024;

let folder = '';
let reader = -1;
let writer = -1;
let logging: FlushableLog;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-log-'));
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  writer = openSync(path, 'w');
});

afterEach(async () => {
  let isFlushed = false;
  void logging.flushWithin(10_000).then(() => (isFlushed = true));
  await vi.waitFor(
    () => {
      readNow();
      expect(isFlushed).toBe(true);
    },
    { timeout: 30_000 },
  );
  // The pipe stays open: the log may still have a last line to write, and a closed one would end the process.
  rmSync(folder, { recursive: true, force: true });
});

/** What lies in the pipe now. */
function readNow(): string {
  let text = '';
  const bytes = Buffer.alloc(65_536);
  for (;;) {
    try {
      const count = readSync(reader, bytes);
      if (count === 0) return text;
      text += bytes.toString('utf8', 0, count);
    } catch {
      return text; // empty for now
    }
  }
}

test('a reader that stands still costs a bounded number of bytes; the lines it costs are counted when it goes on', async () => {
  logging = createLog(CONFIG, false, { fd: writer, waitingLimitBytes: LIMIT_BYTES });
  const { log } = logging;
  const lineCount = 20_000;
  for (let n = 0; n < lineCount; n++) log.info({ n }, 'x'.repeat(100));
  let text = '';
  const told = (): RegExpExecArray | null => /"lineCount":(\d+).*were dropped/.exec(text);
  await vi.waitFor(
    () => {
      text += readNow();
      expect(told()).not.toBeNull();
    },
    { timeout: 60_000 },
  );
  const kept = text.split('\n').filter((line) => line.includes('xxx')).length;
  expect(kept + Number(told()?.[1])).toBe(lineCount);
  expect(text.length).toBeLessThan(LIMIT_BYTES + PIPE_BYTES);
});

test('last words are given up when nobody reads them in time, and written when somebody does', async () => {
  logging = createLog(CONFIG, false, { fd: writer });
  const { log, flushWithin } = logging;
  log.info({}, 'heard');
  await flushWithin(10_000);
  expect(readNow()).toContain('heard');
  for (let n = 0; n < 3000; n++) log.info({ n }, 'x'.repeat(100));
  const beganMs = performance.now();
  await flushWithin(50);
  expect(performance.now() - beganMs).toBeLessThan(5000);
  await vi.waitFor(() => expect(readNow()).toContain('"n":2999'), { timeout: 60_000 });
});
