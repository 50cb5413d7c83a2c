import { describe, expect, test } from 'vitest';
import type { SimulatedDiskFs } from '../../src/disk/simulated-disk-fs.ts';
import { isStoreError } from '../../src/errors/store-error.ts';
import { payloadsOf } from '../support/journal-cluster.ts';
import { type DiskProcess, DiskWorld } from '../support/disk-world.ts';
import { settle } from '../support/simulated-clock.ts';

interface Case {
  code: { k: number; m: number };
  old: readonly string[];
  /** Destroyed, and the places of the new ones. */
  lost: readonly string[];
  fresh: readonly string[];
}

const CASES: Record<string, Case> = {
  '1+1, one destroyed': { code: { k: 1, m: 1 }, old: ['/a', '/b'], lost: ['/b'], fresh: ['/n'] },
  '2+2, two destroyed': {
    code: { k: 2, m: 2 },
    old: ['/a', '/b', '/c', '/d'],
    lost: ['/c', '/d'],
    fresh: ['/n', '/o'],
  },
  '2+2, one of two that are away is destroyed': {
    code: { k: 2, m: 2 },
    old: ['/a', '/b', '/c', '/d'],
    lost: ['/d'],
    fresh: ['/n'],
  },
};

interface World {
  it: DiskWorld;
  ids: Map<string, string>;
  /** The destroyed disks as they were: the declaration may be false. */
  stale: Map<string, SimulatedDiskFs>;
  acknowledged: string[];
}

/** Disks with a history of which the last frame is undecided, and fewer than m + 1 of them left. */
async function world({ code, old, lost, fresh }: Case, seed: number): Promise<World> {
  const it = await DiskWorld.format(code, old, { seed });
  const first = await it.start(old);
  const ids = new Map(first.disks.disks.map((disk) => [disk.path!, disk.id]));
  const acknowledged = ['one', 'two', 'three'];
  for (const payload of acknowledged) await first.journal.append(Buffer.from(payload.padEnd(9000)));
  await it.stop(first);
  it.crash('keep-all');
  const gone = [...lost, ...(lost.length < code.m ? ['/c'] : [])];
  const stale = new Map<string, SimulatedDiskFs>();
  for (const [index, path] of gone.entries()) {
    it.move(path, `/stale${index}`);
    stale.set(path, it.at.get(`/stale${index}`)!);
    it.at.delete(`/stale${index}`);
  }
  for (const path of fresh) it.makeEmpty(path);
  return { it, ids, stale, acknowledged };
}

const pathsOf = (one: Case): string[] => [...one.old, ...one.fresh];

async function declare(one: Case, world: World, isOver: () => boolean): Promise<void> {
  const process = await world.it.start(pathsOf(one));
  const names = one.lost.map((path) => world.ids.get(path)!);
  const left = process.disks.disks.filter(({ id }) => names.includes(id));
  if (left.length > 0) await world.it.withTime(process.manager.declareLost({ names, newPaths: one.fresh }));
  if (isOver()) return;
  await process.journal.append(Buffer.from('after'));
  if (isOver()) return;
  world.acknowledged.push('after');
  await world.it.stop(process);
}

async function startOn(world: World, paths: readonly string[], least = 0): Promise<DiskProcess | undefined> {
  return world.it.start(paths, { leastListSequence: least }).catch((error: unknown) => {
    if (!isStoreError(error, 'QuorumLost', 'FormatRefused')) throw error;
    return undefined;
  });
}

/** What was acknowledged is shown by every start that is allowed, whatever old disks lie beside the present ones. */
async function check(one: Case, world: World, what: string): Promise<void> {
  const { it, stale } = world;
  const back = [...stale.keys()];
  const shownOn = async (label: string): Promise<boolean> => {
    const process = await startOn(world, pathsOf(one));
    if (process === undefined) return false;
    const shown = (await payloadsOf(process.journal)).map((payload) => payload.trim());
    // Without an epoch the end of the chain is known to be open, and answered 503.
    for await (const { payload } of process.journal.pendingFrames()) shown.push(payload.toString().trim());
    expect(shown.slice(0, world.acknowledged.length), `${what}, ${label}`).toEqual(world.acknowledged);
    await it.stop(process);
    it.crash('keep-all');
    return true;
  };
  expect(await shownOn('without the old ones'), what).toBe(true);
  for (const path of back) it.at.set(path, stale.get(path)!.crash({ random: it.random, mode: 'keep-all' }));
  expect(await shownOn('with the old ones'), what).toBe(true);
  for (const path of back) it.at.delete(path);
}

