import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DiskState } from '../../../src/disk/disk-set.ts';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { formatDisks } from '../../../src/disk/format-disks.ts';
import { LocalDiskSet } from '../../../src/disk/local-disk-set.ts';
import type { LocalDiskSetOptions } from '../../../src/disk/local-disk-set-options.ts';
import { RealDiskFs } from '../../../src/disk/real-disk-fs.ts';
import { isStoreError, StoreError } from '../../../src/errors/store-error.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { SystemClock, SystemRandomness } from '../../../src/observability/system-clock.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const clock = new SystemClock();
const random = new SystemRandomness();
let folder: string;
let sets: LocalDiskSet[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-disk-set-'));
  sets = [];
});
afterEach(async () => {
  await Promise.all(sets.map((set) => set.close()));
  rmSync(folder, { recursive: true, force: true });
});

async function format(count: number, name = 'd'): Promise<string[]> {
  const paths = Array.from({ length: count }, (_, i) => join(folder, `${name}${i}`));
  const code = { k: Math.max(1, count - 1), m: Math.min(1, count - 1) };
  await formatDisks({ paths, code, random, clock, createMissing: true, initializeDisk: async () => {} });
  return paths;
}

async function openSet(paths: string[], options: Partial<LocalDiskSetOptions> = {}): Promise<LocalDiskSet> {
  const set = await LocalDiskSet.open({
    paths,
    clock,
    random,
    log: silentLog,
    reserveBytes: 0,
    watchIntervalMs: 10,
    health: { firstProbeDelayMs: 20, longestProbeDelayMs: 100, strikeIntervalMs: 10 },
    ...options,
  });
  sets.push(set);
  return set;
}

const statesOf = (set: LocalDiskSet): DiskState[] => set.disks.map((disk) => disk.state);

