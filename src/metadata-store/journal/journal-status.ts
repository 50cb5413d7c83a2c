import type { Inspection } from './recovery.ts';
import type { JournalDiskStatus } from './journal.ts';
import type { JournalContext } from './journal-context.ts';
import type { JournalDisk } from './journal-disk.ts';
import type { RunningEpoch } from './running-epoch.ts';

/** A clock that is set by a few seconds is nothing to tell. */
const CLOCK_TOLERANCE_MS = 60_000;

/** Wall clock of the newest record; `undefined` on a new cluster. Says it when the clock is behind. */
export function newestRecordAtMs(
  { clock, log }: JournalContext,
  inspections: readonly Inspection[],
): number | undefined {
  const times = inspections.flatMap(({ scan }) => scan?.lastWrittenAtMs ?? []);
  if (times.length === 0) return undefined;
  const lastRecordAtMs = Math.max(...times);
  const behindMs = lastRecordAtMs - clock.nowMs();
  if (behindMs > CLOCK_TOLERANCE_MS) {
    log.warn({ behindMs }, 'the clock is behind the last record: it labels new versions, it does not order them');
  }
  return lastRecordAtMs;
}

/** Each disk of the set, as the journal sees it. */
export function statusOf(
  { disks }: JournalContext,
  options: {
    running: RunningEpoch | undefined;
    behindAtStart: ReadonlySet<string>;
    checkpointBytesOn: (disk: JournalDisk) => number;
  },
): JournalDiskStatus[] {
  const { running, behindAtStart, checkpointBytesOn } = options;
  const level = new Map((running?.voters() ?? []).map((disk) => [disk.diskId, disk]));
  const members = running?.rules.at(-1)?.journalDiskIds;
  return disks.disks.map(({ id }) => {
    const disk = level.get(id);
    return {
      diskId: id,
      carriesJournal: members?.includes(id) ?? true,
      isLevel: disk !== undefined,
      wasBehindAtStart: behindAtStart.has(id),
      journalBytes: disk?.journalBytes ?? 0,
      checkpointBytes: disk === undefined ? 0 : checkpointBytesOn(disk),
    };
  });
}
