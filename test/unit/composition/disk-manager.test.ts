import { afterEach, expect, test } from 'vitest';
import { isStoreError } from '../../../src/errors/store-error.ts';
import { readState } from '../../../src/metadata-store/journal/journal-state.ts';
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

const refusalOf = (work: Promise<unknown>): Promise<unknown> =>
  world.withTime(work).then(
    () => undefined,
    (error: unknown) => error,
  );

test('what is mounted at the path by the time its identity is written must be what was looked at', async () => {
  world = await DiskWorld.format({ k: 2, m: 1 }, PATHS);
  process = await world.start(PATHS);
  world.move('/c', undefined);
  await world.look();
  world.makeEmpty('/c');
  const { device } = (await world.at.get('/c')!.stat(''))!;
  const { id } = process.disks.disks[2]!;
  const request = { name: id, newPath: '/c', isOnlyLost: true };
  const refusal = await refusalOf(process.manager.replace({ ...request, onDevice: device + 1 }));
  expect(String(refusal)).toMatch(/another file system is at \/c now/);
  expect(process.journal.configuration?.diskIds).toContain(id);
  await world.withTime(process.manager.replace({ ...request, onDevice: device }));
  expect(process.journal.configuration?.diskIds).not.toContain(id);
});

test('the list does not become shorter than a storage class is wide', async () => {
  world = await DiskWorld.format({ k: 2, m: 1 }, [...PATHS, '/d']);
  world.storageClasses = [{ name: 'ARCHIVE', code: { k: 3, m: 1 } }];
  process = await world.start([...PATHS, '/d']);
  expect(String(await refusalOf(process.manager.drain('/d')))).toMatch(/3\+1 of storage class ARCHIVE needs 4/);
  await restart([...PATHS, '/d']);
});

test('declaring disks lost raises a store of format 1, for the former version would use those disks again', async () => {
  world = await DiskWorld.format({ k: 1, m: 1 }, ['/a', '/b'], { formatVersion: 1 });
  process = await world.start(['/a', '/b']);
  await world.withTime(process.journal.append(Buffer.from('one')));
  expect(process.journal.promisedFormat).toBe(1);
  const lostId = process.disks.disks[1]!.id;
  world.move('/b', undefined);
  await world.look();
  world.makeEmpty('/new');
  await world.withTime(process.manager.declareLost({ names: [lostId], newPaths: ['/new'] }));
  for (const path of ['/a', '/new']) {
    expect(await readState(world.at.get(path)!)).toMatchObject({ format: 2 });
  }
  expect(process.journal.promisedFormat).toBe(2);
});
