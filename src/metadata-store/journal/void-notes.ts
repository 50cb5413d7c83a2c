import { isStoreError, StoreError } from '../../errors/store-error.ts';
import { readChain } from './chain-reader.ts';
import { type JournalContext, journalDiskOf } from './journal-context.ts';
import { type JournalConfiguration, readQuorum } from './journal-configuration.ts';
import type { JournalDisk } from './journal-disk.ts';
import type { VoidNote } from './journal-state.ts';
import { type ChainView, configurationsInForce, type Inspection, LOST_HINT } from './recovery.ts';

/**
 * Before anything is read without an epoch: makes durable that no frame which this view does not know is ever adopted.
 * First every number met so far is reserved on n − m of the disks that count, and only when all of those syncs have
 * returned the note is published there. Every later opening needs m + 1 disks, so it meets one of them: it takes a
 * later epoch and honours the note. A crash before the last sync leaves notes that void only what nobody was told about.
 * @throws StoreError QuorumLost: it could not be noted on enough disks, nothing may be read.
 */
export async function noteVoids(
  context: JournalContext,
  options: {
    view: ChainView;
    inspections: readonly Inspection[];
    /** No epoch up to this one may be used again. */
    spentEpoch: number;
    /** Calls of a failed opening may still land there and take the note back: they do not count. Those that fail are added. */
    unsettledDiskIds: Set<string>;
  },
): Promise<void> {
  const { view, inspections, unsettledDiskIds } = options;
  const rules = configurationsInForce(view.configurations, view.acknowledged);
  const note = await noteOf(context, view, Math.max(view.highestEpoch, options.spentEpoch));
  const [genesis] = view.configurations;
  if (genesis === undefined) throw new StoreError('QuorumLost', 'the chain has no configuration', { hint: LOST_HINT });
  const disks = inspections
    .filter(({ disk }) => view.countable.has(disk.id) && !unsettledDiskIds.has(disk.id))
    .map((one) => journalDiskOf(context, one, genesis, false));
  const settledEpoch = view.acknowledged.epoch;
  try {
    const onAll = async (some: readonly JournalDisk[], work: (disk: JournalDisk) => Promise<void>) => {
      const results = await Promise.allSettled(some.map(work));
      const failures = results.flatMap((result, index) => {
        return result.status === 'rejected' ? [{ diskId: some[index]!.diskId, error: result.reason as unknown }] : [];
      });
      for (const { diskId, error } of failures) {
        unsettledDiskIds.add(diskId);
        context.log.warn({ diskId, error }, 'journal: a disk cannot note what is read without an epoch');
        if (!isStoreError(error, 'DiskFailed', 'DiskTimeout', 'DiskMissing', 'DiskFull')) continue;
        context.disks.reportFailure(diskId, { operation: 'journal: noting what is void', error });
      }
      const done = some.filter((disk) => !unsettledDiskIds.has(disk.diskId));
      requireNotes(rules, done, failures[0]?.error);
      return done;
    };
    const reserved = await onAll(disks, (disk) => disk.reserve(note.upToEpoch, settledEpoch));
    await onAll(reserved, (disk) => disk.addVoidNote(note, settledEpoch));
  } finally {
    await Promise.allSettled(disks.map((disk) => disk.close()));
  }
}

function requireNotes(rules: readonly JournalConfiguration[], disks: readonly JournalDisk[], cause: unknown): void {
  const diskIds = new Set(disks.map((disk) => disk.diskId));
  for (const rule of rules) {
    const count = rule.journalDiskIds.filter((diskId) => diskIds.has(diskId)).length;
    if (count >= readQuorum(rule)) continue;
    const message = `no epoch can be opened, and ${count} journal disks can note what is read without one, ${readQuorum(rule)} are needed`;
    const hint = 'Bring back missing disks, or make the present ones writable.';
    throw new StoreError('QuorumLost', message, cause === undefined ? { hint } : { hint, cause });
  }
}

async function noteOf(context: JournalContext, view: ChainView, upToEpoch: number): Promise<VoidNote> {
  const { sources, patches, acknowledged, tail } = view;
  const known = new Map<number, number>();
  const reading = { sources, patches, clusterTag: context.clusterTag };
  for await (const { position } of readChain({ ...reading, after: acknowledged, upToSequence: tail.sequence })) {
    known.set(position.epoch, position.sequence);
  }
  return {
    upToEpoch,
    afterSequence: acknowledged.sequence,
    known: [...known].map(([epoch, upToSequence]) => ({ epoch, upToSequence })),
  };
}
