import { createHash, randomBytes } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DigestPool } from '../../../src/checksums/digest-pool.ts';
import { Md5Engine, Md5Stream } from '../../../src/checksums/md5-streams.ts';

const engine = new Md5Engine();

function md5Of(pieces: readonly Buffer[]): string {
  const hash = createHash('md5');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

describe('Md5Engine', () => {
  it('agrees with OpenSSL for every length around the borders of blocks and areas', () => {
    const lengths = [...Array(200).keys(), 65_535, 65_536, 65_537, 131_071, 200_000];
    for (const length of lengths) {
      const bytes = randomBytes(length);
      const stream = new Md5Stream();
      stream.push(bytes);
      stream.pad();
      engine.run([stream]);
      expect(stream.digest().toString('hex')).toBe(md5Of([bytes]));
    }
  });

  it('agrees with OpenSSL however many streams grow side by side, in whatever pieces', () => {
    const piece = fc.integer({ min: 0, max: 150_000 }).map((length) => randomBytes(length));
    const turn = fc.array(fc.record({ stream: fc.nat(6), piece }), { maxLength: 8 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.array(turn, { maxLength: 5 }), (count, turns) => {
        const streams = Array.from({ length: count }, () => ({ md5: new Md5Stream(), seen: [] as Buffer[] }));
        for (const pushed of turns) {
          const lent: Buffer[] = [];
          for (const { stream, piece: bytes } of pushed) {
            const { md5, seen } = streams[stream % count]!;
            const loan = Buffer.from(bytes);
            md5.push(loan);
            seen.push(bytes);
            lent.push(loan);
          }
          engine.run(streams.map(({ md5 }) => md5));
          // What was lent is given back and used again.
          for (const loan of lent) loan.fill(0xee);
        }
        for (const { md5 } of streams) md5.pad();
        engine.run(streams.map(({ md5 }) => md5));
        for (const { md5, seen } of streams) expect(md5.digest().toString('hex')).toBe(md5Of(seen));
      }),
      { numRuns: 40 },
    );
  });
});

describe('Md5Engine in company', () => {
  it('goes on only while enough streams have a block, and tells what it still refers to', () => {
    const lengths = [300_000, 100_000, 70_000, 10];
    const bodies = lengths.map((length) => randomBytes(length));
    const streams = bodies.map((bytes) => {
      const stream = new Md5Stream();
      stream.push(bytes);
      return stream;
    });
    engine.run(streams, 2);
    const blocks = (length: number): number => length - (length % 64);
    expect(streams.map(({ takenBytes }) => takenBytes)).toEqual([blocks(100_000), 100_000, 70_000, 10]);
    engine.run(streams, 2);
    expect(streams[0]!.takenBytes).toBe(blocks(100_000));
    // Asked for: to its end, alone.
    engine.run(streams, 2, new Set([streams[0]!]));
    expect(streams[0]!.takenBytes).toBe(300_000);
    for (const stream of streams) stream.pad();
    engine.run(streams);
    expect(streams.map((stream) => stream.digest().toString('hex'))).toEqual(bodies.map((bytes) => md5Of([bytes])));
  });
});

describe('DigestPool', () => {
  it.each([1, 3])(
    'hashes many bodies at once on %i threads, some of which stand still or are given up',
    async (workerCount) => {
      const pool = new DigestPool({ workerCount });
      const bodies = Array.from({ length: 9 }, (_, i) => {
        const bytes = Buffer.from(new SharedArrayBuffer(40_000 + 70_001 * i));
        randomBytes(bytes.length).copy(bytes);
        return { bytes, set: pool.open(['MD5', 'CRC32', 'SHA256']) };
      });
      // An update is answered although its body never goes on.
      const stalled = pool.open(['MD5']);
      await stalled.update(Buffer.from(new SharedArrayBuffer(50_000)));
      const givenUp = pool.open(['MD5']);
      const dropped = givenUp.update(Buffer.from(new SharedArrayBuffer(50_000)));
      givenUp.close();
      await dropped;
      await Promise.all(
        bodies.map(async ({ bytes, set }) => {
          await set.update(bytes.subarray(0, 33_000));
          for (let at = 33_000; at < bytes.length; at += 30_011) void set.update(bytes.subarray(at, at + 30_011));
          const digests = await set.digests();
          expect(digests.get('MD5')!.toString('hex')).toBe(md5Of([bytes]));
          expect(digests.get('SHA256')!.equals(createHash('sha256').update(bytes).digest())).toBe(true);
          expect([...digests.keys()].sort()).toEqual(['CRC32', 'MD5', 'SHA256']);
        }),
      );
      stalled.close();
      await pool.stop();
    },
  );
});

describe('DigestPool.crc32c', () => {
  it('agrees with crc32c, has bounded patience, and goes on here when the threads have ended', async () => {
    const pool = new DigestPool({ workerCount: 1 });
    const memory = Buffer.from(new SharedArrayBuffer(300_000));
    randomBytes(memory.length).copy(memory);
    const views = Array.from({ length: 40 }, (_, i) => memory.subarray(i, memory.length - 7 * i));
    const answers = views.map((view) => pool.crc32c(view));
    expect(answers.filter((answer) => answer === undefined).length).toBeGreaterThan(0);
    const right = views.map((view) => crc32c(view));
    await Promise.all(
      answers.map(async (answer, i) => {
        if (answer !== undefined) expect(await answer).toBe(right[i]);
      }),
    );
    const late = pool.crc32c(views[3]!);
    await pool.stop();
    expect(await late).toBe(right[3]);
  });

  it('is left to the caller while bodies are hashed on all threads: it would wait behind them', async () => {
    const pool = new DigestPool({ workerCount: 1 });
    const memory = Buffer.from(new SharedArrayBuffer(200_000));
    const set = pool.open(['MD5']);
    const updated = set.update(memory);
    expect(pool.crc32c(memory)).toBeUndefined();
    await updated;
    await set.digests();
    expect(await pool.crc32c(memory)).toBe(crc32c(memory));
    await pool.stop();
  });
});
