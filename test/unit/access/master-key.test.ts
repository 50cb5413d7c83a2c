import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  ensureMasterKey,
  isMasterKeyExported,
  markMasterKeyExported,
  masterKeyFile,
  readMasterKey,
} from '../../../src/access/master-key.ts';
import { makePrivateDirectory } from '../../../src/access/private-file.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-master-key-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a new key is 256 bits in a file only its owner can read, and stays', async () => {
  const key = await ensureMasterKey(folder, new SeededRandomness(1));
  expect(key).toHaveLength(32);
  expect(statSync(masterKeyFile(folder)).mode & 0o777).toBe(0o600);
  expect(await ensureMasterKey(folder, new SeededRandomness(2))).toEqual(key);
  expect(readdirSync(folder)).toEqual(['master.key']);
});

test('a file that holds anything else is refused, never replaced', async () => {
  writeFileSync(masterKeyFile(folder), 'not a key');
  await expect(ensureMasterKey(folder, new SeededRandomness(1))).rejects.toThrow('64 hex digits');
  await expect(readMasterKey(masterKeyFile(folder))).rejects.toThrow('64 hex digits');
});

test('exported counts for this key only', async () => {
  const key = await ensureMasterKey(folder, new SeededRandomness(1));
  expect(await isMasterKeyExported(folder, key)).toBe(false);
  await markMasterKeyExported(folder, key);
  expect(await isMasterKeyExported(folder, key)).toBe(true);
  expect(await isMasterKeyExported(folder, Buffer.alloc(32, 5))).toBe(false);
});

test('a state directory is made with its parents and cannot be entered by others', async () => {
  const nested = path.join(folder, 'a/b/c');
  await makePrivateDirectory(nested);
  expect(statSync(nested).mode & 0o777).toBe(0o700);
  await makePrivateDirectory(nested);
});
