import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c } from '@node-rs/crc32';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { inspectFile } from '../../../src/composition/inspect/inspect-file.ts';
import type { FileKind, InspectReport } from '../../../src/composition/inspect/inspection.ts';
import { writeBlobEntry } from '../../../src/data-store/stripe/blob-entry.ts';
import { makeStripeHeaders, stripeHeaderLength } from '../../../src/data-store/stripe/stripe-header.ts';
import { encodeVolumeHeader, VOLUME_HEADER_BYTES } from '../../../src/data-store/volume/volume-file.ts';
import { encodeIdentity } from '../../../src/disk/disk-identity.ts';
import { RealDiskFs } from '../../../src/disk/real-disk-fs.ts';
import {
  checkpointIdentity,
  readSnapshotBlocks,
  writeCheckpointFile,
} from '../../../src/metadata-store/journal/checkpoint-file.ts';
import { clusterTagOf, encodeFrame, frameBytesFor, zeroPosition } from '../../../src/metadata-store/journal/frame.ts';
import { encodeState } from '../../../src/metadata-store/journal/journal-state.ts';
import { BatchEncoder } from '../../../src/metadata-store/records/record-codec.ts';
import { INDEX_SCHEMA } from '../../../src/metadata-store/sqlite/index-schema.ts';
import { encodeBlobDescriptor } from '../../../src/service/blob-descriptor.ts';

const CLUSTER_ID = '11111111-1111-4111-8111-111111111111';
const DISK_IDS = [2, 3, 4].map((digit) => `11111111-1111-4111-8111-11111111111${digit}`);
const TAG = clusterTagOf(CLUSTER_ID);
const CONFIGURATION = { k: 2, m: 1, diskIds: DISK_IDS, journalDiskIds: DISK_IDS };

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-inspect-test-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

async function inspect(
  content: Buffer,
  { name = 'copy', withRecords = false, kind }: { name?: string; withRecords?: boolean; kind?: FileKind } = {},
): Promise<InspectReport | undefined> {
  writeFileSync(join(folder, name), content);
  const report = await inspectFile(join(folder, name), { kind, withRecords });
  expect(readFileSync(join(folder, name)).equals(content)).toBe(true);
  return report;
}

function flipped(content: Buffer, offset: number): Buffer {
  const changed = Buffer.from(content);
  changed[offset]! ^= 0x20;
  return changed;
}

const problemsOf = (report: InspectReport | undefined): string[] =>
  report?.problems.map(({ offset, problem }) => `${offset}: ${problem}`) ?? ['no report'];

// ——— disk.json and journal/state ———

const identity = encodeIdentity({
  clusterId: CLUSTER_ID,
  diskId: DISK_IDS[1]!,
  index: 1,
  k: 2,
  m: 1,
  diskIds: DISK_IDS,
  createdAtMs: 0,
  addedAtSequence: 0,
});

test('a disk.json is recognized without its name and decoded', async () => {
  const report = await inspect(identity);
  expect(report).toMatchObject({ kind: 'disk', problems: [], facts: { clusterId: CLUSTER_ID, index: 1, k: 2, m: 1 } });
});

test('a disk.json that was changed is bad, one of a newer version is told apart', async () => {
  const changed = Buffer.from(identity.toString().replace('"index": 1', '"index": 2'));
  expect(problemsOf(await inspect(changed))[0]).toContain('its checksum does not match');
  const newer = await inspect(Buffer.from(identity.toString().replace('"formatVersion": 1', '"formatVersion": 2')));
  expect(newer?.items[0]?.state).toBe('newer');
  expect(problemsOf(newer)[0]).toContain('disk format version 2');
});

const state = encodeState({
  format: 2,
  clusterId: CLUSTER_ID,
  diskId: DISK_IDS[0]!,
  generation: 1,
  firstSegment: 0,
  lastSegment: 2,
  segmentBytes: 65_536,
  base: zeroPosition,
  configuration: CONFIGURATION,
  reservedEpoch: 7,
  checkpoints: [],
  voidNotes: [],
});

