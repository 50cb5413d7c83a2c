import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareChecksums } from '../../../src/checksums/wasm-hashers.ts';
import { MetadataVolumeLedger } from '../../../src/composition/metadata-volume-ledger.ts';
import { StripedDataStore } from '../../../src/data-store/striped-data-store.ts';
import { SimulatedDiskFs, type SimulatedDiskImage } from '../../../src/disk/simulated-disk-fs.ts';
import type { SimulatedDirectoryNode, SimulatedNode } from '../../../src/disk/simulated-node.ts';
import { isStoreError } from '../../../src/errors/store-error.ts';
import { BufferPool } from '../../../src/memory/buffer-pool.ts';
import { DiskJournal } from '../../../src/metadata-store/journal/disk-journal.ts';
import { SqliteMetadataStore } from '../../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import type { Randomness } from '../../../src/model/clock.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { SystemClock, SystemRandomness } from '../../../src/observability/system-clock.ts';
import { makeTestEncryption } from '../encryption-fixture.ts';
import { type CallOptions, callOperation, createServices } from '../service-fixture.ts';
import { SimulatedDiskSet } from '../simulated-disk-set.ts';
import { checkHistories } from './read-histories.ts';

/** What each key may hold; `undefined` in a list: it may be absent. */
export type AllowedBodies = ReadonlyMap<string, readonly (Buffer | undefined)[]>;

/** The index that a check makes anew is thrown away: in memory, where there is such a place, its syncs cost nothing. */
const SCRATCH = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

export interface AllowedState {
  bodies: AllowedBodies;
  /** Of the keys of the versioned bucket, as `describeHistory` says them. */
  histories: ReadonlyMap<string, readonly string[]>;
}

export interface CrashState {
  disks: readonly SimulatedDiskImage[];
  /** The state directory. */
  state: SimulatedDiskImage;
  random: Randomness;
  masterKey: Buffer;
}

/**
 * Starts journal, index and data store on what a power cut left, and reads every key of `bucketName` and every version of
 * the keys of the versioned bucket.
 * @returns one sentence for each promise that does not hold
 */
export async function checkState(crash: CrashState, bucketName: string, allowed: AllowedState): Promise<string[]> {
  await prepareChecksums();
  const folder = mkdtempSync(join(SCRATCH, 'holdfast-power-'));
  const clock = new SystemClock();
  const identities = crash.disks.map(identityOf);
  const { clusterId = '', k = 0, m = 0 } = identities[0] ?? {};
  const disks = new SimulatedDiskSet({
    clusterId,
    clock,

    disks: crash.disks.map((image, index) => ({
      id: identities[index]?.diskId ?? '',
      fs: SimulatedDiskFs.fromImage(image, { name: `disk${index + 1}` }),
    })),
  });
  for (const name of ['index.sqlite', 'index.sqlite-wal']) {
    const node = childOf(crash.state.root, name);
    if (node?.kind === 'file') writeFileSync(join(folder, name), node.current.slice(0, node.current.sizeBytes));
  }
  const metadata = new SqliteMetadataStore({
    journal: new DiskJournal({ disks, clock, log: silentLog, reserveSegments: 0 }),
    indexPath: join(folder, 'index.sqlite'),
    clock,
    randomness: new SystemRandomness(),
    log: silentLog,
  });
  const bodyBuffers = new BufferPool({ slotSizeBytes: 256 * 1024, budgetBytes: 16 * 1024 * 1024 });
  let data: StripedDataStore | undefined;
  try {
    await metadata.start(() => {});
    data = new StripedDataStore({
      disks,
      ledger: new MetadataVolumeLedger(metadata),
      code: { k, m },
      clock,
      random: crash.random,
      log: silentLog,
      bufferPool: bodyBuffers,
    });
    await data.start();
    const found = await readEverything(metadata, data, bucketName, allowed.bodies);
    const randomness = new SystemRandomness();
    const { encryption } = await makeTestEncryption(metadata, {
      clusterId,
      masterKey: crash.masterKey,
      clock,
      randomness,
    });
    const services = createServices(
      {
        metadataStore: metadata,
        dataStore: data,
        bodyBuffers,
        encryption,
        digests: { open: () => assert.fail('nothing is written') },
        clock,
        randomness,
        defaultChecksum: 'CRC64NVME',
      },
      clock,
    );
    const call = (name: string, options: CallOptions) => callOperation(services, clock, name, options);
    return [...found, ...(await checkHistories(call, allowed.histories))];
  } catch (error) {
    return [`the start failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`];
  } finally {
    await data?.stop();
    await metadata.stop().catch(() => undefined);
    rmSync(folder, { recursive: true, force: true });
  }
}

async function readEverything(
  metadata: SqliteMetadataStore,
  data: StripedDataStore,
  bucketName: string,
  allowed: AllowedBodies,
): Promise<string[]> {
  const bucket = await metadata.getBucket(bucketName);
  const violations: string[] = [];
  const listed = new Set<string>();
  if (bucket !== undefined) {
    const query = { bucketId: bucket.bucketId, prefix: '', delimiter: '', startAfter: '', limit: 1000 };
    for (const { key } of (await metadata.listObjects(query)).objects) listed.add(key);
  }
  for (const [key, bodies] of allowed) {
    const object = bucket && (await metadata.getObject({ bucketId: bucket.bucketId, key }));
    if ((object !== undefined) !== listed.has(key)) violations.push(`${key}: GET and LIST disagree`);
    let body: Buffer | undefined;
    try {
      if (object !== undefined) body = await readBlobs(data, object.blobs);
    } catch (error) {
      violations.push(`${key}: unreadable: ${isStoreError(error) ? error.message : String(error)}`);
      continue;
    }
    if (!bodies.some((candidate) => (body === undefined ? candidate === undefined : candidate?.equals(body)))) {
      violations.push(`${key}: ${body === undefined ? 'absent' : `${body.length} bytes that it may not hold`}`);
    }
  }
  for (const key of listed) if (!allowed.has(key)) violations.push(`${key}: listed, but nobody wrote it`);
  return violations;
}

async function readBlobs(
  data: StripedDataStore,
  blobs: readonly { blobId: number; sizeBytes: number; layout: Buffer }[],
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (const blob of blobs) {
    if (blob.sizeBytes === 0) continue;
    for await (const piece of data.read(blob, { start: 0, length: blob.sizeBytes })) {
      pieces.push(Buffer.from(piece.bytes));
      piece.release();
    }
  }
  return Buffer.concat(pieces);
}

function childOf(directory: SimulatedDirectoryNode, name: string): SimulatedNode | undefined {
  return directory.current.get(name);
}

/** The identity of the store, from a disk as it lies in the image. */
function identityOf(image: SimulatedDiskImage): {
  clusterId: string;
  diskId: string;
  k: number;
  m: number;
} {
  const node = childOf(image.root, 'disk.json');
  if (node?.kind !== 'file') throw new Error('a disk without disk.json');
  return JSON.parse(node.current.slice(0, node.current.sizeBytes).toString()) as ReturnType<typeof identityOf>;
}
