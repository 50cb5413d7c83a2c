import { S3Client } from '@aws-sdk/client-s3';
import { afterEach, expect, it } from 'vitest';
import { Random } from '../../../bench/chaos/random.ts';
import { Recorder } from '../../../bench/chaos/recorder.ts';
import { VersionedKeys } from '../../../bench/chaos/versioned-keys.ts';
import { LyingVersionServer, type VersionLie } from '../../support/lying-version-server.ts';

let server: LyingVersionServer | undefined;
let client: S3Client | undefined;

afterEach(async () => {
  client?.destroy();
  await server?.stop();
});

async function violationsWith(lie: VersionLie): Promise<string[]> {
  server = await LyingVersionServer.start();
  const made = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  client = made;
  const recorder = new Recorder();
  const sizes = [0];
  const keys = new VersionedKeys({
    client: () => made,
    bucket: 'bucket',
    seed: 3,
    random: new Random(3),
    recorder,
    attempt: async (_, send) => {
      try {
        await send();
        return { outcome: 'ok', status: 200 };
      } catch (error) {
        const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode ?? 0;
        return { outcome: status >= 500 || status === 0 ? 'unknown' : 'refused', status };
      }
    },
    newWrite: (sizeBytes) => sizes.push(100 + (sizeBytes % 2000)) - 1,
    sizeOf: (writeId) => sizes[writeId] ?? 0,
    settleMs: 0,
  });
  const steps = async (count: number): Promise<void> => {
    for (let n = 0; n < count && recorder.violations.length === 0; n++) await keys.step();
  };
  await steps(300);
  await keys.verifyAll();
  expect(recorder.violations).toEqual([]);
  server.lie = lie;
  await steps(200);
  keys.settleBefore(Number.POSITIVE_INFINITY);
  await keys.verifyAll();
  await keys.verifyAll();
  return recorder.violations;
}

it('the checker of versions finds nothing wrong with an honest server', async () => {
  expect(await violationsWith('none')).toEqual([]);
});

it.each<VersionLie>([
  'forgets-a-version',
  'brings-back-what-was-removed',
  'mixes-up-versions',
  'reorders-versions',
  'makes-another-the-latest',
  'fails-then-hides-what-it-showed',
])('the checker of versions notices a server that %s', async (lie) => {
  expect(await violationsWith(lie)).not.toEqual([]);
});
