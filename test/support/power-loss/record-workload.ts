import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { repositoryRoot } from '../../repository/tracked-files.ts';
import { payloadOf } from '../payload.ts';
import { TestServer } from '../server-process.ts';
import { ReplayedTree } from './replayed-tree.ts';
import { type RecordedHistory, VersionWorkload } from './version-workload.ts';

const PART_BYTES = 5 * 1024 * 1024;

/** A write of one key: its body, or undefined for a deletion, and the length of the log when it began and was acknowledged. */
export interface RecordedWrite {
  bucket: string;
  key: string;
  body: Buffer | undefined;
  beganBytes: number;
  acknowledgedBytes: number;
}

export interface Recording {
  server: TestServer;
  /** The store as it was before the first recorded call; a replay of its own each. */
  trees: ReplayedTree[];
  logPath: string;
  writes: RecordedWrite[];
  /** Of the keys of the versioned bucket. */
  histories: RecordedHistory[];
  masterKey: Buffer;
  /** Length of the log when the work began: the start of the server lies before it. */
  workBeganBytes: number;
}

/** Builds the recorder, runs the real server under it through a fixed sequence of writes, and kills it. */
export async function recordWorkload(rounds: number): Promise<Recording> {
  const masterKey = randomBytes(32);
  const server = await TestServer.create({ environment: { HOLDFAST_MASTER_KEY: masterKey.toString('hex') } });
  await server.stop();
  const library = join(server.folder, 'recorder.so');
  const source = join(repositoryRoot, 'test/support/power-loss/recorder.c');
  execFileSync('cc', ['-O2', '-shared', '-fPIC', '-o', library, source, '-ldl', '-lpthread']);
  const logPath = join(server.folder, 'calls.log');
  const trees = [new ReplayedTree(server.folder), new ReplayedTree(server.folder)];
  await server.start({
    environment: { LD_PRELOAD: library, RECORD_ROOT: server.folder, RECORD_LOG: logPath },
  });
  const recorder = new WriteRecorder(server.client(), logPath);
  const workBeganBytes = recorder.logBytes();
  const versions = new VersionWorkload(
    () => recorder.client,
    () => recorder.logBytes(),
  );
  await versions.createBucket();
  for (let round = 0; round < rounds; round++) await Promise.all([work(recorder, round), versions.work(round)]);
  await server.kill();
  const { histories } = versions;
  return { server, trees, logPath, writes: recorder.writes, histories, masterKey, workBeganBytes };
}

class WriteRecorder {
  readonly client: S3Client;
  readonly writes: RecordedWrite[] = [];
  readonly #logPath: string;

  constructor(client: S3Client, logPath: string) {
    this.client = client;
    this.#logPath = logPath;
  }

  logBytes(): number {
    return statSync(this.#logPath).size;
  }

  /** `send` must resolve when the server has acknowledged the write. */
  async record(bucket: string, key: string, body: Buffer | undefined, send: () => Promise<unknown>): Promise<void> {
    const beganBytes = this.logBytes();
    await send();
    this.writes.push({ bucket, key, body, beganBytes, acknowledgedBytes: this.logBytes() });
  }

  async put(bucket: string, key: string, body: Buffer): Promise<void> {
    await this.record(bucket, key, body, () =>
      this.client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body })),
    );
  }

  async delete(bucket: string, key: string): Promise<void> {
    await this.record(bucket, key, undefined, () =>
      this.client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key })),
    );
  }
}

/** Every kind of write, alone and at once; keys are written again in each round. */
async function work(recorder: WriteRecorder, round: number): Promise<void> {
  const { client } = recorder;
  const bucket = 'main';
  if (round === 0) await client.send(new CreateBucketCommand({ Bucket: bucket }));
  const body = (key: string, size: number): Buffer => payloadOf(`${key} ${round}`, size);
  await recorder.put(bucket, 'small', body('small', 3000));
  await recorder.put(bucket, 'empty', Buffer.alloc(0));
  await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      recorder.put(bucket, `many/${index}`, body(`many ${index}`, index * 5000)),
    ),
  );
  const large = body('large', 1_400_000);
  await recorder.put(bucket, 'large', large);
  await recorder.record(bucket, 'copy', large, () =>
    client.send(new CopyObjectCommand({ Bucket: bucket, Key: 'copy', CopySource: `${bucket}/large` })),
  );
  await recorder.delete(bucket, 'small');
  await Promise.all([
    recorder.put(bucket, 'small', body('small again', 700)),
    recorder.delete(bucket, `many/${round % 12}`),
    recorder.put(bucket, 'large', body('large again', 300_000)),
  ]);
  const whole = body('multipart', PART_BYTES + 1000);
  const target = { Bucket: bucket, Key: 'multipart' };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(target));
  const Parts = await Promise.all(
    [whole.subarray(0, PART_BYTES), whole.subarray(PART_BYTES)].map(async (Body, index) => {
      const { ETag } = await client.send(new UploadPartCommand({ ...target, UploadId, PartNumber: index + 1, Body }));
      return { ETag, PartNumber: index + 1 };
    }),
  );
  await recorder.record(bucket, 'multipart', whole, () =>
    client.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } })),
  );
  const abandoned = await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: 'abandoned' }));
  const upload = { Bucket: bucket, Key: 'abandoned', UploadId: abandoned.UploadId };
  await client.send(new UploadPartCommand({ ...upload, PartNumber: 1, Body: body('abandoned', 9000) }));
  await client.send(new AbortMultipartUploadCommand(upload));
  await client.send(new CreateBucketCommand({ Bucket: 'passing' }));
  await client.send(new DeleteBucketCommand({ Bucket: 'passing' }));
}
