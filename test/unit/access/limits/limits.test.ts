import { expect, test } from 'vitest';
import { FailedSignatures } from '../../../../src/access/limits/failed-signatures.ts';
import { FairAdmission } from '../../../../src/access/limits/fair-admission.ts';
import { RequestLimits } from '../../../../src/access/limits/request-limits.ts';
import { TokenBuckets } from '../../../../src/access/limits/token-buckets.ts';
import { ManualClock } from '../../../support/simulated-clock.ts';

const NONE = { keyRequests: 0, keyRate: 0, addressRequests: 0, addressRate: 0, fairFrom: 4 };

test('a name may take what a second brings at once, then waits for more', async () => {
  const clock = new ManualClock();
  const buckets = new TokenBuckets({ perSecond: 10, clock });
  for (let taken = 0; taken < 10; taken++) {
    expect(buckets.waitMs('a')).toBe(0);
    buckets.take('a', 1);
  }
  expect(buckets.waitMs('a')).toBe(100);
  expect(buckets.waitMs('b')).toBe(0);
  await clock.advance(100);
  expect(buckets.waitMs('a')).toBe(0);
});

test('what was taken too much is waited for, and idle time saves up no more than a second', async () => {
  const clock = new ManualClock();
  const buckets = new TokenBuckets({ perSecond: 10, clock });
  buckets.take('a', 60);
  expect(buckets.waitMs('a')).toBe(5_100);
  await clock.advance(3_600_000);
  buckets.take('a', 11);
  expect(buckets.waitMs('a')).toBe(200);
});

test('the names that are remembered are bounded', () => {
  const buckets = new TokenBuckets({ perSecond: 1, clock: new ManualClock() });
  for (let index = 0; index < 25_000; index++) buckets.take(`name-${index}`, 5);
  expect(buckets.size).toBeLessThanOrEqual(20_000);
});

test('a key beyond its requests is answered SlowDown and told when to come back; another is not', async () => {
  const clock = new ManualClock();
  const limits = new RequestLimits({ ...NONE, clock, keyRequests: 2 });
  limits.checkKey('K');
  limits.checkKey('K');
  expect(() => limits.checkKey('K')).toThrow(
    expect.objectContaining({ code: 'SlowDown', status: 503, headers: { 'retry-after': '1' } }),
  );
  limits.checkKey('OTHER');
  expect(limits.refusedCount).toBe(1);
  await clock.advance(1_000);
  limits.checkKey('K');
});

test('bytes are charged when a request is over and refuse the next one', async () => {
  const clock = new ManualClock();
  const limits = new RequestLimits({ ...NONE, clock, addressRate: 1_000 });
  limits.checkAddress('192.0.2.1');
  limits.charge({ address: '192.0.2.1', caller: undefined, sizeBytes: 3_500 });
  expect(() => limits.checkAddress('192.0.2.1')).toThrow(
    expect.objectContaining({ code: 'SlowDown', headers: { 'retry-after': '3' } }),
  );
  await clock.advance(3_000);
  limits.checkAddress('192.0.2.1');
});

test('without limits nothing is refused', () => {
  const limits = new RequestLimits({ ...NONE, clock: new ManualClock() });
  for (let index = 0; index < 1_000; index++) {
    limits.checkAddress('192.0.2.1');
    limits.checkKey('K');
    limits.charge({ address: '192.0.2.1', caller: 'K', sizeBytes: 1e12 });
  }
});

test('a caller alone is never held back', () => {
  const admission = new FairAdmission({ fairFrom: 4 });
  for (let index = 0; index < 100; index++) expect(admission.enter('a')).toBeUndefined();
});

test('a caller with many requests waits while another is active, which is let in at once', async () => {
  const admission = new FairAdmission({ fairFrom: 4 });
  for (let index = 0; index < 50; index++) void admission.enter('greedy');
  expect(admission.enter('modest')).toBeUndefined();
  const entered: string[] = [];
  void admission.enter('greedy')?.then(() => entered.push('greedy'));
  expect(admission.waitingCount).toBe(1);
  expect(admission.enter('modest')).toBeUndefined();
  // Down to its share of two.
  for (let index = 0; index < 48; index++) admission.leave('greedy');
  await Promise.resolve();
  expect(entered).toEqual([]);
  admission.leave('greedy');
  await Promise.resolve();
  expect(entered).toEqual(['greedy']);
});

test('who waits goes on as soon as the others are gone', async () => {
  const admission = new FairAdmission({ fairFrom: 2 });
  void admission.enter('a');
  void admission.enter('a');
  expect(admission.enter('b')).toBeUndefined();
  const waiting = [admission.enter('a'), admission.enter('a')];
  expect(waiting.every((turn) => turn !== undefined)).toBe(true);
  admission.leave('b');
  for (const turn of waiting) await turn;
  expect(admission.waitingCount).toBe(0);
});

test('under any interleaving nobody waits for ever and everybody gets a turn', async () => {
  const admission = new FairAdmission({ fairFrom: 3 });
  const names = ['a', 'b', 'c', 'd'];
  const inFlight: string[] = [];
  let done = 0;
  const run = async (name: string): Promise<void> => {
    await admission.enter(name);
    inFlight.push(name);
    await new Promise((resolve) => setImmediate(resolve));
    inFlight.splice(inFlight.indexOf(name), 1);
    admission.leave(name);
    done += 1;
  };
  await Promise.all(Array.from({ length: 400 }, (_, index) => run(index < 300 ? 'a' : names[index % 4]!)));
  expect(done).toBe(400);
  expect(admission.waitingCount).toBe(0);
});

test('sec_forged_requests_do_not_slow_their_victim: the refusals of an address wait, those of others do not', async () => {
  const clock = new ManualClock();
  const failures = new FailedSignatures(clock);
  const delays = Array.from({ length: 60 }, () => failures.failed('198.51.100.9'));
  expect(delays.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 0));
  expect(delays.at(-1)).toBe(2_000);
  expect(failures.failed('192.0.2.1')).toBe(0);
  await clock.advance(600_000);
  expect(failures.failed('198.51.100.9')).toBe(0);
});
