import { describe, expect, it } from 'vitest';
import { DiskJournal, type DiskJournalOptions } from '../../../../src/metadata-store/journal/disk-journal.ts';
import { formatJournal } from '../../../../src/metadata-store/journal/format-journal.ts';
import type { JournalPosition } from '../../../../src/metadata-store/journal/journal.ts';
import { silentLog } from '../../../../src/observability/log.ts';
import { SimulatedCluster } from '../../../support/simulated-cluster.ts';

const SEGMENT_BYTES = 64 * 1024;

async function formatted(diskCount: number, k: number, m: number): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster({ diskCount });
  const { clusterId } = cluster.diskSet;
  for (const disk of cluster.diskSet.disks) {
    const facts = { clusterId, diskId: disk.id, diskIds: cluster.diskIds, k, m, segmentBytes: SEGMENT_BYTES };
    await formatJournal(disk.fs, facts);
  }
  return cluster;
}

function journalOf(cluster: SimulatedCluster, options: Partial<DiskJournalOptions> = {}): DiskJournal {
  const { diskSet: disks, clock } = cluster;
  return new DiskJournal({ disks, clock, log: silentLog, segmentBytes: SEGMENT_BYTES, reserveSegments: 1, ...options });
}

async function started(cluster: SimulatedCluster): Promise<DiskJournal> {
  const journal = journalOf(cluster);
  await journal.start(() => {});
  return journal;
}

async function payloads(journal: DiskJournal, after?: JournalPosition): Promise<string[]> {
  const found: string[] = [];
  for await (const frame of journal.frames(after)) found.push(frame.payload.toString());
  return found;
}

describe('DiskJournal', () => {
  it('reads back what was appended, after a kill too', async () => {
    const cluster = await formatted(6, 4, 2);
    let journal = await started(cluster);
    expect(journal.epoch).toBe(1);
    for (let i = 0; i < 50; i++) await journal.append(Buffer.from(`batch ${i} ${'x'.repeat(i * 100)}`));
    const before = await payloads(journal);
    expect(before).toHaveLength(50);
    cluster.restart();
    journal = await started(cluster);
    expect(journal.epoch).toBe(2);
    expect(await payloads(journal)).toEqual(before);
    await journal.stop();
  });
});
