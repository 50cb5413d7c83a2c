import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const LAUNCHER = join(import.meta.dirname, '../../bin/holdfast.cjs');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-launcher-'));
  mkdirSync(join(folder, 'bin'));
  copyFileSync(LAUNCHER, join(folder, 'bin/holdfast.cjs'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function build(main: string): void {
  mkdirSync(join(folder, 'dist'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(join(folder, 'dist/main.js'), main);
}

/** Threads of a process that has used libuv's pool once. */
const COUNT_THREADS = `
import { readFileSync, stat } from 'node:fs';
stat('.', () => console.log(/Threads:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1], process.argv[2]));`;

function run(environment: Record<string, string>): string[] {
  const env = { ...process.env, ...environment };
  if (environment['UV_THREADPOOL_SIZE'] === undefined) delete env['UV_THREADPOOL_SIZE'];
  const output = execFileSync(process.execPath, [join(folder, 'bin/holdfast.cjs'), 'serve'], { env, encoding: 'utf8' });
  return output.trim().split(' ');
}

test.runIf(existsSync('/proc/self/status'))('gives libuv 128 threads before anything uses it, or what is set', () => {
  build(COUNT_THREADS);
  const [few, argument] = run({ UV_THREADPOOL_SIZE: '4' });
  const [many] = run({});
  expect(Number(many) - Number(few)).toBe(124);
  expect(argument).toBe('serve');
});

test('says how to build when it is not built', () => {
  const { status, stderr } = spawnSync(process.execPath, [join(folder, 'bin/holdfast.cjs')], { encoding: 'utf8' });
  expect(status).toBe(1);
  expect(stderr).toMatch(/npm run build/);
});
