/**
 * How fast lost shard files are made again: `npm run bench:heal -- [--directory DIR]`. Fills a store of 4+2 over six
 * directories of one device, removes the shard files of one, repairs them, and beside it measures what the same device
 * gives for k sequential reads and one write at once, in the same pieces, without any computing. No HTTP, no journal.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { StripedDataStore } from '../../src/data-store/striped-data-store.ts';
import type { DiskFile } from '../../src/disk/disk-fs.ts';
import { RealDiskFs } from '../../src/disk/real-disk-fs.ts';
import { BufferPool } from '../../src/memory/buffer-pool.ts';
import type { BlobRecord } from '../../src/model/blob.ts';
import { silentLog } from '../../src/observability/log.ts';
import { SystemClock } from '../../src/observability/system-clock.ts';
import { bodyOf, writeLarge } from '../../test/support/data-store-harness.ts';
import { MemoryJournal, MemoryVolumeLedger } from '../../test/support/memory-volume-ledger.ts';
import { SimulatedDiskSet } from '../../test/support/simulated-disk-set.ts';
import { SeededRandomness } from '../../test/support/simulated-randomness.ts';

const CODE = { k: 4, m: 2 };
const MIB = 1024 * 1024;
const LOST = 1;
const clock = new SystemClock();

interface Workload {
  name: string;
  count: number;
  sizeBytes: number;
  connections: number;
}

const WORKLOADS: readonly Workload[] = [
  { name: '100,000 x 4 KiB, 64 at once', count: 100_000, sizeBytes: 4096, connections: 64 },
  { name: '20,000 x 4 KiB, one at a time', count: 20_000, sizeBytes: 4096, connections: 1 },
  { name: '4 x 100 MiB', count: 4, sizeBytes: 100 * MIB, connections: 1 },
];

class Bench {
  readonly #root: string;
  readonly #journal = new MemoryJournal();
  #ledger = new MemoryVolumeLedger(this.#journal);
  #disks: readonly RealDiskFs[] = [];
  #store: StripedDataStore;

  constructor(root: string) {
    this.#root = root;
    this.#store = this.#makeStore();
  }

  #makeStore(): StripedDataStore {
    this.#disks = Array.from({ length: CODE.k + CODE.m }, (_, index) => {
      mkdirSync(join(this.#root, `disk${index}`), { recursive: true });
      return new RealDiskFs(join(this.#root, `disk${index}`));
    });
    return new StripedDataStore({
      disks: new SimulatedDiskSet({
        clock,
        disks: this.#disks.map((fs, index) => ({ id: `00000000-0000-4000-8000-00000000000${index}`, fs })),
      }),
      ledger: this.#ledger,
      code: CODE,
      clock,
      random: new SeededRandomness(1),
      log: silentLog,
      bufferPool: new BufferPool({ slotSizeBytes: 262_144, budgetBytes: 64 * MIB }),
    });
  }

  async run({ name, count, sizeBytes, connections }: Workload): Promise<void> {
    await this.#store.start();
    await this.#fill({ count, sizeBytes, connections });
    await this.#store.stop();
    this.#ledger = new MemoryVolumeLedger(this.#journal);
    this.#store = this.#makeStore();
    await this.#store.start();
    const plain = await this.#readAndWrite();
    const folder = join(this.#root, `disk${LOST}`, 'volumes');
    for (const file of readdirSync(folder)) rmSync(join(folder, file));
    const healed = await this.#heal();
    const mibs = (bytes: number, ms: number): string => ((bytes / MIB / ms) * 1000).toFixed(0);
    const healRate = mibs(healed.bytes, healed.ms);
    const plainRate = mibs(plain.bytes, plain.ms);
    process.stdout.write(
      `${name}: ${(healed.bytes / MIB).toFixed(0)} MiB of shards in ${healed.volumes} volumes made again at ${healRate} MiB/s ` +
        `(${(healed.cpuMs / (healed.bytes / MIB)).toFixed(1)} ms of CPU a MiB); ` +
        `${CODE.k} reads and one write alone: ${plainRate} MiB/s; ratio ${(Number(healRate) / Number(plainRate)).toFixed(2)}\n`,
    );
    await this.#store.stop();
  }

  async #fill({ count, sizeBytes, connections }: Omit<Workload, 'name'>): Promise<void> {
    let next = 0;
    const descriptor = Buffer.alloc(180, 'd');
    const worker = async (): Promise<void> => {
      while (next < count) {
        const body = bodyOf(`blob ${next++}`, sizeBytes);
        const isSmall = sizeBytes <= this.#store.smallBlobLimitBytes;
        const pinned = isSmall
          ? await this.#store.writeSmall(body, descriptor)
          : await writeLarge(this.#store, body, descriptor, { chunkBytes: 65_536 });
        await this.#ledger.commitBlob(pinned.blob);
        pinned.unpin();
      }
    };
    await Promise.all(Array.from({ length: connections }, worker));
  }

  /** Of every volume, the files of k disks in step, and one of the same length written: pieces of a MiB. */
  async #readAndWrite(): Promise<{ bytes: number; ms: number }> {
    const pool = new BufferPool({ slotSizeBytes: MIB, budgetBytes: 8 * MIB });
    const slots = await Promise.all(Array.from({ length: CODE.k + 1 }, () => pool.acquire()));
    const names = readdirSync(join(this.#root, 'disk0', 'volumes'));
    const [target, ...rest] = this.#disks;
    const sources = rest.filter((_, index) => index + 1 !== LOST).slice(0, CODE.k);
    let bytes = 0;
    const beganAtMs = clock.monotonicMs();
    for (const name of names) {
      const files: DiskFile[] = await Promise.all(sources.map((disk) => disk.open(`volumes/${name}`, 'direct')));
      await target!.createDurable('volumes/plain.tmp');
      const out = await target!.open('volumes/plain.tmp', 'direct');
      const length = Math.max(...(await Promise.all(files.map((file) => file.sizeBytes()))));
      let writing = Promise.resolve();
      for (let at = 0; at < length; at += MIB) {
        await Promise.all(files.map((file, index) => file.read(slots[index]!.bytes, at)));
        await writing;
        writing = out.write(slots[CODE.k]!.bytes, at);
      }
      await writing;
      await out.datasync();
      bytes += length;
      await Promise.all([...files, out].map((file) => file.close()));
      await target!.unlink('volumes/plain.tmp');
    }
    return { bytes, ms: clock.monotonicMs() - beganAtMs };
  }

  async #heal(): Promise<{ bytes: number; ms: number; cpuMs: number; volumes: number }> {
    const cpu = process.cpuUsage();
    const beganAtMs = clock.monotonicMs();
    let bytes = 0;
    for (const volume of this.#journal.volumes.values()) {
      const blobs = [...this.#journal.blobs.values()].filter(({ footprint }) =>
        footprint.some(({ volumeId }) => volumeId === volume.volumeId),
      );
      async function* pages(): AsyncGenerator<BlobRecord[]> {
        for (let at = 0; at < blobs.length; at += 500) yield blobs.slice(at, at + 500);
      }
      const { files, writtenBytes } = await this.#store.repairVolume({
        volume,
        blobs: pages(),
        pace: () => Promise.resolve(),
        diskIds: volume.diskIds.filter((_, index) => index === LOST),
      });
      bytes += writtenBytes;
      if (files.some(({ outcome }) => outcome !== 'repaired')) throw new Error(JSON.stringify(files));
    }
    const { user, system } = process.cpuUsage(cpu);
    const ms = clock.monotonicMs() - beganAtMs;
    return { bytes, ms, cpuMs: (user + system) / 1000, volumes: this.#journal.volumes.size };
  }
}

const { values } = parseArgs({ options: { directory: { type: 'string' }, only: { type: 'string' } } });
for (const [index, workload] of WORKLOADS.entries()) {
  if (values.only !== undefined && values.only !== String(index)) continue;
  const root = mkdtempSync(join(values.directory ?? tmpdir(), 'holdfast-heal-'));
  try {
    await new Bench(root).run(workload);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
process.exit(0);
