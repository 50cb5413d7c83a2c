import { describe, expect, test } from 'vitest';
import { errnoOf, makeErrno } from '../../../src/disk/disk-error.ts';
import { FaultDiskFs } from '../../../src/disk/fault-disk-fs.ts';
import { DiskGuard, GuardedDiskFs, whenReturned } from '../../../src/disk/guarded-disk-fs.ts';
import { SimulatedDiskFs } from '../../../src/disk/simulated-disk-fs.ts';
import { assert } from '../../../src/errors/assert.ts';
import { isStoreError, StoreError } from '../../../src/errors/store-error.ts';
import { ManualClock, settle } from '../../support/simulated-clock.ts';

async function makeGuarded(maxCallsInFlight = 2) {
  const clock = new ManualClock();
  const simulated = new SimulatedDiskFs();
  await simulated.createDurable('a');
  const faults = new FaultDiskFs(simulated, clock);
  const failures: string[] = [];
  const guard = new DiskGuard({
    name: 'disk0',
    clock,
    deadlineMs: 8000,
    maxCallsInFlight,
    onFailure: (operation, error) => failures.push(`${operation} ${error.code}`),
  });
  return { clock, simulated, faults, failures, guard, fs: new GuardedDiskFs(() => faults, guard) };
}

const outcomeOf = (promise: Promise<unknown>): { value?: unknown; error?: unknown } => {
  const outcome: { value?: unknown; error?: unknown } = {};
  promise.then(
    (value) => (outcome.value = value ?? 'done'),
    (error: unknown) => (outcome.error = error),
  );
  return outcome;
};

describe('DiskGuard', () => {
  test('hands at most the cap to the disk and starts waiting calls in order', async () => {
    const { faults, guard, fs } = await makeGuarded(2);
    faults.addFault({ operation: 'stat', times: 3, effect: { kind: 'hang' } });
    const outcomes = [1, 2, 3, 4].map(() => outcomeOf(fs.stat('a')));
    await settle();
    expect(guard.inFlightCount).toBe(2);
    expect(guard.waitingCount).toBe(2);
    expect(faults.countOf('stat')).toBe(2);
    faults.releaseHung();
    await settle();
    expect(outcomes.map(({ value }) => value !== undefined)).toEqual([true, true, false, true]);
    faults.releaseHung();
    await settle();
    expect(guard.inFlightCount).toBe(0);
  });

  test('a call that misses its deadline rejects with DiskTimeout and keeps its place until it returns', async () => {
    const { clock, faults, failures, guard, fs } = await makeGuarded(1);
    faults.addFault({ operation: 'list', effect: { kind: 'hang' } });
    const hung = outcomeOf(fs.list(''));
    await clock.advance(7900);
    expect(hung.error).toBeUndefined();
    const waiting = outcomeOf(fs.stat('a'));
    await clock.advance(1200);
    expect(isStoreError(hung.error, 'DiskTimeout')).toBe(true);
    expect(failures).toEqual(['list DiskTimeout']);
    expect(guard.inFlightCount).toBe(1);
    expect(waiting).toEqual({});
    let isReturned = false;
    void whenReturned(hung.error).then(() => (isReturned = true));
    await clock.advance(9000);
    expect(isStoreError(waiting.error, 'DiskTimeout')).toBe(true);
    expect(isReturned).toBe(false);
    await whenReturned(waiting.error);
    faults.releaseHung();
    await settle();
    expect(isReturned).toBe(true);
    expect(guard.inFlightCount).toBe(0);
    expect(outcomeOf(fs.stat('a')).error).toBeUndefined();
  });

  test('after a late call that changes the disk no other one begins until it has returned; reads go on', async () => {
    const { clock, simulated, faults, failures, fs } = await makeGuarded(4);
    for (const name of ['old', 'new']) await simulated.createDurable(name);
    faults.addFault({ operation: 'publish', effect: { kind: 'hang' } });
    const late = outcomeOf(fs.publish('old', 'a'));
    await clock.advance(9100);
    expect(isStoreError(late.error, 'DiskTimeout')).toBe(true);
    // Carried out now, it would be undone by the late one.
    await expect(fs.publish('new', 'a')).rejects.toSatisfy((error) => isStoreError(error, 'DiskTimeout'));
    expect(await fs.stat('new')).toBeDefined();
    expect(failures).toEqual(['publish DiskTimeout']);
    faults.releaseHung();
    await settle();
    await fs.publish('new', 'a');
    expect(await fs.stat('new')).toBeUndefined();
  });

  test('a deadline of an idle guard leaves no timer behind', async () => {
    const { clock, fs } = await makeGuarded();
    for (let i = 0; i < 20; i++) await fs.stat('a');
    expect(clock.timerCount).toBe(1);
    await clock.advance(1000);
    expect(clock.timerCount).toBe(0);
  });

  test('a late failure is still told to the set, though its caller has gone', async () => {
    const { clock, failures, guard } = await makeGuarded();
    let fail: ((error: unknown) => void) | undefined;
    const hung = outcomeOf(guard.run('write', 'a', () => new Promise((_, reject) => (fail = reject))));
    await clock.advance(9500);
    expect(isStoreError(hung.error, 'DiskTimeout')).toBe(true);
    fail?.(makeErrno('EIO', 'write', 'a'));
    await settle();
    expect(failures).toEqual(['write DiskTimeout', 'write DiskFailed']);
  });

  test('shut rejects waiting and later calls with the reason, closing files goes on', async () => {
    const { faults, guard, fs } = await makeGuarded(1);
    const file = await fs.open('a', 'write');
    faults.addFault({ operation: 'stat', effect: { kind: 'hang' } });
    const hung = outcomeOf(fs.stat('a'));
    const waiting = outcomeOf(fs.stat('a'));
    const reason = new StoreError('DiskMissing', 'gone');
    guard.shut(reason);
    await settle();
    expect([hung.error, waiting.error]).toEqual([undefined, reason]);
    await expect(file.write(Buffer.alloc(1), 0)).rejects.toBe(reason);
    await file.close();
    guard.reopen();
    faults.releaseHung();
    await settle();
    expect(await fs.list('')).toEqual(['a']);
  });

  test('maps what the system reports to store errors and leaves our own bugs alone', async () => {
    const { guard } = await makeGuarded();
    const full = await guard.run('write', 'a', () => Promise.reject(makeErrno('ENOSPC', 'write', 'a'))).catch(String);
    expect(full).toMatch(/no space left/);
    const error = await guard.run('read', 'a', () => Promise.reject(makeErrno('EIO', 'read', 'a'))).catch((e) => e);
    expect([isStoreError(error, 'DiskFailed'), errnoOf(error)]).toEqual([true, 'EIO']);
    const bug = guard.run('read', 'a', () => {
      assert(false, 'our bug');
      return Promise.resolve();
    });
    await expect(bug).rejects.toMatchObject({ name: 'AssertionFailure' });
    expect(guard.inFlightCount).toBe(0);
  });

  test('a file that opens after its deadline is closed', async () => {
    const { clock, faults, fs } = await makeGuarded();
    faults.addFault({ operation: 'open', effect: { kind: 'hang' } });
    const opening = outcomeOf(fs.open('a', 'read'));
    await clock.advance(9500);
    expect(isStoreError(opening.error, 'DiskTimeout')).toBe(true);
    faults.releaseHung();
    await settle();
    expect(faults.countOf('close')).toBe(1);
  });
});

