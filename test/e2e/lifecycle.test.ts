import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketLifecycleCommand,
  GetBucketLifecycleConfigurationCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { afterEach, expect, test } from 'vitest';
import { eventually, TestServer } from '../support/server-process.ts';

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

const Bucket = 'lifecycle';

test('rules put by an SDK are read back, announced and carried out', { timeout: 60_000 }, async () => {
  server = await TestServer.create({ environment: { HOLDFAST_LIFECYCLE_DAY: '1 s' } });
  const client = server.client();
  await client.send(new CreateBucketCommand({ Bucket }));
  const Rules = [
    { ID: 'short', Status: 'Enabled', Filter: { Prefix: 'tmp/' }, Expiration: { Days: 1 } },
    {
      ID: 'uploads',
      Status: 'Enabled',
      Filter: { Prefix: '' },
      AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
    },
    { ID: 'off', Status: 'Disabled', Filter: { Prefix: 'kept/' }, Expiration: { Days: 1 } },
  ] as const;
  const put = { Bucket, LifecycleConfiguration: { Rules: [...Rules] } };
  await client.send(new PutBucketLifecycleConfigurationCommand(put));
  const read = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }));
  expect(read.Rules).toEqual(Rules);

  const written = await client.send(new PutObjectCommand({ Bucket, Key: 'tmp/a', Body: 'a' }));
  expect(written.Expiration).toMatch(/^expiry-date="\w{3}, \d\d \w{3} \d{4} 00:00:00 GMT", rule-id="short"$/);
  await client.send(new PutObjectCommand({ Bucket, Key: 'kept/a', Body: 'a' }));
  const kept = await client.send(new HeadObjectCommand({ Bucket, Key: 'kept/a' }));
  expect(kept.Expiration).toBeUndefined();
  const upload = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'big' }));
  expect(upload.AbortRuleId).toBe('uploads');
  expect(upload.AbortDate?.getTime()).toBeGreaterThan(Date.now());

  await eventually('tmp/a has expired and the upload is aborted', async () => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket }));
    return Contents.map(({ Key }) => Key).join() === 'kept/a' && Uploads.length === 0;
  });
  const report = (await server.statusReport()) as { lifecycle: { counts: object } };
  expect(report.lifecycle).toMatchObject({ dayMs: 1000, isFrozen: false, counts: { expired: 1, aborted: 1 } });
  expect(server.output).toContain('! lifecycle rules run by a TEST CLOCK: a day is 1 s');
  const { output } = await server.command('status', '--state', server.stateDirectory);
  expect(output).toMatch(
    /Lifecycle {3}TEST CLOCK, a day is 1 s; .* expired 1 objects, ended 0 old versions and 1 uploads/,
  );

  await client.send(new DeleteBucketLifecycleCommand({ Bucket }));
  await expect(client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))).rejects.toMatchObject({
    name: 'NoSuchLifecycleConfiguration',
  });
});
