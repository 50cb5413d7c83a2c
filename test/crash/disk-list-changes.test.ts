import { describe, expect, test } from 'vitest';
import { isStoreError } from '../../src/errors/store-error.ts';
import { payloadsOf } from '../support/journal-cluster.ts';
import { type DiskProcess, DiskWorld } from '../support/disk-world.ts';
import { settle } from '../support/simulated-clock.ts';

const CODE = { k: 2, m: 1 };
/** `/stale`: where the old disk turns up again after it was replaced. */
const PATHS = ['/a', '/b', '/c', '/d', '/stale'];

interface History {
  invoked: string[];
  acknowledged: string[];
  /** How many of the steps have ended. */
  stepsDone: number;
  isOver: boolean;
}

async function append({ journal }: DiskProcess, history: History): Promise<void> {
  const payload = `${history.invoked.length}`;
  history.invoked.push(payload);
  await journal.append(Buffer.from(payload));
  if (!history.isOver) history.acknowledged.push(payload);
}

const pathsOf = ({ disks }: DiskProcess): (string | undefined)[] => disks.disks.map((disk) => disk.lastPath);

/** Each can be done again after a crash at any point of it, and does nothing when it was done. */
const STEPS: ((process: DiskProcess) => Promise<unknown>)[] = [
  async ({ manager, disks }) => {
    if (disks.disks.some(({ path, state }) => path === '/b' && state !== 'missing')) return;
    await manager.replace({ name: disks.disks.find(({ state }) => state === 'missing')!.id, newPath: '/b' });
  },
  async ({ manager, disks }) => {
    if (!disks.disks.some(({ path }) => path === '/d')) await manager.add('/d');
  },
  async ({ manager, disks }) => {
    const disk = disks.disks.find(({ path }) => path === '/a');
    if (disk === undefined) return;
    await manager.drain('/a');
    await manager.remove('/a');
  },
];

async function world(seed: number): Promise<{ it: DiskWorld; oldId: string }> {
  const it = await DiskWorld.format(CODE, ['/a', '/b', '/c'], { seed });
  const first = await it.start(PATHS);
  const oldId = first.disks.disks[1]!.id;
  await first.journal.append(Buffer.from('first'));
  await it.stop(first);
  it.crash('keep-all');
  it.move('/b', '/stale');
  it.makeEmpty('/b');
  it.makeEmpty('/d');
  const kept = it.at.get('/stale')!;
  it.at.delete('/stale');
  staleOf.set(it, kept);
  return { it, oldId };
}

const staleOf = new WeakMap<DiskWorld, NonNullable<ReturnType<DiskWorld['at']['get']>>>();

async function run(it: DiskWorld, history: History): Promise<void> {
  const process = await it.start(PATHS);
  await append(process, history);
  for (const step of STEPS.slice(history.stepsDone)) {
    await it.withTime(step(process));
    if (history.isOver) return;
    history.stepsDone++;
    await append(process, history);
  }
  await it.stop(process);
}

/** Every payload that was acknowledged, on all disks and without any one of those in the list. */
async function check(it: DiskWorld, history: History, oldId: string, what: string): Promise<void> {
  const stale = staleOf.get(it)!;
  it.at.set('/stale', stale);
  let listed: string[] = [];
  for (const absent of [undefined, ...PATHS]) {
    const away = absent === undefined ? undefined : it.at.get(absent);
    if (absent !== undefined) it.at.delete(absent);
    const isNeeded = absent === undefined || listed.includes(absent);
    const process = await it.start(PATHS).catch((error: unknown) => {
      // The old list has three disks: two of them start it.
      if (isStoreError(error, 'QuorumLost', 'FormatRefused') && !isNeeded) return undefined;
      throw new Error(`${what}, without ${absent}`, { cause: error });
    });
    if (process !== undefined) {
      const shown = await payloadsOf(process.journal);
      expect(shown.slice(0, 1 + history.acknowledged.length), `${what}, without ${absent}`).toEqual([
        'first',
        ...history.acknowledged,
      ]);
      if (absent === undefined) {
        listed = process.disks.disks.flatMap(({ path }) => path ?? []);
        if (history.stepsDone > 0) expect(process.disks.byId(oldId), what).toBeUndefined();
      }
      await it.stop(process);
    }
    it.crash('keep-all');
    if (absent !== undefined && away !== undefined)
      it.at.set(absent, away.crash({ random: it.random, mode: 'keep-all' }));
  }
  it.at.delete('/stale');
}

describe('replacing, adding and removing a disk', () => {
  test('survives a crash at every call that changes a disk, and the same commands then end the work', async () => {
    let crashes = 0;
    for (let nth = 1; ; nth += 1) {
      const { it, oldId } = await world(nth);
      const history: History = { invoked: [], acknowledged: [], stepsDone: 0, isOver: false };
      let calls = 0;
      let crashed: () => void = () => {};
      const hasCrashed = new Promise<void>((resolve) => (crashed = resolve));
      const action = (): void => {
        if (history.isOver || ++calls !== nth) return;
        history.isOver = true;
        it.crash((['keep-all', 'drop-all', 'random', 'torn'] as const)[nth % 4]!);
        crashed();
      };
      it.onFileSystem = (faults) =>
        faults.addFault({ operation: 'mutation', times: Infinity, effect: { kind: 'do', action } });
      const ended = run(it, history).catch((error: unknown) => {
        if (!history.isOver) throw error;
      });
      await Promise.race([hasCrashed, ended]);
      if (!history.isOver) {
        // The removed disk was there: its journal is no journal any more.
        expect(await it.at.get('/a')!.stat('journal/state')).toBeUndefined();
        expect(await it.at.get('/b')!.stat('journal/state')).toBeDefined();
        break;
      }
      crashes++;
      await settle();
      it.onFileSystem = () => {};
      const frozen = { ...history, acknowledged: [...history.acknowledged] };
      await check(it, frozen, oldId, `crash at call ${nth}`);
      // Whatever was under way ends when the same commands are given again.
      const again: History = { ...frozen, invoked: [], acknowledged: [], isOver: false };
      await run(it, again);
      expect(again.stepsDone).toBe(STEPS.length);
      it.crash('keep-all');
      const last = await it.start(PATHS);
      expect(pathsOf(last), `crash at call ${nth}`).toEqual(['/b', '/c', '/d']);
      expect((await payloadsOf(last.journal)).slice(0, 1 + frozen.acknowledged.length)).toEqual([
        'first',
        ...frozen.acknowledged,
      ]);
      await it.stop(last);
    }
    expect(crashes).toBeGreaterThan(80);
  }, 240_000);
});
