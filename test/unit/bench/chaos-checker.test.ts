import { S3Client } from '@aws-sdk/client-s3';
import { afterEach, describe, expect, it } from 'vitest';
import { ABSENT, KeyHistory } from '../../../bench/chaos/key-history.ts';
import { claimedWrite, payloadOf } from '../../../bench/chaos/payload.ts';
import { Random } from '../../../bench/chaos/random.ts';
import { Recorder } from '../../../bench/chaos/recorder.ts';
import { Workload } from '../../../bench/chaos/workload.ts';
import { type Lie, LyingS3Server } from '../../support/lying-s3-server.ts';

function read(history: KeyHistory, seen: number): boolean {
  return history.endRead(history.beginRead(), seen);
}

function write(history: KeyHistory, value: number, outcome: 'ok' | 'refused' | 'unknown'): void {
  history.beginWrite(value);
  history.endWrite(outcome);
}

describe('KeyHistory', () => {
  it('allows the last acknowledged value only', () => {
    const history = new KeyHistory();
    expect(read(history, ABSENT)).toBe(true);
    write(history, 1, 'ok');
    expect(read(history, ABSENT)).toBe(false);
    write(history, 2, 'ok');
    expect(read(history, 1)).toBe(false);
    write(history, ABSENT, 'ok');
    expect(read(history, 2)).toBe(false);
    expect(read(history, ABSENT)).toBe(true);
  });

  it('allows neither outcome to change once one of an unknown write has been seen after it settled', () => {
    for (const first of [1, 2]) {
      const history = new KeyHistory();
      write(history, 1, 'ok');
      write(history, 2, 'unknown');
      expect(history.isBusy).toBe(true);
      // Still at work: both may be seen, in turn.
      expect(read(history, 1) && read(history, 2) && read(history, 1)).toBe(true);
      history.settle();
      expect(read(history, first)).toBe(true);
      expect(read(history, 3 - first)).toBe(false);
      expect(read(history, first)).toBe(true);
    }
  });

  it('never shows a refused write', () => {
    const history = new KeyHistory();
    write(history, 1, 'refused');
    expect(read(history, 1)).toBe(false);
  });

  it('lets a read see any write that it overlapped', () => {
    const history = new KeyHistory();
    write(history, 1, 'ok');
    const before = history.beginRead();
    write(history, 2, 'ok');
    write(history, 3, 'ok');
    for (const seen of [1, 2, 3]) expect(history.endRead(before, seen)).toBe(true);
    expect(history.endRead(before, ABSENT)).toBe(false);
    expect(read(history, 2)).toBe(false);
  });
});

describe('payloadOf', () => {
  it('names its write, and differs everywhere from other writes', () => {
    const body = payloadOf(7, 42, 1000);
    expect(claimedWrite(7, body)).toBe(42);
    expect(claimedWrite(8, body)).toBeUndefined();
    expect(payloadOf(7, 42, 1000).equals(body)).toBe(true);
    expect(payloadOf(7, 43, 1000).subarray(16).equals(body.subarray(16))).toBe(false);
    expect(payloadOf(7, 42, 3)).toHaveLength(3);
  });
});

describe('the chaos workload', () => {
  let server: LyingS3Server | undefined;
  let client: S3Client | undefined;

  afterEach(async () => {
    client?.destroy();
    await server?.stop();
  });

  async function violationsWith(lie: Lie): Promise<string[]> {
    server = await LyingS3Server.start();
    client = new S3Client({
      endpoint: server.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      requestChecksumCalculation: 'WHEN_REQUIRED',
    });
    const recorder = new Recorder();
    const made = client;
    const workload = new Workload({
      client: () => made,
      bucket: 'bucket',
      seed: 1,
      random: new Random(1),
      recorder,
      keyCount: 12,
      workerCount: 4,
      largestBodyBytes: 30_000,
    });
    const runUntil = async (isDone: () => boolean): Promise<void> => {
      workload.resume();
      const deadline = performance.now() + 20_000;
      while (!isDone() && performance.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
      await workload.pause();
    };
    await runUntil(() => recorder.acknowledgedWrites >= 60);
    expect(recorder.violations).toEqual([]);
    server.lie = lie;
    const enough = recorder.verifiedReads + 150;
    await runUntil(() => recorder.verifiedReads >= enough || recorder.violations.length > 0);
    workload.settleBefore(Number.POSITIVE_INFINITY);
    // Twice: what changes between two looks is seen.
    await workload.verifyAll();
    await workload.verifyAll();
    return recorder.violations;
  }

  it('finds nothing wrong with an honest server', async () => {
    expect(await violationsWith('none')).toEqual([]);
  }, 180_000);

  it.each<Lie>([
    'forgets-deletes',
    'forgets-overwrites',
    'flips-a-byte',
    'shortens-bodies',
    'mixes-up-keys',
    'hides-from-listings',
    'lists-the-deleted',
    'fails-then-flips-back',
  ])(
    'notices a server that %s',
    async (lie) => {
      expect(await violationsWith(lie)).not.toEqual([]);
    },
    30_000,
  );
});