test('a journal state is decoded; a flipped byte and a newer format are told', async () => {
  expect(await inspect(state)).toMatchObject({
    kind: 'state',
    problems: [],
    facts: { reservedEpoch: 7, generation: 1 },
  });
  expect(problemsOf(await inspect(flipped(state, 40)))[0]).toMatch(
    /checksum of the first line is \w{8}, the second line says/,
  );
  expect(problemsOf(await inspect(state.subarray(0, 60)))[0]).toContain('not two lines');
  const body = state.toString().split('\n')[0]!.replace('"format":2', '"format":3');
  const newer = await inspect(Buffer.from(`${body}\n${crc32c(Buffer.from(body)).toString(16).padStart(8, '0')}\n`));
  expect(newer?.items[0]?.state).toBe('newer');
});

// ——— journal segment ———

function batch(number: number): Buffer {
  const encoder = new BatchEncoder();
  encoder.add({ type: 'DeleteObject', bucketId: 5, key: Buffer.from(`key ${number}`) });
  return encoder.toBuffer(number);
}

/** Frames 1 … count of one chain, then zeros. */
function segment(count: number, { firstSequence = 1 } = {}): Buffer {
  const frames: Buffer[] = [];
  let previous = { ...zeroPosition, sequence: firstSequence - 1 };
  for (let index = 0; index < count; index++) {
    const payload = batch(index + 1);
    const frame = Buffer.alloc(frameBytesFor(payload.length));
    const sequence = firstSequence + index;
    const content = { kind: 'payload', epoch: 1, sequence, previous, acknowledged: previous } as const;
    const hash = encodeFrame(frame, { ...content, writtenAtMs: 0, configurationSequence: 0 }, payload, TAG);
    previous = { epoch: 1, sequence, hash };
    frames.push(frame);
  }
  return Buffer.concat([...frames, Buffer.alloc(16_384)]);
}

test('a segment shows epoch, sequence, hash and what is acknowledged of every frame; records on demand', async () => {
  const report = await inspect(segment(3), { withRecords: true });
  expect(report).toMatchObject({ kind: 'segment', problems: [], facts: { frames: 3, last: 'epoch 1 sequence 3' } });
  expect(report?.items.map(({ state: each }) => each)).toEqual(['good', 'good', 'good', 'empty']);
  expect(report?.items.map(({ facts }) => facts['acknowledged'])).toEqual([
    'yes',
    'yes',
    'not told in this file',
    undefined,
  ]);
  expect(report?.items[1]?.facts).toMatchObject({
    epoch: 1,
    sequence: 2,
    batchNumber: 2,
    records: [{ type: 'DeleteObject', bucketId: 5, key: 'key 2' }],
  });
});

test('a bad frame with newer ones behind it is damage, and says which sequences are missing', async () => {
  const report = await inspect(flipped(segment(4), 4096 + 140));
  expect(problemsOf(report)).toEqual([
    '4096: the checksum of the frame of 4096 bytes does not match; newer frames follow, so this is damage',
    '8192: it does not follow the frame before it: sequences 2 to 2 are missing here',
  ]);
});

test('a bad last frame is told as torn or damaged, also when its magic is gone', async () => {
  expect(problemsOf(await inspect(flipped(segment(2), 4096 + 140)))[0]).toContain(
    'the last frame was torn, or is damaged',
  );
  expect(problemsOf(await inspect(flipped(segment(2), 4096)))[0]).toContain('no frame begins here');
});

test('frames of an earlier life of the file, whole or written over in part, are old and not bad', async () => {
  const recycled = segment(5);
  segment(2, { firstSequence: 50 }).copy(recycled, 0, 0, 8192);
  recycled.fill(0x77, 8192, 8192 + 4096);
  const report = await inspect(recycled);
  expect(report?.problems).toEqual([]);
  expect(report?.items.map(({ state: each }) => each)).toEqual(['good', 'good', 'old', 'old', 'old', 'empty']);
  expect(report?.facts).toMatchObject({ frames: 2, last: 'epoch 1 sequence 51' });
});

