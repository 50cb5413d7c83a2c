import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { S3Error } from '../../src/errors/s3-error.ts';
import { createMemoryFixture, errorOf, type MemoryFixture } from '../support/service-fixture.ts';

let s3: MemoryFixture;
const bucket = 'bucket';
beforeAll(async () => {
  s3 = await createMemoryFixture({ smallBlobLimitBytes: 64 });
  await s3.createBucket(bucket);
});
afterAll(async () => {
  await s3.stop();
});

const outcomeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error) => (error instanceof S3Error ? error.code : error),
  );

describe('conditional PutObject', () => {
  it('takes ETags with and without quotes, lists and *', async () => {
    const first = await s3.put(bucket, 'etags', '1', { 'if-none-match': '*' });
    const etag = String(first.headers.etag);
    const cases: [Record<string, string>, string][] = [
      [{ 'if-none-match': '*' }, 'PreconditionFailed'],
      [{ 'if-none-match': etag }, 'PreconditionFailed'],
      [{ 'if-none-match': 'badetag' }, 'ok'],
      [{ 'if-match': 'badetag' }, 'PreconditionFailed'],
      [{ 'if-match': etag }, 'ok'],
      [{ 'if-match': etag.slice(1, -1) }, 'ok'],
      [{ 'if-match': `"other", ${etag}` }, 'ok'],
      [{ 'if-match': '*' }, 'ok'],
      [{ 'if-match': '' }, 'InvalidArgument'],
    ];
    for (const [headers, expected] of cases) {
      expect([headers, await outcomeOf(s3.put(bucket, 'etags', '1', headers))]).toEqual([headers, expected]);
    }
    expect(await errorOf(s3.put(bucket, 'missing', '1', { 'if-match': '*' }))).toMatchObject({
      code: 'NoSuchKey',
      status: 404,
    });
    expect((await errorOf(s3.put(bucket, 'etags', '1', { 'if-match': '"x"' }))).details).toMatchObject({
      Condition: 'If-Match',
    });
  });

  it.each([10, 200])('lets exactly one of many If-None-Match: * writers of %i bytes win', async (sizeBytes) => {
    const key = `race-${sizeBytes}`;
    const bodies = Array.from({ length: 40 }, (_, index) => String(index).padStart(sizeBytes, '.'));
    const outcomes = await Promise.all(
      bodies.map((body) => outcomeOf(s3.put(bucket, key, body, { 'if-none-match': '*' }))),
    );
    const winners = bodies.filter((_, index) => outcomes[index] === 'ok');
    expect(winners).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === 'PreconditionFailed')).toHaveLength(39);
    expect((await s3.get(bucket, key)).body.toString()).toBe(winners[0]);
  });

  it('counts to N by compare-and-swap with If-Match under concurrency', async () => {
    await s3.put(bucket, 'counter', '0');
    const workers = 8;
    const increments = 10;
    const increment = async () => {
      for (;;) {
        const read = await s3.get(bucket, 'counter');
        const next = String(Number(read.body.toString()) + 1);
        const outcome = await outcomeOf(s3.put(bucket, 'counter', next, { 'if-match': String(read.headers.etag) }));
        if (outcome === 'ok') return;
        expect(outcome).toBe('PreconditionFailed');
      }
    };
    await Promise.all(
      Array.from({ length: workers }, async () => {
        for (let index = 0; index < increments; index++) await increment();
      }),
    );
    expect((await s3.get(bucket, 'counter')).body.toString()).toBe(String(workers * increments));
  });

  it('never lets a conditional delete take what its condition does not name, whoever races', async () => {
    for (let round = 0; round < 10; round++) {
      const { headers } = await s3.put(bucket, 'raced', 'first');
      const remove = () =>
        outcomeOf(s3.call('DeleteObject', { bucket, key: 'raced', headers: { 'if-match': String(headers.etag) } }));
      const deletes = Array.from({ length: 6 }, remove);
      const put = s3.put(bucket, 'raced', 'second');
      deletes.push(...Array.from({ length: 6 }, remove));
      const outcomes = await Promise.all(deletes);
      await put;
      expect(['ok', 'PreconditionFailed']).toEqual(expect.arrayContaining([...new Set(outcomes)]));
      expect((await s3.get(bucket, 'raced')).body.toString()).toBe('second');
    }
  });

  it('never shows one body with the ETag of another while writers race', async () => {
    const bodies = Array.from({ length: 20 }, (_, index) => `body-${index}`.padEnd(index % 2 === 0 ? 20 : 300, '.'));
    const etags = new Map<string, string>();
    const writing = { isDone: false };
    const reader = (async () => {
      for (let reads = 0; !writing.isDone || reads < 5; reads++) {
        const got = await s3.get(bucket, 'torn').catch(() => undefined);
        if (got) expect(etags.get(got.body.toString()) ?? got.headers.etag).toBe(got.headers.etag);
        if (got) expect(got.headers['x-amz-meta-body']).toBe(got.body.toString().split('.')[0]);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await Promise.all(
      bodies.map(async (body) => {
        const put = await s3.put(bucket, 'torn', body, { 'x-amz-meta-body': body.split('.')[0]! });
        etags.set(body, String(put.headers.etag));
      }),
    );
    writing.isDone = true;
    await reader;
  });
});
