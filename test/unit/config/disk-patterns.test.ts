import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expandBraces, expandDiskPatterns } from '../../../src/config/disk-patterns.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-patterns-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test.each([
  ['/mnt/disk{1..3}', ['/mnt/disk1', '/mnt/disk2', '/mnt/disk3']],
  ['/d{3..1}', ['/d3', '/d2', '/d1']],
  ['/d{08..11}', ['/d08', '/d09', '/d10', '/d11']],
  ['/{a,b}/{1..2}', ['/a/1', '/a/2', '/b/1', '/b/2']],
  ['/{a,b{1..2}}', ['/a', '/b1', '/b2']],
  ['/x{,y}', ['/x', '/xy']],
  ['/plain', ['/plain']],
])('%s expands to %j', (pattern, expected) => {
  expect(expandBraces(pattern)).toEqual(expected);
});

test.each(['/d{1..3', '/d1..3}', '/d{1}', '/d{1..99999}', '/{1..40}{1..40}'])('%s is refused', (pattern) => {
  expect(() => expandBraces(pattern)).toThrow();
});

test('globs match directories in natural order, braces name what need not exist', async () => {
  for (const name of ['disk1', 'disk10', 'disk2', '.disk']) mkdirSync(path.join(folder, name));
  writeFileSync(path.join(folder, 'disk3'), '');
  expect(await expandDiskPatterns(['disk*'], folder)).toEqual(
    ['disk1', 'disk2', 'disk10'].map((name) => path.join(folder, name)),
  );
  expect(await expandDiskPatterns(['disk{1..2}', 'disk1', 'gone'], folder)).toEqual(
    ['disk1', 'disk2', 'gone'].map((name) => path.join(folder, name)),
  );
});