/** Waits on a condition with a bound. */
async function until(condition: () => boolean, what: string): Promise<void> {
  const endMs = clock.monotonicMs() + 10_000;
  while (!condition()) {
    if (clock.monotonicMs() > endMs) expect.fail(`did not happen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function refusalOf(promise: Promise<unknown>): Promise<StoreError> {
  const error: unknown = await promise.then(
    () => expect.unreachable('should have been refused'),
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(StoreError);
  return error as StoreError;
}

describe('LocalDiskSet.open', () => {
  test('knows disks by identity, in any order and at any path', async () => {
    const paths = await format(3);
    const before = await openSet(paths);
    const ids = before.disks.map((disk) => disk.id);
    await before.close();
    renameSync(paths[0]!, join(folder, 'elsewhere'));
    renameSync(paths[1]!, paths[0]!);
    const set = await openSet([paths[2]!, join(folder, 'elsewhere'), paths[0]!], {
      expectedClusterId: before.clusterId,
    });
    expect(set.disks.map((disk) => [disk.id, disk.index, disk.path])).toEqual([
      [ids[0], 0, join(folder, 'elsewhere')],
      [ids[1], 1, paths[0]],
      [ids[2], 2, paths[2]],
    ]);
    expect(statesOf(set)).toEqual(['online', 'online', 'online']);
    expect(set.disks.every((disk) => disk.acceptsData && disk.space.freeBytes > 0)).toBe(true);
    expect(set.cluster.code).toEqual({ k: 2, m: 1 });
  });

  test('a disk that no path carries is missing; its calls say so', async () => {
    const paths = await format(3);
    rmSync(paths[1]!, { recursive: true });
    const set = await openSet(paths);
    expect(statesOf(set)).toEqual(['online', 'missing', 'online']);
    expect(set.disks[1]).toMatchObject({ path: undefined, acceptsData: false });
    await expect(set.disks[1]!.fs.list('')).rejects.toSatisfy((error) => isStoreError(error, 'DiskMissing'));
    expect(existsSync(paths[1]!)).toBe(false);
  });

  test('refuses when no directory is a disk, and formats nothing', async () => {
    const paths = [join(folder, 'a'), join(folder, 'b')];
    for (const path of paths) mkdirSync(path);
    const refusal = await refusalOf(openSet(paths));
    expect(refusal.code).toBe('FormatRefused');
    expect(refusal.message).toMatch(/a: it has no disk\.json; .*b: it has no disk\.json/);
    expect(refusal.hint).toMatch(/holdfast format/);
    expect(paths.flatMap((path) => readdirSync(path))).toEqual([]);
  });

  test('refuses a cluster that is not the remembered one, and two clusters at once', async () => {
    const one = await format(2, 'one');
    const two = await format(2, 'two');
    const expected = (await openSet(one)).clusterId;
    await sets[0]!.close();
    expect((await refusalOf(openSet(two, { expectedClusterId: expected }))).message).toMatch(
      /no given directory belongs/,
    );
    expect((await refusalOf(openSet([one[0]!, two[1]!]))).message).toMatch(/belongs to cluster .* to /);
    const set = await openSet([one[0]!, two[1]!], { expectedClusterId: expected });
    expect(statesOf(set)).toEqual(['online', 'missing']);
  });

  test('refuses both copies of a cloned disk and names them; takes the one that is left', async () => {
    const paths = await format(3);
    const clone = join(folder, 'clone');
    cpSync(paths[1]!, clone, { recursive: true });
    const set = await openSet([...paths, clone]);
    expect(statesOf(set)).toEqual(['online', 'foreign', 'online']);
    expect(set.disks[1]!.stateReason).toContain(`${paths[1]} and ${clone}`);
    expect(set.disks[1]!.acceptsData).toBe(false);
    rmSync(clone, { recursive: true });
    await until(() => set.disks[1]!.state === 'returning', 'the copy that is left returns');
    expect(set.disks[1]!.path).toBe(paths[1]);
  });

  test('refuses formatting that was interrupted, but starts without one half-formatted disk', async () => {
    const paths = await format(3);
    rmSync(join(paths[0]!, 'format-complete'));
    const set = await openSet(paths);
    expect(statesOf(set)).toEqual(['foreign', 'online', 'online']);
    await set.close();
    rmSync(join(paths[1]!, 'format-complete'));
    const refusal = await refusalOf(openSet(paths));
    expect(refusal.message).toMatch(/formatting was interrupted: .*d0, .*d1/);
  });

  test('refuses a newer format by its version, and goes on without a damaged identity', async () => {
    const paths = await format(3);
    writeFileSync(join(paths[1]!, 'disk.json'), 'garbage');
    const set = await openSet(paths);
    expect(statesOf(set)).toEqual(['online', 'missing', 'online']);
    await set.close();
    writeFileSync(join(paths[1]!, 'disk.json'), '{"formatVersion": 2}');
    expect((await refusalOf(openSet(paths))).message).toMatch(/d1\/disk\.json has disk format version 2/);
  });

  test('a second opener is refused with the path named, and the lock dies with its process', async () => {
    const paths = await format(2);
    const set = await openSet(paths);
    const refusal = await refusalOf(openSet([...paths].reverse()));
    expect(refusal.code).toBe('NotReady');
    expect(refusal.message).toContain(paths[0]);
    await set.close();

    const sqlite = createRequire(import.meta.url).resolve('better-sqlite3');
    const script = `const D = require(${JSON.stringify(sqlite)}); const d = new D(${JSON.stringify(join(paths[1]!, 'lock'))});
      d.pragma('journal_mode = MEMORY'); d.exec('BEGIN EXCLUSIVE'); console.log('locked'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await new Promise((resolve) => child.stdout.once('data', resolve));
      expect((await refusalOf(openSet(paths))).message).toContain(`${paths[1]} is in use`);
      const closed = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await closed;
    } finally {
      child.kill('SIGKILL');
    }
    expect(statesOf(await openSet(paths))).toEqual(['online', 'online']);
    expect(readdirSync(paths[1]!).sort()).toEqual(['disk.json', 'format-complete', 'lock']);
  });
});