describe.each(Object.keys(CASES))('declaring disks lost (%s)', (name) => {
  const one = CASES[name]!;

  test('survives a crash at every call that changes a disk, and the same command then ends the work', async () => {
    let crashes = 0;
    for (let nth = 1; ; nth += one.code.m) {
      const it = await world(one, nth);
      let calls = 0;
      const state = { isOver: false };
      let crashed: () => void = () => {};
      const hasCrashed = new Promise<void>((resolve) => (crashed = resolve));
      const action = (): void => {
        if (state.isOver || ++calls !== nth) return;
        state.isOver = true;
        it.it.crash((['keep-all', 'drop-all', 'random', 'torn'] as const)[nth % 4]!);
        crashed();
      };
      it.it.onFileSystem = (faults) =>
        faults.addFault({ operation: 'mutation', times: Infinity, effect: { kind: 'do', action } });
      const ended = declare(one, it, () => state.isOver).catch((error: unknown) => {
        if (!state.isOver) throw error;
      });
      await Promise.race([hasCrashed, ended]);
      await settle();
      it.it.onFileSystem = () => {};
      if (state.isOver) {
        crashes++;
        const frozen: World = { ...it, acknowledged: [...it.acknowledged] };
        await check(one, frozen, `crash at call ${nth}`);
        await declare(one, frozen, () => false);
        it.it.crash('keep-all');
        it.acknowledged = frozen.acknowledged;
      } else {
        it.it.crash('keep-all');
      }
      await check(one, it, `after the command, crash at call ${nth}`);
      if (!state.isOver) break;
    }
    expect(crashes).toBeGreaterThan(15);
  }, 240_000);

  test('is known to the start that is given the old disks alone, which else would show the past, and never write', async () => {
    const it = await world(one, 7);
    await declare(one, it, () => false);
    it.it.crash('keep-all');
    const process = await it.it.start(pathsOf(one));
    const { listSequence, configuration } = process.journal;
    expect(listSequence).toBeGreaterThan(0);
    expect(configuration?.lostDiskIds).toEqual(one.lost.map((path) => it.ids.get(path)));
    await it.it.stop(process);
    it.it.crash('keep-all');

    it.it.at.clear();
    for (const path of it.stale.keys()) {
      it.it.at.set(path, it.stale.get(path)!.crash({ random: it.it.random, mode: 'keep-all' }));
    }
    expect(await startOn(it, one.old, listSequence)).toBeUndefined();
    const past = await startOn(it, one.old);
    expect(past?.journal.isWritable ?? false).toBe(false);
    if (past !== undefined) await it.it.stop(past);
  });

  test('is refused for disks that are there, for more than m, and when an ordinary replacement works', async () => {
    const it = await world(one, 9);
    const process = await it.it.start(pathsOf(one));
    const present = it.ids.get('/a')!;
    const refused = (names: string[]): Promise<unknown> =>
      expect(process.manager.declareLost({ names, newPaths: [] })).rejects.toMatchObject({ code: 'FormatRefused' });
    await refused([present]);
    await refused([...it.ids.values()]);
    const lost = it.ids.get(one.lost[0]!)!;
    await refused([lost, lost]);
    await it.it.stop(process);
    it.it.crash('keep-all');
    for (const path of it.stale.keys()) {
      if (path !== one.lost[0])
        it.it.at.set(path, it.stale.get(path)!.crash({ random: it.it.random, mode: 'keep-all' }));
    }
    if (one.code.m === 1) return;
    const enough = await it.it.start(pathsOf(one));
    await expect(enough.manager.declareLost({ names: [lost], newPaths: ['/n'] })).rejects.toThrow(
      /Leave out|are enough/,
    );
    await it.it.stop(enough);
  });
});
