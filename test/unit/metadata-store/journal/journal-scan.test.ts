import { describe, expect, it } from 'vitest';
import { clusterTagOf } from '../../../../src/metadata-store/journal/frame.ts';
import { scanJournal } from '../../../../src/metadata-store/journal/journal-scan.ts';
import { decodeState, encodeState, readState } from '../../../../src/metadata-store/journal/journal-state.ts';
import { journalCluster, SEGMENT_BYTES, startedJournal } from '../../../support/journal-cluster.ts';
import type { SimulatedCluster } from '../../../support/simulated-cluster.ts';

async function written(): Promise<SimulatedCluster> {
  const cluster = await journalCluster({ k: 2, m: 1 });
  const journal = await startedJournal(cluster);
  for (let i = 0; i < 50; i++) await journal.append(Buffer.from(`batch ${i}`));
  await journal.stop();
  cluster.restart();
  return cluster;
}

async function scanned(cluster: SimulatedCluster, scanBytes: number) {
  const { fs } = cluster.diskSet.disks[0]!;
  const state = await readState(fs);
  if (typeof state === 'string') throw new Error(state);
  return scanJournal(fs, state, clusterTagOf(cluster.diskSet.clusterId), scanBytes);
}

describe('scanJournal', () => {
  it('finds the same end whether it reads all segments or the last ones', async () => {
    const cluster = await written();
    const whole = await scanned(cluster, 2 ** 30);
    const end = await scanned(cluster, 0);
    expect(whole.last.sequence).toBe(51);
    const { segments, last, tail, highest, holes, isShort, acknowledged } = whole;
    expect(end).toMatchObject({ segments, last, tail, highest, holes, isShort, acknowledged });
    expect(segments.filter((segment) => segment.firstSequence !== undefined).length).toBeGreaterThan(6);
  });

  it('tells damage in the middle from a torn end', async () => {
    const cluster = await written();
    cluster.disks[0]!.corrupt('journal/00000000-00000005.seg', 4096 + 200);
    const damaged = await scanned(cluster, 2 ** 30);
    expect(damaged.holes).toHaveLength(1);
    expect(damaged.highest.sequence).toBe(51);
    const hole = damaged.holes[0]!;
    expect(hole.upTo.sequence - hole.after.sequence).toBe(1);

    const torn = await written();
    const { tail } = await scanned(torn, 2 ** 30);
    const path = `journal/00000000-0000000${tail!.segmentNumber}.seg`;
    torn.disks[0]!.corrupt(path, tail!.offset - 4096 + 50);
    const scan = await scanned(torn, 2 ** 30);
    expect(scan.holes).toHaveLength(0);
    expect(scan.last.sequence).toBe(50);
  });

  it('sees a segment that is missing or cut', async () => {
    const missing = await written();
    await missing.diskSet.disks[0]!.fs.unlink('journal/00000000-00000002.seg');
    expect((await scanned(missing, 2 ** 30)).holes).toHaveLength(1);
    const cut = await written();
    cut.disks[0]!.cut('journal/00000000-00000006.seg', SEGMENT_BYTES - 1);
    expect((await scanned(cut, 2 ** 30)).isShort).toBe(true);
    expect((await scanned(cut, 0)).isShort).toBe(true);
  });
});

describe('the state of a disk', () => {
  it('comes back as it went in, and no flipped byte passes', async () => {
    const cluster = await written();
    const state = await readState(cluster.diskSet.disks[0]!.fs);
    if (typeof state === 'string') throw new Error(state);
    const bytes = encodeState(state);
    expect(decodeState(bytes)).toEqual(state);
    for (let i = 0; i < bytes.length; i++) {
      const changed = Buffer.from(bytes);
      changed[i]! ^= 1;
      expect(decodeState(changed), `byte ${i}`).toBeUndefined();
    }
  });
});