test('a frame of a newer version, of another cluster, and a cut file are told', async () => {
  const newer = segment(2);
  newer[4096 + 8] = 2;
  newer.writeUInt32LE(crc32c(newer.subarray(4096 + 8, 8192)), 4096 + 4);
  const report = await inspect(newer);
  expect(report?.items[1]?.state).toBe('newer');
  expect(problemsOf(report)[0]).toContain('a journal frame has version 2');
  const foreign = segment(2);
  const payload = batch(2);
  const frame = Buffer.alloc(4096);
  const previous = { ...zeroPosition, sequence: 1 };
  const content = { kind: 'payload', epoch: 1, sequence: 2, previous, acknowledged: zeroPosition } as const;
  encodeFrame(frame, { ...content, writtenAtMs: 0, configurationSequence: 0 }, payload, clusterTagOf(DISK_IDS[0]!));
  frame.copy(foreign, 4096);
  expect(problemsOf(await inspect(foreign))).toEqual(['4096: it is a frame of another cluster']);
  expect(problemsOf(await inspect(segment(2).subarray(0, 6000))).join()).toContain('the file ends inside the frame');
});

// ——— shard file ———

function shardFile(): Buffer {
  const header = Buffer.alloc(VOLUME_HEADER_BYTES);
  const shape = { volumeId: 77, ...CONFIGURATION, purpose: 'small', shardSizeBytes: 4096 } as const;
  encodeVolumeHeader(header, shape, 0);
  const shards = [0, 1].map((stripeNumber) => {
    const code = { kind: 'small', k: 1, m: 1 } as const;
    const headerBytes = stripeHeaderLength(code);
    const payloads = Buffer.alloc(2 * (1024 - headerBytes));
    const descriptor = encodeBlobDescriptor({
      kind: 'part',
      bucketId: 1,
      bucketName: 'bucket',
      key: `key ${stripeNumber}`,
      content: { sizeBytes: 10, etag: 'e', lastModifiedMs: 0 },
      uploadId: 'upload',
      partNumber: 3,
    });
    const body = writeBlobEntry(payloads, 0, { blobId: 9, kind: 'small', bodyLengthBytes: 10, descriptor });
    const offset = VOLUME_HEADER_BYTES + stripeNumber * 2048;
    const places = [
      { slot: 0, offset },
      { slot: 2, offset: 4096 },
    ];
    const facts = { ...code, volumeId: 77, shardLengthBytes: 1024, places, stripeNumber };
    const { headers } = makeStripeHeaders(payloads, { ...facts, blobId: 0, blobOffset: 0, dataBytes: 0 }, [
      body + 10,
      0,
    ]);
    return Buffer.concat([
      headers.subarray(0, headerBytes),
      payloads.subarray(0, 1024 - headerBytes),
      Buffer.alloc(1024),
    ]);
  });
  return Buffer.concat([header, ...shards]);
}

test('a shard file shows its first block, shards, zeros between them, and what each entry describes', async () => {
  const report = await inspect(shardFile());
  expect(report).toMatchObject({
    kind: 'shard',
    problems: [],
    facts: { volumeId: 77, slot: 0, shards: 2, entries: 2 },
  });
  expect(report?.items.map(({ what, offset }) => `${offset} ${what}`)).toEqual([
    '0 first block',
    '4096 data shard',
    '4224 entry',
    '5120 zeros',
    '6144 data shard',
    '6272 entry',
    '7168 zeros',
  ]);
  const [, , entry] = report!.items;
  expect(entry?.facts).toMatchObject({ blobId: 9, describes: 'part', bucket: 'bucket', key: 'key 0', partNumber: 3 });
});

test('a flipped byte in a payload, a header or the first block of a shard file is told at its place', async () => {
  const good = shardFile();
  const payload = await inspect(flipped(good, 6144 + 900));
  expect(problemsOf(payload)[0]).toMatch(/^6144: the header is good, the checksum of the payload is/);
  expect(payload?.facts).toMatchObject({ shards: 2, badShards: 1, entries: 1 });
  expect(problemsOf(await inspect(flipped(good, 6144 + 20)))[0]).toMatch(
    /^6144: the checksum of the header of a shard/,
  );
  const first = await inspect(flipped(good, 100));
  expect(problemsOf(first)).toHaveLength(1);
  expect(first?.facts).toMatchObject({ shards: 2, badShards: 0 });
  expect(problemsOf(await inspect(good.subarray(0, 6500)))[0]).toContain('the file ends inside this shard');
});

