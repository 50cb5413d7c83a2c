import { expect } from 'vitest';
import { FaultDiskFs } from '../../src/disk/fault-disk-fs.ts';
import type { BlobRecord } from '../../src/model/blob.ts';
import type { ErasureCode } from '../../src/model/erasure-code.ts';
import { bodyOf, DataStoreHarness } from './data-store-harness.ts';
import { ManualClock } from './simulated-clock.ts';

const SIZES = [100, 5000, 16_000, 90_000];

/** A data store with a few blobs, all volumes sealed, and a fault injector on each disk: where a sweep begins anew. */
export interface SweepSetting {
  readonly harness: DataStoreHarness;
  readonly faults: readonly FaultDiskFs[];
  readonly stored: readonly { blob: BlobRecord; body: Buffer }[];
}

export async function beginSweep(options: {
  code: ErasureCode;
  diskCount?: number;
  seed: number;
}): Promise<SweepSetting> {
  const faults: FaultDiskFs[] = [];
  const clock = new ManualClock();
  const wrap = (fs: ConstructorParameters<typeof FaultDiskFs>[0], index: number): FaultDiskFs =>
    (faults[index] = new FaultDiskFs(fs, clock));
  const harness = await DataStoreHarness.start({ ...options, clock, wrap });
  const stored: { blob: BlobRecord; body: Buffer }[] = [];
  for (const size of SIZES) {
    const body = bodyOf(`${options.seed}/${size}`, size);
    stored.push({ body, blob: await harness.withTime(harness.put(body)) });
  }
  await harness.sealAll();
  return { harness, faults, stored };
}

export async function expectReadable({ harness, stored }: SweepSetting, message: string): Promise<void> {
  for (const { blob, body } of stored) expect((await harness.get(blob)).equals(body), message).toBe(true);
}

/** Every shard of every live blob is where the journal says. */
export async function expectShardsWhole({ harness }: SweepSetting, message: string): Promise<void> {
  for (const { volumeId, liveBytes } of harness.journal.volumes.values()) {
    if (liveBytes === 0) continue;
    const { files } = await harness.withTime(harness.store.inspectVolume(harness.workOn(volumeId)));
    expect(
      files.map(({ condition }) => condition),
      message,
    ).toEqual(files.map(() => 'good'));
  }
}

/** Files of repairs and moves that were not finished, and what was quarantined. */
export function leftoversOf({ harness }: SweepSetting): string[] {
  const paths = harness.cluster.disks.flatMap((disk) => disk.filePaths());
  return paths.filter((path) => !path.endsWith('.shard') || path.startsWith('quarantine'));
}
