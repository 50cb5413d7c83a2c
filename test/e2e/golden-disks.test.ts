import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, lstatSync, openSync, readdirSync, readFileSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import {
  CompleteMultipartUploadCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
} from '@aws-sdk/client-s3';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { inspectFile } from '../../src/composition/inspect/inspect-file.ts';
import { repositoryRoot } from '../repository/tracked-files.ts';
import { goldenManifest, goldenVersions, unpackGoldenDisks } from '../support/golden-disks.ts';
import { ask, goldenCustomerKey, readVersion } from '../support/golden-features.ts';
import { TestServer } from '../support/server-process.ts';

// Unpacking and starting take a second; a loaded machine has more to do.
vi.setConfig({ testTimeout: 150_000 });

let server: TestServer | undefined;
afterEach(async () => {
  await server?.destroy();
  server = undefined;
});

/** Not running; the root key is the one that is stored on the disks. */
async function goldenServer(version: number): Promise<TestServer> {
  return (server = await TestServer.over(({ folder }) => unpackGoldenDisks(version, folder), {
    environment: {
      HOLDFAST_ROOT_ACCESS_KEY_ID: undefined,
      HOLDFAST_ROOT_SECRET_ACCESS_KEY: undefined,
      ...goldenManifest(version).environment,
    },
  }));
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
}

/** Any write would show. */
function traceOf(it: TestServer): string[] {
  return it.diskPaths.flatMap(filesBelow).map((file) => {
    const { ino, size, mtimeNs } = lstatSync(file, { bigint: true });
    return `${file} ${ino} ${size} ${mtimeNs}`;
  });
}

interface RescuedLine {
  bucket: string;
  key: string;
  file?: string | null;
  versionId?: string | null;
}

const INSPECTED = /disk\.json$|journal\/(state|\d+-\d+\.seg|checkpoint-.*)$|\.shard$/;