describe('a running LocalDiskSet', () => {
  test('a directory renamed away is missing after one look, returns when it is put back, and is online when level', async () => {
    const paths = await format(3);
    const time = new ManualClock();
    const set = await openSet(paths, { clock: time, watchIntervalMs: 250 });
    const changes: string[] = [];
    set.onChange((disk, before) => changes.push(`${disk.index} ${before} ${disk.state}`));
    renameSync(paths[2]!, `${paths[2]}.gone`);
    await time.advance(250);
    await until(() => set.disks[2]!.state === 'missing', 'missing after one interval');
    expect(existsSync(paths[2]!)).toBe(false);
    renameSync(`${paths[2]}.gone`, paths[2]!);
    await time.advance(250);
    await until(() => set.disks[2]!.state === 'returning', 'returning after one interval');
    expect(set.disks[2]!.acceptsData).toBe(false);
    expect(await set.disks[2]!.fs.list('')).toContain('disk.json');
    set.markLevel(set.disks[2]!.id);
    expect(changes).toEqual(['2 online missing', '2 missing returning', '2 returning online']);
    set.markBehind(set.disks[2]!.id, 'missed a batch');
    expect(set.disks[2]).toMatchObject({ state: 'returning', stateReason: 'missed a batch' });
  });

  test('rm -rf of the directory, or of what is in it, is noticed; an empty directory is never adopted', async () => {
    const paths = await format(3);
    const set = await openSet(paths);
    rmSync(paths[0]!, { recursive: true });
    for (const name of readdirSync(paths[1]!)) rmSync(join(paths[1]!, name), { recursive: true });
    await until(() => set.disks[0]!.state === 'missing' && set.disks[1]!.state === 'missing', 'both missing');
    mkdirSync(paths[0]!);
    let looks = 0;
    const spy = await openSetWithLooks(() => looks++);
    await until(() => looks > 5, 'several looks');
    await spy.close();
    expect(statesOf(set)).toEqual(['missing', 'missing', 'online']);
    expect([readdirSync(paths[0]!), readdirSync(paths[1]!)]).toEqual([[], []]);
  });

  /** A set of one disk beside the tested one: after some of its looks the other has looked as often. */
  async function openSetWithLooks(onLook: () => void): Promise<LocalDiskSet> {
    const [path] = await format(1, 'beside');
    const makeFs = (root: string, bound: object): RealDiskFs => {
      const fs = new RealDiskFs(root, bound);
      const statSpace = fs.statSpace.bind(fs);
      fs.statSpace = () => {
        onLook();
        return statSpace();
      };
      return fs;
    };
    return openSet([path!], { makeFs });
  }

  test('names are not made in a directory that took the place of the disk before the watcher saw it', async () => {
    const paths = await format(2);
    const set = await openSet(paths, { watchIntervalMs: 60_000 });
    renameSync(paths[0]!, `${paths[0]}.gone`);
    mkdirSync(paths[0]!);
    const error: unknown = await set.disks[0]!.fs.createDurable('a').catch((failure: unknown) => failure);
    expect(isStoreError(error, 'DiskMissing')).toBe(true);
    await set.disks[1]!.fs.createDurable('a');
    expect(readdirSync(paths[0]!)).toEqual([]);
    expect(statesOf(set)).toEqual(['missing', 'online']);
  });

  test('a disk comes back at another of the given paths; a foreign one or a copy of a live one stays out', async () => {
    const paths = await format(3);
    const strangers = await format(1, 'stranger');
    const spare = join(folder, 'spare');
    const set = await openSet([...paths, spare]);
    cpSync(paths[0]!, spare, { recursive: true });
    renameSync(paths[1]!, join(folder, 'kept'));
    renameSync(strangers[0]!, paths[1]!);
    await until(() => set.disks[1]!.state === 'missing', 'missing');
    rmSync(spare, { recursive: true });
    renameSync(join(folder, 'kept'), spare);
    await until(() => set.disks[1]!.state === 'returning', 'returning at the spare path');
    expect(set.disks.map((disk) => disk.path)).toEqual([paths[0], spare, paths[2]]);
    expect(set.disks[0]!.state).toBe('online');
  });

  test('a disk that another process took while it was away stays out until that one lets go', async () => {
    const paths = await format(2);
    const set = await openSet(paths);
    const away = `${paths[0]}.gone`;
    renameSync(paths[0]!, away);
    await until(() => set.disks[0]!.state === 'missing', 'missing');
    const other = await openSet([away]);
    renameSync(away, paths[0]!);
    await until(() => other.disks[0]!.state === 'missing' || set.disks[0]!.state === 'returning', 'one of them has it');
    await other.close();
    await until(() => set.disks[0]!.state === 'returning', 'returning');
  });

  test('a reported vanished file makes the disk missing at once and returning when its identity is seen', async () => {
    const set = await openSet(await format(2));
    set.reportFailure(set.disks[0]!.id, { operation: 'stillThere', error: new StoreError('DiskMissing', 'file gone') });
    expect(set.disks[0]!.state).toBe('missing');
    await until(() => set.disks[0]!.state === 'returning', 'returning');
  });
});

