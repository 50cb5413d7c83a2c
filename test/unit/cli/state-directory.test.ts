import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readRememberedCluster, rememberCluster, rememberDisks } from '../../../src/cli/state-directory.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-state-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

test('an added path is remembered before its disk is in the list, and forgotten when no disk of the list is there', async () => {
  await rememberCluster(folder, { clusterId: 'cluster', diskPaths: ['/a'], code: { k: 1, m: 0 } });
  const added = async (): Promise<unknown> => (await readRememberedCluster(folder))?.addedPaths;
  const disks = [{ diskId: 'a', path: '/a' }];
  await rememberDisks(folder, { disks, addedPath: '/new', listSequence: 7 });
  expect(await added()).toEqual(['/new']);
  await rememberDisks(folder, {
    disks: [...disks, { diskId: 'new', path: '/new' }],
    addedPath: undefined,
    listSequence: undefined,
  });
  expect(await added()).toEqual(['/new']);
  await rememberDisks(folder, { disks, addedPath: undefined, listSequence: undefined });
  expect(await added()).toEqual([]);
  expect((await readRememberedCluster(folder))?.listSequence).toBe(7);
});