describe.each(goldenVersions())('golden disks of format version %i', (version) => {
  const manifest = goldenManifest(version);

  test('inspect finds every file of them good, and they hold narrow volumes, moved shards and a checkpoint', async () => {
    const it = await goldenServer(version);
    const widths = new Set<string>();
    const kinds = new Set<string>();
    const listsOfDisks = new Set<string>();
    for (const file of it.diskPaths.flatMap(filesBelow).filter((name) => INSPECTED.test(name))) {
      const report = await inspectFile(file, { kind: undefined, withRecords: true });
      expect(report?.problems, file).toEqual([]);
      kinds.add(report!.kind);
      if (report!.kind !== 'shard') continue;
      widths.add(`${String(report!.facts['k'])}+${String(report!.facts['m'])}`);
      listsOfDisks.add(String(report!.facts['diskIds']));
    }
    expect([...kinds].toSorted()).toEqual(['checkpoint', 'disk', 'segment', 'shard', 'state']);
    // From format 2 on storage classes have codes of their own.
    expect([...widths].toSorted()).toEqual(version === 1 ? ['2+2', '4+2'] : ['2+2', '3+3', '4+2', '5+1']);
    // The narrow list, the one before the replacement, and the one that names the new disk.
    expect(listsOfDisks.size).toBeGreaterThanOrEqual(3);
  });

  test(
    'the server opens them, everything reads back with the stored key, and the census is clean',
    { timeout: 150_000 },
    async () => {
      const it = await goldenServer(version);
      await it.start({ readyWithinMs: 60_000 });
      const client = it.client({ credentials: manifest.credentials });
      for (const { bucket, key, sizeBytes, sha256, etag, metadata } of manifest.objects) {
        const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        const bytes = Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
        const found = { sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
        expect({ ...found, etag: answer.ETag, metadata: answer.Metadata }, key).toEqual({
          sizeBytes,
          sha256,
          etag,
          metadata,
        });
      }
      for (const { sizeBytes, sha256, etag, ...version } of manifest.versions ?? []) {
        const found = await readVersion(client, { sizeBytes, sha256, etag, ...version });
        expect(found, `${version.bucket}/${version.key}`).toEqual({ sizeBytes, sha256, etag });
      }
      for (const { operation, input, answer } of manifest.answers ?? []) {
        expect(await ask(client, operation, input), `${operation} ${JSON.stringify(input)}`).toEqual(answer);
      }
      for (const bucket of new Set(manifest.objects.map((object) => object.bucket))) {
        const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
        const wanted = manifest.objects.filter((object) => object.bucket === bucket).map(({ key }) => key);
        expect(Contents.map(({ Key = '' }) => Key).toSorted()).toEqual(wanted.toSorted());
      }
      for (const { bucket, key, uploadId, partNumbers } of manifest.uploads) {
        const address = { Bucket: bucket, Key: key, UploadId: uploadId };
        const { Parts = [] } = await client.send(new ListPartsCommand(address));
        expect(Parts.map(({ PartNumber }) => PartNumber)).toEqual(partNumbers);
        await client.send(new CompleteMultipartUploadCommand({ ...address, MultipartUpload: { Parts } }));
      }
      const census = await it.command('census', '--wait', '--timeout', '30', '--state', it.stateDirectory);
      expect(census).toMatchObject({ status: 0 });
    },
  );

  test('the rescue reader extracts every object of them from the disks that are enough', async () => {
    const it = await goldenServer(version);
    const to = join(it.folder, 'rescued');
    const rescue = join(repositoryRoot, 'tools/rescue/rescue.py');
    // One class of format 2 survives the loss of one disk only.
    const lostCount = version === 1 ? 2 : 1;
    const customerKey = join(it.folder, 'customer.key');
    writeFileSync(customerKey, goldenCustomerKey());
    const keys =
      version === 1 ? [] : ['--master-key', join(it.stateDirectory, 'master.key'), '--customer-key', customerKey];
    const args = [rescue, 'extract', '--to', to, ...keys, ...it.diskPaths.slice(lostCount)];
    const { status, stderr } = spawnSync('python3', args, { encoding: 'utf8' });
    const versions = manifest.versions ?? [];
    const count = manifest.objects.length + versions.length;
    expect(stderr).toContain(`${count} of ${count} versions`);
    expect(status).toBe(0);
    const lines = readFileSync(join(to, 'objects.jsonl'), 'utf8').trim().split('\n');
    const found = lines.map((line) => {
      const { bucket, key, file, versionId } = JSON.parse(line) as RescuedLine;
      // A delete marker has no file.
      if (file === undefined || file === null) return [];
      const sha256 = createHash('sha256')
        .update(readFileSync(join(to, file)))
        .digest('hex');
      return [`${bucket}/${key} ${versionId ?? 'null'} ${sha256}`];
    });
    const wanted = [...manifest.objects, ...versions].map((one) => {
      return `${one.bucket}/${one.key} ${'versionId' in one ? one.versionId : 'null'} ${one.sha256}`;
    });
    expect(found.flat().toSorted()).toEqual(wanted.toSorted());
  });
});

describe('disks of a newer version than this server knows are refused by name, and nothing is written', () => {
  const newest = Math.max(...goldenVersions());

  test('disk.json', async () => {
    const it = await goldenServer(newest);
    const file = join(it.diskPaths[2]!, 'disk.json');
    const text = readFileSync(file, 'utf8').replace('"formatVersion": 1', '"formatVersion": 2');
    writeFileSync(file, text);
    await expectRefused(it, 'has disk format version 2', file);
  });

  test('journal/state', async () => {
    const it = await goldenServer(newest);
    const file = join(it.diskPaths[2]!, 'journal/state');
    const body = readFileSync(file, 'utf8')
      .split('\n')[0]!
      .replace(/"format":\d(,"neededVersion":"[^"]*")?/, '"format":9,"neededVersion":"9.9.0"');
    writeFileSync(file, `${body}\n${crc32c(Buffer.from(body)).toString(16).padStart(8, '0')}\n`);
    await expectRefused(it, 'it needs Holdfast 9.9.0 or newer', file);
  });

  test('a frame of the journal', async () => {
    const it = await goldenServer(newest);
    const journal = join(it.diskPaths[2]!, 'journal');
    const name = readdirSync(journal)
      .filter((each) => /^\d+-\d+\.seg$/.test(each))
      .toSorted()[0]!;
    const file = join(journal, name);
    const report = await inspectFile(file, { kind: undefined, withRecords: false });
    const last = report!.items.findLast(({ state }) => state === 'good')!;
    const descriptor = openSync(file, 'r+');
    const frame = Buffer.alloc(last.lengthBytes);
    readSync(descriptor, frame, 0, frame.length, last.offset);
    frame[8] = 2;
    frame.writeUInt32LE(crc32c(frame.subarray(8)), 4);
    writeSync(descriptor, frame, 0, frame.length, last.offset);
    closeSync(descriptor);
    await expectRefused(it, 'a journal frame has version 2', file);
  });

  async function expectRefused(it: TestServer, message: string, file: string): Promise<void> {
    const before = traceOf(it);
    await expect(it.start()).rejects.toThrow(message);
    expect(traceOf(it)).toEqual(before);
    const inspected = await it.command('inspect', file);
    expect(inspected).toMatchObject({ status: 1, stdout: expect.stringContaining(message) as unknown });
    const good = await it.command('inspect', join(it.diskPaths[0]!, 'disk.json'), '--json');
    expect(good.status).toBe(0);
    expect(JSON.parse(good.stdout)).toMatchObject({ kind: 'disk', problems: [] });
  }
});
