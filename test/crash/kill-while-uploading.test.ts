import { randomInt } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Upload } from '@aws-sdk/lib-storage';
import { afterAll, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { payloadOf } from '../support/payload.ts';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterAll(async () => server?.destroy());

/** `npm run crash:uploads` kills a hundred times. */
const ROUNDS = Number(process.env['KILL_ROUNDS'] ?? 6);

test(
  `kill -9 during uploads, ${ROUNDS} times: every acknowledged object is byte-identical, no other is half visible`,
  { timeout: 60_000 + ROUNDS * 30_000 },
  async () => {
    const it = await TestServer.create();
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    await objects.createBucket(it.client());
    let acknowledged = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const client = it.client({ maxAttempts: 1 });
      const run = { isRunning: true };
      // Unknown until acknowledged: either value may be there.
      const pending = new Map<string, { identity: string; sizeBytes: number }>();
      const writers = [0, 1, 2, 3].map(async (writer) => {
        for (let n = 0; run.isRunning; n += 1) {
          const key = `${writer}/${n % 7}`;
          const identity = `round ${round} ${key} ${n}`;
          const size = [20, 4096, 150_000, 1_200_000][(writer + n) % 4] ?? 1;
          const before = objects.expected.get(key);
          pending.set(key, { identity, sizeBytes: size });
          try {
            if (writer === 3 && n % 3 === 0) {
              const body = payloadOf(identity, 6_000_000);
              pending.set(key, { identity, sizeBytes: body.length });
              await new Upload({
                client,
                params: { Bucket: objects.bucket, Key: key, Body: body },
                partSize: 5 * 1024 * 1024,
              }).done();
              objects.expected.set(key, { identity, sizeBytes: body.length });
            } else {
              await objects.put(client, key, size, identity);
            }
            pending.delete(key);
            acknowledged += 1;
          } catch (error) {
            if (run.isRunning) throw error;
            if (before !== undefined) objects.expected.set(key, before);
          }
        }
      });
      const before = acknowledged;
      await eventually('some writes are acknowledged', async () => acknowledged > before + 4);
      await delay(randomInt(0, 300));
      run.isRunning = false;
      await it.kill();
      await Promise.all(writers);
      await it.start();
      await settleUnknown(it, objects, pending);
      expect(await objects.violations(it.client())).toEqual([]);
    }
    expect(acknowledged).toBeGreaterThan(ROUNDS);
  },
);

/** A write whose answer never came may be there or not; what is seen now must stay (no flip-flop). */
async function settleUnknown(
  it: TestServer,
  objects: AcknowledgedObjects,
  pending: ReadonlyMap<string, { identity: string; sizeBytes: number }>,
): Promise<void> {
  for (const [key, unknown] of pending) {
    const known = objects.expected.get(key);
    const probe = new AcknowledgedObjects(objects.bucket);
    probe.expected.set(key, unknown);
    if ((await probe.violations(it.client(), { exactListing: false })).length === 0) objects.expected.set(key, unknown);
    else if (known === undefined) objects.expected.delete(key);
  }
}
