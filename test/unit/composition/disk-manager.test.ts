import { afterEach, expect, test } from 'vitest';
import { isStoreError } from '../../../src/errors/store-error.ts';
import { type DiskProcess, DiskWorld } from '../../support/disk-world.ts';

const PATHS = ['/a', '/b', '/c'];
let world: DiskWorld;
let process: DiskProcess;

afterEach(async () => {
  await world.stop(process);
});

/** Disk c is lost, its replacement at /new is in the list, and the next start looks at the old paths only. */
async function forgotten(): Promise<{ newId: string }> {
  world = await DiskWorld.format({ k: 2, m: 1 }, PATHS);
  process = await world.start(PATHS);
  world.move('/c', undefined);
  await world.look();
  world.makeEmpty('/new');
  const { diskId } = await world.withTime(
    process.manager.replace({ name: process.disks.disks[2]!.id, newPath: '/new' }),
  );
  await restart();
  expect(process.disks.byId(diskId)?.state).toBe('missing');
  return { newId: diskId };
}

async function restart(paths = PATHS): Promise<void> {
  await world.stop(process);
  world.crash('keep-all');
  process = await world.start(paths);
}

test.each([
  ['replace', '/c', '/new'],
  ['replace in its place', '/new', undefined],
  ['add', undefined, '/new'],
])('%s takes up a disk of the list whose path was forgotten', async (_, name, newPath) => {
  const { newId } = await forgotten();
  const { manager, disks } = process;
  const answer = name === undefined ? manager.add(newPath) : manager.replace({ name, newPath });
  expect(await world.withTime(answer)).toMatchObject({ diskId: newId, path: '/new' });
  expect(disks.disks.map(({ path }) => path)).toEqual(['/a', '/b', '/new']);
  for (let i = 0; i < 20; i++) await world.look();
  expect(disks.byId(newId)?.state).toBe('online');
  expect(process.journal.configuration?.diskIds).toHaveLength(3);
});

test('a disk of the list does not replace another that is lost', async () => {
  const { newId } = await forgotten();
  const lostId = process.disks.disks.find(({ path }) => path === '/a')!.id;
  world.move('/a', undefined);
  await world.look();
  const refusal: unknown = await world
    .withTime(process.manager.replace({ name: lostId, newPath: '/new' }))
    .catch((error: unknown) => error);
  expect(isStoreError(refusal, 'FormatRefused')).toBe(true);
  expect(String(refusal)).toMatch(/disk 2 of the list; disk 0 is still lost/);
  expect(process.journal.configuration?.diskIds).toEqual(expect.arrayContaining([lostId, newId]));
});

test('the path of a new disk is remembered before the list names it', async () => {
  world = await DiskWorld.format({ k: 2, m: 1 }, PATHS);
  process = await world.start(PATHS);
  world.makeEmpty('/new');
  const listed: [string | undefined, number | undefined][] = [];
  world.onRemember = (addedPath) => listed.push([addedPath, process.journal.configuration?.diskIds.length]);
  await world.withTime(process.manager.add('/new'));
  expect(listed).toEqual([
    ['/new', 3],
    ['/new', 4],
  ]);
});

test('a disk that is added again is not drained by the duty of its removal', async () => {
  world = await DiskWorld.format({ k: 2, m: 1 }, [...PATHS, '/d']);
  process = await world.start([...PATHS, '/d']);
  await world.withTime(process.manager.drain('/d'));
  const duties = new Map(world.documents);
  await world.withTime(process.manager.remove('/d'));
  // As a crash leaves it that came after the change of the list.
  for (const [name, body] of duties) world.documents.set(name, body);
  await restart();
  const { diskId } = await world.withTime(process.manager.add('/d'));
  await restart([...PATHS, '/d']);
  expect(process.disks.byId(diskId)?.isDraining).toBe(false);
});

test('a disk that was declared lost never comes into the list again, also when it holds no shards', async () => {
  world = await DiskWorld.format({ k: 1, m: 1 }, ['/a', '/b']);
  process = await world.start(['/a', '/b']);
  const lostId = process.disks.disks[1]!.id;
  world.move('/b', '/back');
  await world.look();
  world.makeEmpty('/new');
  await world.withTime(process.manager.declareLost({ names: [lostId], newPaths: ['/new'] }));
  const refusal: unknown = await world.withTime(process.manager.add('/back')).catch((error: unknown) => error);
  expect(String(refusal)).toMatch(/declared lost: it never counts again/);
  expect(process.journal.configuration?.diskIds).not.toContain(lostId);
});

test('what is replaced only when it is lost is left alone when it is back', async () => {
  world = await DiskWorld.format({ k: 2, m: 1 }, PATHS);
  process = await world.start(PATHS);
  world.makeEmpty('/new');
  const request = { name: process.disks.disks[2]!.id, newPath: '/new', isOnlyLost: true };
  const refusal: unknown = await world.withTime(process.manager.replace(request)).catch((error: unknown) => error);
  expect(isStoreError(refusal, 'FormatRefused')).toBe(true);
  expect(process.disks.disks.map(({ path, isDraining }) => [path, isDraining])).toEqual(
    PATHS.map((path) => [path, false]),
  );
});