test('a shard at a place that is not its own, and a shard file under the wrong name, are bad', async () => {
  const moved = shardFile();
  moved.copy(moved, 5120, 4096, 5120);
  expect(problemsOf(await inspect(moved))[0]).toMatch(
    /^5120: a shard lies here that belongs to another place: volume 77, slot 0, offset 4096/,
  );
  const named = await inspect(shardFile(), { name: '0000000000004e.shard' });
  expect(problemsOf(named)[0]).toContain('named after volume 78');
});

test('a shard file of a newer version is told and not read on', async () => {
  const newer = shardFile();
  newer[8] = 2;
  newer.writeUInt32LE(crc32c(newer.subarray(8, VOLUME_HEADER_BYTES)), 4);
  const report = await inspect(newer);
  expect(report?.items).toMatchObject([{ state: 'newer' }]);
  expect(problemsOf(report)[0]).toContain('has version 2');
});

// ——— checkpoint ———

async function checkpoint(): Promise<Buffer> {
  const snapshot = join(folder, 'snapshot.sqlite');
  const db = new Database(snapshot);
  db.exec(INDEX_SCHEMA);
  db.prepare('UPDATE applied SET batch_number = 9, epoch = 3, sequence = 12, hash = ?').run(Buffer.alloc(16, 5));
  db.prepare("INSERT INTO documents VALUES ('a', 'b', ?)").run(Buffer.alloc(1_500_000, 1));
  db.close();
  const sizeBytes = readFileSync(snapshot).length;
  const position = { epoch: 3, sequence: 12, hash: Buffer.alloc(16, 5) };
  const stored = {
    position,
    configuration: CONFIGURATION,
    name: 'checkpoint-3-12-00000001',
    sizeBytes,
    createdAtMs: 0,
  };
  await readSnapshotBlocks(snapshot, sizeBytes, (readBlock) =>
    writeCheckpointFile(new RealDiskFs(folder), stored.name, stored, checkpointIdentity(stored, TAG), readBlock),
  );
  return readFileSync(join(folder, stored.name));
}

test('a checkpoint shows its blocks and the position that its snapshot was made at', async () => {
  const report = await inspect(await checkpoint());
  expect(report).toMatchObject({
    kind: 'checkpoint',
    problems: [],
    facts: { blocks: 2, appliedBatch: 9, applied: { epoch: 3, sequence: 12, hash: '05'.repeat(16) } },
  });
});

test('bad blocks of a checkpoint are told one by one; a name that says another position is bad', async () => {
  const good = await checkpoint();
  expect(problemsOf(await inspect(flipped(good, 1024 * 1024 + 500)))).toEqual(['1048576: its checksum does not match']);
  expect(problemsOf(await inspect(flipped(good, 0), { name: 'checkpoint-3-12-00000001' }))).toEqual([
    '0: it does not begin with HFC1',
  ]);
  const swapped = Buffer.from(good);
  good.copy(swapped, 1024 * 1024, 0, good.length - 1024 * 1024);
  expect(problemsOf(await inspect(swapped))[0]).toMatch(/^1048576: /);
  expect(problemsOf(await inspect(good, { name: 'checkpoint-3-13-00000001' }))[0]).toContain(
    'the snapshot says otherwise',
  );
  const newer = Buffer.from(good);
  newer.write('HFC2', 0, 'latin1');
  expect((await inspect(newer))?.items[0]?.state).toBe('newer');
});

test('a file that is none of a disk is not judged; --kind judges it', async () => {
  expect(await inspect(Buffer.from('hello'))).toBeUndefined();
  expect(await inspect(Buffer.alloc(8192))).toBeUndefined();
  expect((await inspect(Buffer.alloc(8192), { kind: 'segment' }))?.facts).toMatchObject({ frames: 0 });
});