describe('FaultDiskFs', () => {
  test('strikes the nth matching call, by operation and path, and counts all', async () => {
    const { faults } = await makeGuarded();
    await faults.createDurable('journal');
    faults.addFault({ operation: 'write', path: /^journal$/, nth: 2, effect: { kind: 'error', errno: 'EIO' } });
    const journal = await faults.open('journal', 'write');
    const other = await faults.open('a', 'write');
    await journal.write(Buffer.alloc(1), 0);
    await other.write(Buffer.alloc(1), 0);
    const failure = await journal.write(Buffer.alloc(1), 0).catch((error: unknown) => error);
    expect(errnoOf(failure)).toBe('EIO');
    await journal.write(Buffer.alloc(1), 0);
    expect([faults.countOf('write'), faults.countOf('mutation'), faults.struckCount]).toEqual([4, 5, 1]);
  });

  test('a failed sync poisons its file for ever, only that one', async () => {
    const { faults } = await makeGuarded();
    faults.addFault({ operation: 'datasync', effect: { kind: 'error', errno: 'EIO' } });
    const poisoned = await faults.open('a', 'write');
    const fresh = await faults.open('a', 'write');
    await expect(poisoned.datasync()).rejects.toThrow();
    await expect(poisoned.datasync()).rejects.toThrow();
    await expect(poisoned.write(Buffer.alloc(1), 0)).rejects.toThrow();
    await fresh.write(Buffer.alloc(1), 0);
    await fresh.datasync();
  });

  test('a short write leaves a beginning, a lost answer leaves everything, a delay takes its time', async () => {
    const { clock, simulated, faults } = await makeGuarded();
    const file = await faults.open('a', 'write');
    faults.addFault({ operation: 'write', effect: { kind: 'short', errno: 'ENOSPC' } });
    await expect(file.write(Buffer.alloc(2048, 1), 0)).rejects.toThrow();
    expect(simulated.peek('a').length).toBe(1024);
    faults.addFault({ operation: 'createDurable', effect: { kind: 'error', errno: 'EIO', isDone: true } });
    await expect(faults.createDurable('b')).rejects.toThrow();
    expect(simulated.filePaths()).toEqual(['a', 'b']);
    faults.addFault({ operation: 'list', effect: { kind: 'delay', delayMs: 50 } });
    const listing = outcomeOf(faults.list(''));
    await clock.advance(49);
    expect(listing.value).toBeUndefined();
    await clock.advance(1);
    expect(listing.value).toEqual(['a', 'b']);
  });
});
