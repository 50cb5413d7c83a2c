import type { Disk } from '../../disk/disk-set.ts';
import { Patience } from '../../disk/patience.ts';
import type { JournalContext } from './journal-context.ts';
import { inspectDisk, type Inspection } from './recovery.ts';

/**
 * Reads the journals of `disks`, all at once. A disk that takes far longer than the others (see `Patience`) is left out as
 * soon as `isEnough` says that those which have answered suffice: for the protocol it is absent, as it would be a moment
 * before its cable is plugged in. What is found comes in the order of the answers, the fastest disk first. The look at a disk that
 * was left out goes on by itself and writes nothing.
 * @throws StoreError FormatRefused
 */
export async function inspectDisks(
  context: JournalContext,
  disks: readonly Disk[],
  isEnough: (found: readonly Inspection[]) => Promise<boolean>,
): Promise<Inspection[]> {
  const { clock, log } = context;
  const found: Inspection[] = [];
  const awaited = new Set(disks.map((disk) => disk.id));
  const failures: unknown[] = [];
  let wake = (): void => {};
  let hasNews = false;
  const tell = (): void => {
    hasNews = true;
    wake();
  };
  const patience = new Patience({ clock, count: disks.length, onTick: tell });
  for (const disk of disks) {
    inspectDisk(context, disk)
      .then(
        (inspection) => void (inspection !== undefined && found.push(inspection)),
        (error: unknown) => {
          failures.push(error);
          if (!awaited.has(disk.id)) log.error({ diskId: disk.id, error }, 'journal: a late disk cannot be used');
        },
      )
      .finally(() => {
        awaited.delete(disk.id);
        patience.answered();
        tell();
      });
  }
  try {
    for (;;) {
      hasNews = false;
      if (failures.length > 0) throw failures[0];
      if (awaited.size === 0) return found;
      const soFar = [...found];
      if (patience.isOver && (await isEnough(soFar))) {
        log.warn({ diskIds: [...awaited] }, 'journal: it is opened without disks that take far longer than the others');
        awaited.clear();
        return soFar;
      }
      if (!hasNews) await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    patience.stop();
  }
}
