import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { AcknowledgedObjects } from './acknowledged-objects.ts';
import { payloadOf } from './payload.ts';
import { callOver, readHistory } from './power-loss/read-histories.ts';
import { VersionWorkload } from './power-loss/version-workload.ts';
import { eventually, TestServer } from './server-process.ts';

const PART_BYTES = 5 * 1024 * 1024;

/** What is swept: a process does it from its start, and is killed somewhere in it. */
export interface SweptWork {
  /** While no process runs, or with one of its own: brings the store to where the work begins. It is not killed. */
  prepare(visit: string): Promise<void>;
  /** Resolves when the work is done; rejects when the process is gone. */
  work(visit: string): Promise<void>;
  /** With a process that runs: one sentence for each promise that does not hold. */
  violations(visit: string): Promise<string[]>;
}

export type SweepName = 'writes' | 'versions' | 'healing' | 'collecting' | 'checkpointing';

export interface Sweep {
  server: TestServer;
  swept: SweptWork;
}

/** A store, and a work on it, with no process that runs. */
export async function makeSweep(name: SweepName): Promise<Sweep> {
  const environment = name === 'checkpointing' ? { HOLDFAST_CHECKPOINT_SIZE: '1 MiB' } : {};
  const server = await TestServer.create({ environment });
  const objects = new AcknowledgedObjects('bucket');
  await objects.createBucket(server.client());
  const swept = await makeWork(name, server, objects);
  await server.kill();
  // What the first visit collects.
  if (name === 'collecting') await swept.prepare('before');
  return { server, swept };
}

async function makeWork(name: SweepName, server: TestServer, objects: AcknowledgedObjects): Promise<SweptWork> {
  switch (name) {
    case 'writes':
      return new Writes(server, objects);
    case 'versions': {
      const versions = new VersionWorkload(() => server.client());
      await versions.createBucket();
      return new Versions(server, versions);
    }
    case 'healing':
      for (let n = 0; n < 8; n++) await objects.put(server.client(), `key/${n}`, [700, 40_000, 1_500_000][n % 3] ?? 1);
      return new Healing(server, objects);
    case 'collecting':
      return new Collecting(server, objects);
    case 'checkpointing':
      return new Checkpointing(server, objects);
  }
}

/** PUT, overwrite, UploadPart, Complete, Copy, DELETE: one after the other, until the first that has no answer. */
class Writes implements SweptWork {
  readonly #server: TestServer;
  readonly #objects: AcknowledgedObjects;
  #underWay: string | undefined;

  constructor(server: TestServer, objects: AcknowledgedObjects) {
    this.#server = server;
    this.#objects = objects;
  }

  async prepare(): Promise<void> {}

  async work(visit: string): Promise<void> {
    const client = this.#server.client();
    const { bucket, expected } = this.#objects;
    for (const [key, size] of [
      ['small', 3000],
      ['overwritten', 500],
      ['large', 1_400_000],
    ] as const) {
      this.#underWay = key;
      await this.#objects.put(client, key, size, `${visit} ${key}`);
    }
    this.#underWay = 'multipart';
    await this.#multipart('multipart', `${visit} multipart`);
    this.#underWay = 'copy';
    await client.send(new CopyObjectCommand({ Bucket: bucket, Key: 'copy', CopySource: `${bucket}/large` }));
    expected.set('copy', expected.get('large') ?? { identity: '', sizeBytes: 0 });
    this.#underWay = 'overwritten';
    await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'overwritten' }));
    expected.delete('overwritten');
    this.#underWay = undefined;
  }

  async #multipart(key: string, identity: string): Promise<void> {
    const client = this.#server.client();
    const body = payloadOf(identity, PART_BYTES + 1000);
    const at = { Bucket: this.#objects.bucket, Key: key };
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(at));
    const Parts = [];
    for (const [index, Body] of [body.subarray(0, PART_BYTES), body.subarray(PART_BYTES)].entries()) {
      const PartNumber = index + 1;
      const { ETag } = await client.send(new UploadPartCommand({ ...at, UploadId, PartNumber, Body }));
      Parts.push({ PartNumber, ETag });
    }
    await client.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } }));
    this.#objects.expected.set(key, { identity, sizeBytes: body.length });
  }

  async violations(visit: string): Promise<string[]> {
    const unknown = this.#underWay;
    this.#underWay = undefined;
    const client = this.#server.client();
    // The write that was under way may be there, or what was there before, or nothing.
    if (unknown !== undefined) this.#objects.expected.delete(unknown);
    const found = await this.#objects.violations(client, { exactListing: false });
    if (unknown !== undefined) await this.#objects.put(client, unknown, 1000, `settled ${visit}`);
    return found;
  }
}

/** Versions, delete markers, tags, encrypted bodies, retention, a legal hold. */
class Versions implements SweptWork {
  readonly #server: TestServer;
  readonly #versions: VersionWorkload;
  #visits = 0;

  constructor(server: TestServer, versions: VersionWorkload) {
    this.#server = server;
    this.#versions = versions;
  }

  async prepare(): Promise<void> {}

  async work(visit: string): Promise<void> {
    await this.#versions.work(this.#visits++, visit.replaceAll(' ', '-'));
  }