describe('the list of disks changes', () => {
  const code = { k: 2, m: 1 };

  test('an empty directory is adopted on command only, is online when the list names it, and the replaced disk is let go', async () => {
    const paths = await format(3);
    const set = await openSet(paths);
    const [a, b, c] = set.disks.map((disk) => disk.id) as [string, string, string];
    const states: string[] = [];
    set.onChange((disk) => states.push(`${disk.id === b ? 'old' : 'new'} ${disk.state}`));
    rmSync(paths[1]!, { recursive: true });
    mkdirSync(paths[1]!);
    await until(() => set.disks[1]!.state === 'missing', 'missing');
    await until(() => set.unusedPaths().some(({ path, isEmpty }) => path === paths[1] && isEmpty), 'seen empty');

    const added = await set.adopt(paths[1]!, { addedAtSequence: 9, code, listWith: (id) => [a, id, c] });
    expect(set.disks.map((disk) => disk.id)).toEqual([a, b, c, added.id]);
    set.markLevel(added.id);
    expect([added.state, added.acceptsData]).toEqual(['returning', false]);
    set.applyList([a, added.id, c]);
    expect(set.disks.map(({ id, index, state }) => [id, index, state])).toEqual([
      [a, 0, 'online'],
      [added.id, 1, 'online'],
      [c, 2, 'online'],
    ]);
    expect(set.byId(b)).toBeUndefined();
    expect(states).toEqual(['old missing', 'new returning', 'new online']);
    expect(added.changeCounts.get('online')).toBe(1);
    await set.close();

    // The next start: every identity is of the cluster, the newest list wins.
    const next = await openSet(paths);
    expect(next.disks.map((disk) => disk.id)).toEqual([a, added.id, c]);
  });

  test('a stale disk that was replaced is refused wherever it turns up, at run time and after a start', async () => {
    const paths = await format(3);
    const spare = join(folder, 'spare');
    const set = await openSet([...paths, spare]);
    const [a, b, c] = set.disks.map((disk) => disk.id) as [string, string, string];
    renameSync(paths[1]!, join(folder, 'kept'));
    mkdirSync(paths[1]!);
    await until(() => set.disks[1]!.state === 'missing', 'missing');
    const added = await set.adopt(paths[1]!, { addedAtSequence: 9, code, listWith: (id) => [a, id, c] });
    set.applyList([a, added.id, c]);
    renameSync(join(folder, 'kept'), spare);
    const isRefused = (one: LocalDiskSet): boolean => {
      return one.unusedPaths().some(({ path, reason }) => path === spare && reason.includes('not in the list'));
    };
    await until(() => isRefused(set), 'refused at run time');
    expect(set.disks).toHaveLength(3);
    await set.close();
    // Only the journal knows that it does not count: until it has spoken the disk is there, and then no more.
    const next = await openSet([...paths, spare]);
    expect(next.disks.map((disk) => disk.id)).toEqual([a, added.id, c, b]);
    next.applyList([a, added.id, c]);
    expect(statesOf(next)).toEqual(['online', 'online', 'online']);
    await until(() => isRefused(next), 'refused after a start');
  });

  test('refuses a directory in use, another path of one, and one that does not exist; an addition that failed leaves nothing', async () => {
    const paths = await format(2);
    const set = await openSet(paths);
    const listWith = (id: string): string[] => [...set.disks.map((disk) => disk.id), id];
    const adopt = (path: string): Promise<unknown> => set.adopt(path, { addedAtSequence: 1, code, listWith });
    const link = join(folder, 'link');
    symlinkSync(paths[0]!, link);
    await expect(adopt(paths[0]!)).rejects.toThrow(/is disk 0/);
    await expect(adopt(link)).rejects.toThrow(/the same directory/);
    await expect(adopt(join(folder, 'nowhere'))).rejects.toThrow(/does not exist: make it/);
    expect(existsSync(join(folder, 'nowhere'))).toBe(false);
    mkdirSync(join(folder, 'new'));
    const added = await set.adopt(join(folder, 'new'), { addedAtSequence: 1, code, listWith });
    set.dismiss(added.id);
    expect(set.disks).toHaveLength(2);
    const again = await set.adopt(join(folder, 'new'), { addedAtSequence: 1, code, listWith });
    expect(again.id).toBe(added.id);
  });

  test('a draining disk is online and takes no data', async () => {
    const set = await openSet(await format(2));
    const told: boolean[] = [];
    set.onChange((disk) => told.push(disk.acceptsData));
    set.disks[0]!.setDraining(true);
    expect(set.disks[0]).toMatchObject({ state: 'online', acceptsData: false, isDraining: true });
    set.disks[0]!.setDraining(false);
    expect(told).toEqual([false, true]);
  });
});

