import { isStoreError, StoreError } from '../../errors/store-error.ts';
import { assert } from '../../errors/assert.ts';
import { EPOCH_LIMIT } from '../../model/identifier.ts';
import { readChain } from './chain-reader.ts';
import { encodeFrame, frameBytesFor } from './frame.ts';
import type { JournalPosition } from './journal.ts';
import { isPresent, type JournalContext, journalDiskOf } from './journal-context.ts';
import { type JournalConfiguration, writeQuorum } from './journal-configuration.ts';
import type { JournalDisk } from './journal-disk.ts';
import { JOURNAL_DIRECTORY } from './journal-state.ts';
import { type ChainView, configurationsInForce, type Inspection } from './recovery.ts';

export interface OpenedEpoch {
  epoch: number;
  opening: JournalPosition;
  /** Disks that hold the whole chain with the opening frame. */
  level: JournalDisk[];
}

/** Are enough of these disks in the set under every rule in force? */
export function isWriteQuorum(rules: readonly JournalConfiguration[], diskIds: ReadonlySet<string>): boolean {
  return rules.every((rule) => rule.journalDiskIds.filter((diskId) => diskIds.has(diskId)).length >= writeQuorum(rule));
}

/**
 * Opens an epoch over the inspected disks: its number is reserved and synced on m + 1 disks, then a disk takes the
 * opening frame only when it holds every frame before it. Disks whose frames all lie on the chain get what they lack
 * appended; only if those are too few, whole journals that end with the opening frame are built beside the old ones of
 * the others and published in one step. When it resolves the chain up to the opening frame is acknowledged.
 * @throws StoreError QuorumLost. The epoch's number is then spent, and its opening frame may be on some disks, unless
 *   too few disks had a journal: then nothing was written.
 */
export async function openEpoch(
  context: JournalContext,
  options: {
    view: ChainView;
    inspections: readonly Inspection[];
    taintedDiskIds: ReadonlySet<string>;
    /** No epoch up to this one may be used again. */
    spentEpoch: number;
    /** Called with the new epoch before anything of it is written. */
    onSpent: (epoch: number) => void;
    /** Disks whose calls fail are added: one that missed its deadline may still land. */
    unsettledDiskIds: Set<string>;
  },
): Promise<OpenedEpoch> {
  const { view, inspections } = options;
  const rules = configurationsInForce(view.configurations, view.acknowledged);
  const memberIds = new Set(rules.flatMap((rule) => rule.journalDiskIds));
  const genesis = view.configurations[0];
  assert(genesis !== undefined, 'a chain has a configuration');
  const members = inspections.filter((one) => memberIds.has(one.disk.id) && isPresent(one.disk));
  const disks = members.map((one) => journalDiskOf(context, one, genesis, options.taintedDiskIds.has(one.disk.id)));
  const epoch = Math.max(view.highestEpoch, options.spentEpoch) + 1;
  assert(epoch < EPOCH_LIMIT, 'epochs are used up');
  const level = new Set<JournalDisk>();
  const run = async (candidates: readonly JournalDisk[], work: (disk: JournalDisk) => Promise<void>) => {
    const results = await Promise.allSettled(candidates.map(work));
    for (const [index, result] of results.entries()) {
      if (result.status === 'fulfilled') continue;
      const { diskId } = candidates[index] as JournalDisk;
      options.unsettledDiskIds.add(diskId);
      context.log.warn({ diskId, error: result.reason }, 'journal: a disk cannot take part in the new epoch');
      if (!isStoreError(result.reason, 'DiskFailed', 'DiskTimeout', 'DiskMissing', 'DiskFull')) continue;
      context.disks.reportFailure(diskId, { operation: 'journal: opening an epoch', error: result.reason });
    }
    return candidates.filter((_, index) => results[index]?.status === 'fulfilled');
  };
  const idsOf = (some: Iterable<JournalDisk>): Set<string> => new Set([...some].map((disk) => disk.diskId));
  try {
    const hasOwnJournal = new Set(members.filter((one) => one.scan !== undefined).map((one) => one.disk.id));
    // Nothing is written when it cannot succeed.
    if (!isWriteQuorum(rules, hasOwnJournal)) throw quorumLost('reserve an epoch', rules, hasOwnJournal.size);
    options.onSpent(epoch);
    const reserved = await run(
      disks.filter((disk) => hasOwnJournal.has(disk.diskId)),
      (disk) => disk.reserve(epoch, view.acknowledged.epoch),
    );
    if (!isWriteQuorum(rules, idsOf(reserved))) throw quorumLost('reserve an epoch', rules, reserved.length);

    const opening = makeOpening(context, view, epoch);
    const canAppend = (disk: JournalDisk): boolean => view.appendable.has(disk.diskId) && !disk.isTainted;
    for (const disk of await run(reserved.filter(canAppend), (one) => appendUpTo(context, view, one, opening))) {
      level.add(disk);
    }
    if (!isWriteQuorum(rules, idsOf(level))) {
      const others = disks.filter((disk) => !canAppend(disk));
      for (const disk of await run(others, (one) => replaceUpTo(context, view, one, epoch, opening))) level.add(disk);
    }
    if (!isWriteQuorum(rules, idsOf(level))) throw quorumLost('open an epoch', rules, level.size);
    return { epoch, opening: opening.position, level: [...level] };
  } catch (error) {
    level.clear();
    throw error;
  } finally {
    await Promise.allSettled(disks.filter((disk) => !level.has(disk)).map((disk) => disk.close()));
  }
}