  /** Those of this visit, and those of the first: what is locked is there for good. */
  async violations(visit: string): Promise<string[]> {
    const keys = this.#versions.keys();
    const looked = keys.filter((key, index) => index < 3 || key.startsWith(`${visit.replaceAll(' ', '-')}/`));
    const call = callOver(this.#server);
    const found = await Promise.all(looked.map(async (key) => this.#versions.judge(key, await readHistory(call, key))));
    return found.filter((text) => text !== undefined);
  }
}

abstract class BackgroundWork implements SweptWork {
  protected readonly server: TestServer;
  protected readonly objects: AcknowledgedObjects;

  constructor(server: TestServer, objects: AcknowledgedObjects) {
    this.server = server;
    this.objects = objects;
  }

  abstract prepare(visit: string): Promise<void>;
  abstract work(visit: string): Promise<void>;

  protected until(what: string, isDone: () => boolean): Promise<void> {
    return eventually(
      what,
      () => {
        if (!this.server.isAlive) throw new Error('the process is gone');
        return Promise.resolve(isDone());
      },
      60_000,
    );
  }

  protected names(folder: string, diskIndex: number): string[] {
    const path = join(this.server.diskPaths[diskIndex] ?? '', folder);
    return existsSync(path) ? readdirSync(path) : [];
  }

  async violations(): Promise<string[]> {
    const found = await this.objects.violations(this.server.client());
    const census = await this.server.command(
      'census',
      '--wait',
      '--timeout',
      '60',
      '--state',
      this.server.stateDirectory,
    );
    return census.status === 0 ? found : [...found, census.output];
  }
}

/** The shard files of a disk are gone; they are made again. */
class Healing extends BackgroundWork {
  #disk = 0;
  #lost: string[] = [];

  override async prepare(): Promise<void> {
    this.#disk = (this.#disk + 1) % 6;
    this.#lost = this.names('volumes', this.#disk);
    for (const name of this.#lost) rmSync(join(this.server.diskPaths[this.#disk] ?? '', 'volumes', name));
    await Promise.resolve();
  }

  override async work(): Promise<void> {
    await this.until('the shard files are there again', () => {
      const names = this.names('volumes', this.#disk);
      return this.#lost.every((name) => names.includes(name));
    });
  }
}

/** Nearly all of a volume is overwritten: what lives is written elsewhere, and its files are removed. */
class Collecting extends BackgroundWork {
  #dying: string[] = [];
  #made: string[] = [];

  override async prepare(visit: string): Promise<void> {
    await this.server.start();
    const client = this.server.client();
    const before = this.names('volumes', 0);
    for (let n = 0; n < 3; n++) await this.objects.put(client, `over/${n}`, 60_000, `${visit} ${n}`);
    await this.objects.put(client, 'over/large', 2_500_000, `${visit} large`);
    const kept = `kept/${this.objects.expected.size % 12}`;
    await this.objects.put(client, kept, 5000, `${visit} kept`);
    this.#dying = this.#made;
    this.#made = this.names('volumes', 0).filter((name) => !before.includes(name));
    await this.server.kill();
  }

  override async work(): Promise<void> {
    await this.until('the files of the volumes that died are gone', () => {
      const names = [0, 1, 2, 3, 4, 5].flatMap((disk) => this.names('volumes', disk));
      return !this.#dying.some((name) => names.includes(name));
    });
  }
}

/** More journal than a checkpoint waits for: one is made, an older one is removed and the journals are cut. */
class Checkpointing extends BackgroundWork {
  override async prepare(): Promise<void> {
    await Promise.resolve();
  }

  override async work(visit: string): Promise<void> {
    const { bucket } = this.objects;
    const client = this.server.client();
    const checkpoints = (): string[] => {
      const names = [0, 1, 2, 3, 4, 5].flatMap((disk) => this.names('journal', disk));
      return names.filter((name) => name.startsWith('checkpoint-'));
    };
    const before = new Set(checkpoints());
    const Statement = [{ Effect: 'Deny', Principal: '*', Action: 's3:PutObject', Resource: [] as string[] }];
    for (let n = 0; n < 160; n++) Statement[0]?.Resource.push(`arn:aws:s3:::${bucket}/${'x'.repeat(80)}/${n}/*`);
    for (let n = 0; n < 100 && checkpoints().filter((name) => !before.has(name)).length < 3; n++) {
      const Policy = JSON.stringify({ Version: '2012-10-17', Id: `${visit} ${n}`, Statement });
      await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
      if (n % 20 === 0) await this.#put(`${n}`, visit);
    }
    await this.until('a checkpoint is on three disks', () => {
      return checkpoints().filter((name) => !before.has(name)).length >= 3;
    });
  }

  async #put(name: string, visit: string): Promise<void> {
    const { bucket, expected } = this.objects;
    const [Key, identity] = [`key/${name}`, `${visit} ${name}`];
    expected.delete(Key); // Until it is acknowledged it may be either.
    const Body = payloadOf(identity, 3000);
    await this.server.client().send(new PutObjectCommand({ Bucket: bucket, Key, Body }));
    expected.set(Key, { identity, sizeBytes: 3000 });
  }

  override async violations(): Promise<string[]> {
    return this.objects.violations(this.server.client(), { exactListing: false });
  }
}