describe('failing disks', () => {
  interface Faulty {
    set: LocalDiskSet;
    faults: FaultDiskFs[];
  }

  /** Every file system made for the first directory carries faults; those of its latest binding are at the end. */
  async function openFaulty(options: Partial<LocalDiskSetOptions> = {}): Promise<Faulty> {
    const paths = await format(2);
    const faults: FaultDiskFs[] = [];
    const set = await openSet(paths, {
      makeFs: (path, bound) => {
        const real = new RealDiskFs(path, bound);
        if (path !== paths[0]) return real;
        const faulty = new FaultDiskFs(real, clock);
        faults.push(faulty);
        return faulty;
      },
      ...options,
    });
    return { set, faults };
  }

  test('a failed write makes it suspect at once; a probe that works brings it back, online if the journal missed nothing', async () => {
    const { set, faults } = await openFaulty();
    const disk = set.disks[0]!;
    await disk.fs.createDurable('a');
    const file = await disk.fs.open('a', 'write');
    for (const fault of faults) fault.addFault({ operation: 'write', effect: { kind: 'error', errno: 'EIO' } });
    await expect(file.write(Buffer.alloc(1), 0)).rejects.toSatisfy((error) => isStoreError(error, 'DiskFailed'));
    expect(disk.state).toBe('suspect');
    expect(disk.acceptsData).toBe(false);
    await until(() => disk.state === 'online', 'online');
    set.reportFailure(disk.id, { operation: 'append', error: Object.assign(new Error('EIO'), { code: 'EIO' }) });
    set.markBehind(disk.id, 'missed a batch');
    expect(disk.state).toBe('suspect');
    await until(() => disk.state === 'returning', 'returning');
    expect(set.disks[1]!.state).toBe('online');
  });

  test('probes that go on failing eject it: calls are refused at once; it comes back when they succeed', async () => {
    const { set, faults } = await openFaulty();
    const disk = set.disks[0]!;
    for (const fault of faults) {
      fault.addFault({ operation: 'mutation', times: Infinity, effect: { kind: 'error', errno: 'EIO' } });
    }
    await expect(disk.fs.createDurable('a')).rejects.toThrow();
    await until(() => disk.state === 'failed', 'failed');
    await expect(disk.fs.list('')).rejects.toThrow(/ejected/);
    for (const fault of faults) fault.clearFaults();
    await until(() => disk.state === 'returning', 'returning');
    expect(await disk.fs.list('')).toContain('disk.json');
  });

  test('single failed reads are bad sectors, many are a suspect disk', async () => {
    const { set } = await openFaulty();
    const disk = set.disks[0]!;
    const report = (): void => {
      const cause = Object.assign(new Error('EIO'), { code: 'EIO' });
      set.reportFailure(disk.id, { operation: 'read', error: new StoreError('DiskFailed', 'bad sector', { cause }) });
    };
    for (let i = 0; i < 9; i++) report();
    expect(disk.state).toBe('online');
    report();
    expect(disk.state).toBe('suspect');
  });

  test('an error counts once, and an absent file or a damaged shard says nothing about the disk', async () => {
    const { set } = await openFaulty({ health: { firstProbeDelayMs: 60_000, longestProbeDelayMs: 60_000 } });
    const disk = set.disks[0]!;
    await expect(disk.fs.open('absent', 'read')).rejects.toThrow();
    set.reportFailure(disk.id, { operation: 'read', error: new StoreError('ShardCorrupt', 'damaged') });
    expect(disk.state).toBe('online');
    const cause = Object.assign(new Error('EIO'), { code: 'EIO' });
    const error = new StoreError('DiskFailed', 'write failed', { cause });
    for (let i = 0; i < 20; i++) {
      set.reportFailure(disk.id, { operation: 'write', error });
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    expect(disk.state).toBe('suspect');
  });

  test('a read-only disk is suspect, stays readable and comes back when it can be written', async () => {
    const { set, faults } = await openFaulty();
    const disk = set.disks[0]!;
    for (const fault of faults) {
      fault.addFault({ operation: 'mutation', times: Infinity, effect: { kind: 'error', errno: 'EROFS' } });
    }
    await expect(disk.fs.createDurable('a')).rejects.toThrow();
    const probesBefore = faults.reduce((sum, fault) => sum + fault.countOf('unlink'), 0);
    await until(() => faults.reduce((sum, fault) => sum + fault.countOf('unlink'), 0) > probesBefore + 5, 'probes');
    expect(disk.state).toBe('suspect');
    expect(await disk.fs.list('')).toContain('disk.json');
    for (const fault of faults) fault.clearFaults();
    await until(() => disk.state === 'online', 'online');
  });

  test('a full disk takes no data and does again, by itself, when space returns', async () => {
    const space = { totalBytes: 1000, freeBytes: 500 };
    const paths = await format(2);
    const set = await openSet(paths, {
      reserveBytes: 80,
      makeFs: (path, bound) => {
        const fs = new RealDiskFs(path, bound);
        if (path === paths[0]) fs.statSpace = () => Promise.resolve({ ...space });
        return fs;
      },
    });
    const disk = set.disks[0]!;
    const told: boolean[] = [];
    set.onChange((changed) => told.push(changed.acceptsData));
    expect(disk.acceptsData).toBe(true);
    space.freeBytes = 79;
    await until(() => !disk.acceptsData, 'below the reserve');
    expect(disk.state).toBe('online');
    space.freeBytes = 81;
    await until(() => disk.space.freeBytes === 81, 'a look');
    expect(disk.acceptsData).toBe(false);
    space.freeBytes = 500;
    await until(() => disk.acceptsData, 'above the reserve');
    expect(told).toEqual([false, true]);
    set.reportFailure(disk.id, { operation: 'write', error: new StoreError('DiskFull', 'no inodes left') });
    expect([disk.state, disk.acceptsData]).toEqual(['online', false]);
  });

  test('a hung disk is suspect after the deadline, freezes neither the others nor closing, and comes back', async () => {
    const { set, faults } = await openFaulty({ deadlineMs: 100, maxCallsPerDisk: 2 });
    const [hung, good] = [set.disks[0]!, set.disks[1]!];
    for (const fault of faults) fault.addFault({ operation: 'any', times: Infinity, effect: { kind: 'hang' } });
    const calls = [1, 2, 3, 4].map(() => hung.fs.list('').catch((error: unknown) => error));
    await until(() => hung.state === 'suspect' || hung.state === 'failed', 'suspect');
    expect(await good.fs.list('')).toContain('disk.json');
    expect(good.state).toBe('online');
    for (const error of await Promise.all(calls)) expect(error).toBeInstanceOf(StoreError);
    expect(hung.callsInFlight).toBe(2);
    await until(() => hung.state === 'failed', 'ejected');
    for (const fault of faults) {
      fault.clearFaults();
      fault.releaseHung();
    }
    await until(() => hung.state === 'returning', 'returning');
    for (const fault of faults) fault.addFault({ operation: 'any', times: Infinity, effect: { kind: 'hang' } });
    await until(() => faults.some((fault) => fault.hungCount > 0), 'hung again');
    await set.close();
  });

  test('a disk where a late call may still change something does not come back before that has returned', async () => {
    const { set, faults } = await openFaulty({ deadlineMs: 100 });
    const disk = set.disks[0]!;
    await disk.fs.createDurable('old');
    for (const fault of faults) fault.addFault({ operation: 'publish', effect: { kind: 'hang' } });
    await expect(disk.fs.publish('old', 'state')).rejects.toSatisfy((error) => isStoreError(error, 'DiskTimeout'));
    expect(disk.state).toBe('suspect');
    const probes = (): number => faults.reduce((sum, fault) => sum + fault.countOf('unlink'), 0);
    const before = probes();
    await until(() => probes() > before + 4, 'probes');
    // On a busy machine probes may be late as well, which ejects it: away it is either way.
    expect(['suspect', 'failed']).toContain(disk.state);
    for (const fault of faults) fault.releaseHung();
    await until(() => disk.state === 'online' || disk.state === 'returning', 'back');
    expect(await disk.fs.stat('state')).toBeDefined();
  });

  test('a directory that hangs at the start is waited for no longer than the deadline', async () => {
    const paths = await format(3);
    const set = await openSet(paths, {
      deadlineMs: 100,
      makeFs: (path, bound) => {
        const fs = new RealDiskFs(path, bound);
        if (path === paths[1]) fs.stat = () => new Promise(() => {});
        return fs;
      },
    });
    expect(statesOf(set)).toEqual(['online', 'missing', 'online']);
  });
});
