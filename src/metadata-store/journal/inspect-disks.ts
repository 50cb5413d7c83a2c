import type { Disk } from '../../disk/disk-set.ts';
import type { JournalContext } from './journal-context.ts';
import { inspectDisk, type Inspection } from './recovery.ts';

/** So long every disk is waited for, however fast the others are. */
const PATIENCE_MS = 2000;

/**
 * Reads the journals of `disks`, all at once. A disk that takes more than twice as long as half of them did, and more
 * than two seconds, is left out as soon as `isEnough` says that those which have answered suffice: for the protocol it is
 * absent, as it would be a moment before its cable is plugged in. What is found comes in the order of the answers, the fastest
 * disk first. The look at a disk that was left out goes on by itself and writes nothing.
 * @throws StoreError FormatRefused
 */
export async function inspectDisks(
  context: JournalContext,
  disks: readonly Disk[],
  isEnough: (found: readonly Inspection[]) => Promise<boolean>,
): Promise<Inspection[]> {
  const { clock, log } = context;
  const beganMs = clock.monotonicMs();
  const found: Inspection[] = [];
  const answeredAfterMs: number[] = [];
  const awaited = new Set(disks.map((disk) => disk.id));
  let failure: { error: unknown } | undefined;
  let wake = (): void => {};
  let hasNews = false;
  const answered = (disk: Disk, inspection: Inspection | undefined): void => {
    awaited.delete(disk.id);
    answeredAfterMs.push(clock.monotonicMs() - beganMs);
    if (inspection !== undefined) found.push(inspection);
    hasNews = true;
    wake();
  };
  for (const disk of disks) {
    inspectDisk(context, disk).then(
      (inspection) => answered(disk, inspection),
      (error: unknown) => {
        failure ??= { error };
        if (!awaited.has(disk.id)) log.error({ diskId: disk.id, error }, 'journal: a late disk cannot be used');
        answered(disk, undefined);
      },
    );
  }
  const patienceMs = (): number => {
    const halfMs = answeredAfterMs[Math.ceil(disks.length / 2) - 1];
    return halfMs === undefined ? Infinity : Math.max(PATIENCE_MS, 2 * halfMs);
  };
  for (;;) {
    hasNews = false;
    if (failure !== undefined) throw failure.error;
    if (awaited.size === 0) return found;
    const leftMs = beganMs + patienceMs() - clock.monotonicMs();
    const soFar = [...found];
    if (leftMs <= 0 && (await isEnough(soFar))) {
      log.warn({ diskIds: [...awaited] }, 'journal: it is opened without disks that take far longer than the others');
      awaited.clear();
      return soFar;
    }
    if (hasNews) continue;
    let cancel = (): void => {};
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (leftMs > 0 && leftMs < Infinity) cancel = clock.schedule(leftMs, resolve);
    });
    cancel();
  }
}
