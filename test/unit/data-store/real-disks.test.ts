import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { StripedDataStore } from '../../../src/data-store/striped-data-store.ts';
import { RealDiskFs } from '../../../src/disk/real-disk-fs.ts';
import { BufferPool } from '../../../src/memory/buffer-pool.ts';
import type { BlobRecord } from '../../../src/model/blob.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { SystemClock } from '../../../src/observability/system-clock.ts';
import { bodyOf, readAll, writeLarge } from '../../support/data-store-harness.ts';
import { MemoryJournal, MemoryVolumeLedger } from '../../support/memory-volume-ledger.ts';
import { SimulatedDiskSet } from '../../support/simulated-disk-set.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const CODE = { k: 4, m: 2 };

describe('on real directories', () => {
  const clock = new SystemClock();
  let root: string;
  let journal: MemoryJournal;
  let diskSet: SimulatedDiskSet;

  beforeEach(() => {
    root = fs.mkdtempSync(path.join(os.tmpdir(), 'holdfast-data-store-'));
    for (let i = 0; i < 6; i++) fs.mkdirSync(directory(i));
    journal = new MemoryJournal();
  });

  afterEach(() => fs.rmSync(root, { recursive: true, force: true }));

  function directory(index: number): string {
    return path.join(root, `disk${index}`);
  }

  async function start(): Promise<{ store: StripedDataStore; ledger: MemoryVolumeLedger }> {
    diskSet = new SimulatedDiskSet({
      clock,
      disks: Array.from({ length: 6 }, (_, i) => ({
        id: `00000000-0000-4000-8000-00000000000${i}`,
        fs: new RealDiskFs(directory(i)),
        state: fs.existsSync(directory(i)) ? ('online' as const) : ('missing' as const),
      })),
    });
    const ledger = new MemoryVolumeLedger(journal);
    const store = new StripedDataStore({
      disks: diskSet,
      ledger,
      code: CODE,
      clock,
      random: new SeededRandomness(1),
      log: silentLog,
      bufferPool: new BufferPool({ slotSizeBytes: 262_144, budgetBytes: 16 * 1024 * 1024 }),
    });
    await store.start();
    return { store, ledger };
  }

  async function put(store: StripedDataStore, ledger: MemoryVolumeLedger, body: Buffer): Promise<BlobRecord> {
    const descriptor = Buffer.alloc(180, 'd');
    const pinned =
      body.length <= store.smallBlobLimitBytes
        ? await store.writeSmall(body, descriptor)
        : await writeLarge(store, body, descriptor, { chunkBytes: 65_536 });
    await ledger.commitBlob(pinned.blob);
    pinned.unpin();
    return pinned.blob;
  }

  /** As `du` counts. */
  function allocatedBytes(): number {
    let total = 0;
    for (let i = 0; i < 6; i++) {
      const volumes = path.join(directory(i), 'volumes');
      if (!fs.existsSync(volumes)) continue;
      for (const name of fs.readdirSync(volumes)) total += fs.statSync(path.join(volumes, name)).blocks * 512;
    }
    return total;
  }

  test('bodies of all sizes read back after a restart with any two directories removed', async () => {
    const first = await start();
    const sizes = [0, 1, 4096, 131_072, 131_073, 1_048_576, 1_064_960, 5_000_000];
    const blobs = await Promise.all(
      sizes.map(async (size) => {
        const body = bodyOf(`real/${size}`, size);
        return { body, blob: await put(first.store, first.ledger, body) };
      }),
    );
    await first.store.stop();
    fs.rmSync(directory(1), { recursive: true });
    fs.renameSync(directory(4), path.join(root, 'away'));
    const second = await start();
    expect(second.store.writeCode()).toEqual({ k: 2, m: 2 });
    for (const { blob, body } of blobs) {
      expect((await readAll(second.store, blob)).equals(body), `size ${body.length}`).toBe(true);
    }
    await second.store.stop();
  });

  test('removing a directory under an open volume is noticed before anything is acknowledged there', async () => {
    const { store, ledger } = await start();
    await put(store, ledger, bodyOf('before', 5000));
    fs.rmSync(path.join(directory(2), 'volumes'), { recursive: true });
    const small = await put(store, ledger, bodyOf('small', 5000));
    const large = await put(store, ledger, bodyOf('large', 2_000_000));
    expect(diskSet.failures.some(({ diskId }) => diskId.endsWith('2'))).toBe(true);
    for (const index of [0, 1]) diskSet.setState(diskSet.disks[index]!.id, 'missing');
    expect((await readAll(store, large)).equals(bodyOf('large', 2_000_000))).toBe(true);
    expect((await readAll(store, small)).equals(bodyOf('small', 5000))).toBe(true);
    await store.stop();
  });

  test('readers that keep small bodies for ever leave buffers for large ones', async () => {
    const { store, ledger } = await start();
    const body = bodyOf('kept', 100_000);
    const small = await put(store, ledger, body);
    const large = await put(store, ledger, bodyOf('large', 3_000_000));
    const kept = await Promise.all(
      Array.from({ length: 500 }, async () => {
        const pieces = [];
        for await (const piece of store.read(small, { start: 5, length: 90_000 })) pieces.push(piece);
        return pieces;
      }),
    );
    expect((await readAll(store, large)).equals(bodyOf('large', 3_000_000))).toBe(true);
    for (const pieces of kept) {
      expect(Buffer.concat(pieces.map(({ bytes }) => bytes)).equals(body.subarray(5, 90_005))).toBe(true);
      for (const piece of pieces) piece.release();
    }
    expect((await readAll(store, small)).equals(body)).toBe(true);
    await store.stop();
  });

  test('space on disk stays within the bounds of the design', async () => {
    const { store, ledger } = await start();
    const size = 4096;
    for (let i = 0; i < 200; i++) await put(store, ledger, bodyOf(`lone/${i}`, size));
    await store.stop();
    const lone = allocatedBytes();
    // Six header blocks and the rounding of six files are not the objects' own.
    expect((lone - 6 * 8192) / (200 * size)).toBeLessThanOrEqual(3.6);

    const second = await start();
    await Promise.all(
      Array.from({ length: 64 }, async (_, worker) => {
        for (let i = 0; i < 10; i++) await put(second.store, second.ledger, bodyOf(`busy/${worker}/${i}`, size));
      }),
    );
    await second.store.stop();
    const busy = allocatedBytes();
    expect((busy - lone - 6 * 8192) / (640 * size)).toBeLessThanOrEqual(1.9);

    const third = await start();
    for (let i = 0; i < 4; i++) await put(third.store, third.ledger, bodyOf(`large/${i}`, 1_048_576));
    await third.store.stop();
    expect((allocatedBytes() - busy) / (4 * 1_048_576)).toBeLessThanOrEqual(1.55);
  });
});
