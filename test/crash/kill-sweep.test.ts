import { execFileSync } from 'node:child_process';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  UploadPartCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { AcknowledgedObjects } from '../support/acknowledged-objects.ts';
import { payloadOf } from '../support/payload.ts';
import { TestServer } from '../support/server-process.ts';

/**
 * Kills the real process at the Nth call of a mutating system call while a fixed sequence of writes runs, starts it
 * again and checks every acknowledged object. strace counts per thread and per call, so the pool has one thread.
 * KILL_SWEEP_STEP=1 visits every call; the default samples.
 */
const STEP = Number(process.env['KILL_SWEEP_STEP'] ?? 9);
const FIRST = Number(process.env['KILL_SWEEP_FIRST'] ?? 3);
const MOST = Number(process.env['KILL_SWEEP_MOST'] ?? 3);

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

async function multipart(client: S3Client, objects: AcknowledgedObjects, key: string, identity: string): Promise<void> {
  const body = payloadOf(identity, 5 * 1024 * 1024 + 1000);
  const at = { Bucket: objects.bucket, Key: key };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(at));
  const Parts = [];
  for (const [PartNumber, Body] of [
    [1, body.subarray(0, 5 * 1024 * 1024)],
    [2, body.subarray(5 * 1024 * 1024)],
  ] as const) {
    const { ETag } = await client.send(new UploadPartCommand({ ...at, UploadId, PartNumber, Body }));
    Parts.push({ PartNumber, ETag });
  }
  await client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }));
  objects.expected.set(key, { identity, sizeBytes: body.length });
}

/** The writes of one visit. Stops at the first error; what was under way then may or may not have happened. */
async function work(client: S3Client, objects: AcknowledgedObjects, visit: string): Promise<string | undefined> {
  let current = '';
  try {
    for (const [key, size] of [
      ['small', 3000],
      ['overwritten', 500],
      ['large', 1_400_000],
    ] as const) {
      current = key;
      await objects.put(client, key, size, `${visit} ${key}`);
    }
    current = 'multipart';
    await multipart(client, objects, 'multipart', `${visit} multipart`);
    current = 'copy';
    await client.send(
      new CopyObjectCommand({ Bucket: objects.bucket, Key: 'copy', CopySource: `${objects.bucket}/large` }),
    );
    objects.expected.set('copy', objects.expected.get('large') ?? { identity: '', sizeBytes: 0 });
    current = 'overwritten';
    await client.send(new DeleteObjectCommand({ Bucket: objects.bucket, Key: 'overwritten' }));
    objects.expected.delete('overwritten');
    return undefined;
  } catch {
    return current;
  }
}

test.each(['pwrite64', 'fdatasync', 'fsync', 'unlink', 'openat'])(
  'killed at the Nth %s of a sequence of writes: everything acknowledged reads back after a restart',
  { timeout: 180_000 },
  async (call) => {
    execFileSync('strace', ['-V']);
    const it = await TestServer.create();
    server = it;
    const objects = new AcknowledgedObjects('bucket');
    await objects.createBucket(it.client());
    await it.kill();
    let kills = 0;
    for (let n = FIRST; kills < MOST && n < 100_000; n += STEP) {
      const prefix = [
        'strace',
        '-f',
        '-qq',
        '-o',
        '/dev/null',
        '-e',
        `trace=${call}`,
        '-e',
        `inject=${call}:signal=KILL:when=${n}`,
      ];
      let unknown: string | undefined;
      let wasKilled = false;
      try {
        await it.start({ prefix, environment: { UV_THREADPOOL_SIZE: '1' } });
        unknown = await work(it.client(), objects, `${call} ${n}`);
        wasKilled = unknown !== undefined;
      } catch {
        wasKilled = true; // in the middle of a start
      }
      await it.kill();
      await it.start();
      // The write that was under way may be there, or what was there before, or nothing.
      const expected = new Map(objects.expected);
      if (unknown !== undefined) objects.expected.delete(unknown);
      expect(await objects.violations(it.client(), { exactListing: false })).toEqual([]);
      if (unknown !== undefined) await objects.put(it.client(), unknown, 1000, `settled ${call} ${n}`);
      expect(objects.expected.size).toBeGreaterThanOrEqual(expected.size);
      await it.kill();
      if (!wasKilled) break;
      kills += 1;
    }
    // A call that this sequence never makes often enough is no test.
    if (call === 'pwrite64') expect(kills).toBeGreaterThan(2);
  },
);