interface Opening {
  bytes: Buffer;
  position: JournalPosition;
}

function makeOpening(context: JournalContext, view: ChainView, epoch: number): Opening {
  const payload = Buffer.alloc(0);
  const bytes = context.buffers.take(frameBytesFor(0)).subarray(0, frameBytesFor(0));
  const newest = view.configurations.at(-1);
  const sequence = view.tail.sequence + 1;
  const hash = encodeFrame(
    bytes,
    {
      kind: 'opening',
      epoch,
      sequence,
      previous: view.tail,
      acknowledged: view.acknowledged,
      writtenAtMs: context.clock.nowMs(),
      configurationSequence: view.configurations.length > 1 ? (newest?.position.sequence ?? 0) : 0,
    },
    payload,
    context.clusterTag,
  );
  return { bytes, position: { epoch, sequence, hash } };
}

async function appendUpTo(context: JournalContext, view: ChainView, disk: JournalDisk, opening: Opening) {
  await disk.openTail();
  await appendChain(context, disk, {
    sources: view.sources,
    patches: view.patches,
    clusterTag: context.clusterTag,
    after: disk.last,
    upToSequence: view.tail.sequence,
  });
  await disk.write(opening.bytes, opening.position);
}

/** Appends frames read from other disks one after the other, each synced before the next. */
export async function appendChain(
  context: JournalContext,
  disk: JournalDisk,
  reading: Parameters<typeof readChain>[0],
): Promise<void> {
  for await (const { frame, position } of readChain(reading)) {
    const buffer = context.buffers.take(frame.bytes.length);
    const bytes = buffer.subarray(0, frame.bytes.length);
    frame.bytes.copy(bytes);
    await disk.write(bytes, position);
    context.buffers.release(buffer);
  }
}

async function replaceUpTo(
  context: JournalContext,
  view: ChainView,
  disk: JournalDisk,
  epoch: number,
  opening: Opening,
) {
  const configuration = view.configurations[0]?.configuration;
  assert(configuration !== undefined, 'a chain has a configuration');
  await disk.fs.createDirectoryDurable(JOURNAL_DIRECTORY);
  async function* frames(): AsyncGenerator<Buffer> {
    const { sources, patches, base, tail } = view;
    const { clusterTag } = context;
    for await (const { frame } of readChain({
      sources,
      patches,
      clusterTag,
      after: base,
      upToSequence: tail.sequence,
    })) {
      yield frame.bytes;
    }
    yield opening.bytes;
  }
  await disk.replaceWith({ base: view.base, configuration, reservedEpoch: epoch, frames: frames() });
}

function quorumLost(what: string, rules: readonly JournalConfiguration[], diskCount: number): StoreError {
  const needed = Math.max(...rules.map(writeQuorum));
  return new StoreError('QuorumLost', `${diskCount} journal disks are usable, ${needed} are needed to ${what}`, {
    hint: 'Bring back missing disks; writing goes on as soon as m + 1 journal disks are usable.',
  });
}
