import type { DiskFs } from '../../src/disk/disk-fs.ts';
import { DiskJournal } from '../../src/metadata-store/journal/disk-journal.ts';
import type { DiskJournalOptions } from '../../src/metadata-store/journal/disk-journal-options.ts';
import { formatJournal } from '../../src/metadata-store/journal/format-journal.ts';
import type { Journal, JournalPosition } from '../../src/metadata-store/journal/journal.ts';
import { silentLog } from '../../src/observability/log.ts';
import { settle } from './simulated-clock.ts';
import { SimulatedCluster, type SimulatedClusterOptions } from './simulated-cluster.ts';

/** Small, so that tests cross segment borders often. */
export const SEGMENT_BYTES = 32 * 1024;

/** Simulated disks with an empty journal each. */
export async function journalCluster(
  code: { k: number; m: number },
  { formatVersion, ...options }: Partial<SimulatedClusterOptions> & { formatVersion?: number } = {},
): Promise<SimulatedCluster> {
  const cluster = new SimulatedCluster({ diskCount: code.k + code.m, ...options });
  const { clusterId } = cluster.diskSet;
  for (const disk of cluster.diskSet.disks) {
    await formatDisk(disk.fs, { clusterId, diskId: disk.id, diskIds: cluster.diskIds, code, formatVersion });
  }
  return cluster;
}

export function formatDisk(
  fs: DiskFs,
  facts: {
    clusterId: string;
    diskId: string;
    diskIds: readonly string[];
    code: { k: number; m: number };
    formatVersion?: number | undefined;
  },
): Promise<void> {
  const { clusterId, diskId, diskIds, code, formatVersion } = facts;
  const format = formatVersion === undefined ? {} : { formatVersion };
  return formatJournal(fs, { clusterId, diskId, diskIds, ...code, segmentBytes: SEGMENT_BYTES, ...format });
}

export function journalOf(cluster: SimulatedCluster, options: Partial<DiskJournalOptions> = {}): DiskJournal {
  const { diskSet: disks, clock } = cluster;
  return new DiskJournal({ disks, clock, log: silentLog, segmentBytes: SEGMENT_BYTES, reserveSegments: 1, ...options });
}

export async function startedJournal(
  cluster: SimulatedCluster,
  options: Partial<DiskJournalOptions> = {},
): Promise<DiskJournal> {
  const journal = journalOf(cluster, options);
  await journal.start(() => {});
  return journal;
}

export async function payloadsOf(journal: Journal, after?: JournalPosition): Promise<string[]> {
  const found: string[] = [];
  for await (const frame of journal.frames(after)) found.push(frame.payload.toString());
  return found;
}

/** Lets background work go on, timers included, until `isDone`; fails after a bound. */
export async function until(cluster: SimulatedCluster, isDone: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    if (isDone()) return;
    await settle();
    if (i % 10 === 9) await cluster.clock.advance(1000);
  }
  // Real files (snapshots) take their own time on a machine that is busy.
  for (let i = 0; i < 1000; i++) {
    if (isDone()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
    await settle();
  }
  throw new Error(`never happened: ${what}`);
}

export function levelDiskIds(journal: Journal): string[] {
  return journal
    .status()
    .filter((one) => one.isLevel)
    .map((one) => one.diskId);
}
