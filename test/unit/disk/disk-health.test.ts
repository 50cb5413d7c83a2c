import { expect, test } from 'vitest';
import { makeErrno, toDiskError } from '../../../src/disk/disk-error.ts';
import { classifyFailure, DEFAULT_HEALTH_LIMITS, DiskHealth } from '../../../src/disk/disk-health.ts';
import { StoreError } from '../../../src/errors/store-error.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const makeHealth = (): DiskHealth => new DiskHealth(DEFAULT_HEALTH_LIMITS, new SeededRandomness(3));

test('tells what a failure says about its disk', () => {
  const of = (errno: string, operation = 'write'): string =>
    classifyFailure(operation, toDiskError(makeErrno(errno, operation, 'a'), operation, 'a'));
  expect([of('EIO'), of('EIO', 'read'), of('EROFS'), of('ENOSPC'), of('EDQUOT')]).toEqual([
    'write-error',
    'read-error',
    'read-only',
    'full',
    'full',
  ]);
  expect([of('ENOENT'), of('EEXIST'), of('EBADF'), of('EINVAL')]).toEqual(['none', 'none', 'none', 'none']);
  expect(classifyFailure('list', new StoreError('DiskTimeout', ''))).toBe('timeout');
  expect(classifyFailure('stat', new StoreError('DiskMissing', ''))).toBe('missing');
  expect(classifyFailure('read', new StoreError('ShardCorrupt', ''))).toBe('none');
  expect(classifyFailure('read', new TypeError('our bug'))).toBe('none');
});

test('a burst is one strike; strikes spread over time end in failed', () => {
  const health = makeHealth();
  for (let i = 0; i < 100; i++) expect(health.note('write-error', i)).toBe('suspect');
  expect(health.note('timeout', 1000)).toBe('suspect');
  expect(health.note('write-error', 2000)).toBe('failed');
});

test('strikes are forgotten after a quiet time, not before', () => {
  const health = makeHealth();
  health.note('timeout', 0);
  health.note('timeout', 1000);
  health.forgetOldStrikes(1000 + DEFAULT_HEALTH_LIMITS.forgetAfterMs - 1);
  expect(health.note('timeout', 2000 + DEFAULT_HEALTH_LIMITS.forgetAfterMs)).toBe('failed');
  health.forgetOldStrikes(2000 + 2 * DEFAULT_HEALTH_LIMITS.forgetAfterMs);
  expect(health.note('timeout', 3000 + 2 * DEFAULT_HEALTH_LIMITS.forgetAfterMs)).toBe('suspect');
});

test('probes back off exponentially with jitter, up to a bound', () => {
  const health = makeHealth();
  let fullMs = DEFAULT_HEALTH_LIMITS.firstProbeDelayMs;
  for (let strike = 0; strike < 12; strike++) {
    health.note('write-error', strike * 10_000);
    const delays = Array.from({ length: 20 }, () => health.probeDelayMs());
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(fullMs / 2);
    expect(Math.max(...delays)).toBeLessThanOrEqual(fullMs);
    expect(new Set(delays).size).toBeGreaterThan(10);
    fullMs = Math.min(DEFAULT_HEALTH_LIMITS.longestProbeDelayMs, fullMs * 2);
  }
});

test('a read-only disk is never failed, however long', () => {
  const health = makeHealth();
  for (let i = 0; i < 50; i++) expect(health.note('read-only', i * 10_000)).toBe('suspect');
});
