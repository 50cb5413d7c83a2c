import { isStoreError, StoreError } from '../../errors/store-error.ts';
import { assert } from '../../errors/assert.ts';
import { EPOCH_LIMIT } from '../../model/identifier.ts';
import { readChain } from './chain-reader.ts';
import { encodeFrame, frameBytesFor } from './frame.ts';
import type { JournalPosition } from './journal.ts';
import { isPresent, type JournalContext, journalDiskOf } from './journal-context.ts';
import {
  configurationToJson,
  type JournalConfiguration,
  type JournalRule,
  writeQuorum,
} from './journal-configuration.ts';
import type { JournalDisk } from './journal-disk.ts';
import { JOURNAL_DIRECTORY } from './journal-state.ts';
import { type ChainView, configurationsInForce, type Inspection, type PositionedConfiguration } from './recovery.ts';

export interface OpenedEpoch {
  epoch: number;
  /** The last frame of it: the opening frame, or the change that declares disks lost. */
  last: JournalPosition;
  /** Those of the chain, and of this change. */
  configurations: readonly PositionedConfiguration[];
  /** Disks that hold the whole chain up to `last`. */
  level: JournalDisk[];
}

/** A disk that lacks more is levelled in the background, when the others are enough. */
const NEAR_FRAMES = 64;

/** Are enough of these disks in the set under every rule in force? */
export function isWriteQuorum(rules: readonly JournalRule[], diskIds: ReadonlySet<string>): boolean {
  return rules.every((rule) => rule.journalDiskIds.filter((diskId) => diskIds.has(diskId)).length >= writeQuorum(rule));
}

/**
 * Opens an epoch over the inspected disks: its number is reserved and synced on m + 1 disks, then a disk takes the
 * opening frame only when it holds every frame before it. Disks whose frames all lie on the chain get what they lack
 * appended, first those that lack little, the others only if those are too few; only if all of them are too few, whole journals that end with the opening frame are built beside the old ones of
 * the others and published in one step. When it resolves the chain up to the opening frame is acknowledged.
 *
 * With `declaration`, a configuration that declares disks lost follows the opening frame at once. The rules before it hold
 * without those disks. New disks get their whole journals first: a disk of the old list holds the declaration only when
 * enough of the new ones do, so that the next start can go on from a crash.
 * @throws StoreError QuorumLost. The epoch's number is then spent, and its opening frame may be on some disks, unless
 *   too few disks had a journal: then nothing was written.
 */
export async function openEpoch(
  context: JournalContext,
  options: {
    view: ChainView;
    inspections: readonly Inspection[];
    declaration?: JournalConfiguration | undefined;
    taintedDiskIds: ReadonlySet<string>;
    /** No epoch up to this one may be used again. */
    spentEpoch: number;
    /** Called with the new epoch before anything of it is written. */
    onSpent: (epoch: number) => void;
    /** Disks whose calls fail are added: one that missed its deadline may still land. */
    unsettledDiskIds: Set<string>;
  },
): Promise<OpenedEpoch> {
  const { view, inspections, declaration } = options;
  const epoch = Math.max(view.highestEpoch, options.spentEpoch) + 1;
  assert(epoch < EPOCH_LIMIT, 'epochs are used up');
  const configurations = withDeclaration(view, declaration);
  const rules = configurationsInForce(configurations, view.acknowledged);
  const reserving = declaration === undefined ? rules : rules.slice(0, -1);
  const reservingIds = new Set(reserving.flatMap((rule) => rule.journalDiskIds));
  const memberIds = new Set(rules.flatMap((rule) => rule.journalDiskIds));
  const genesis = view.configurations[0];
  assert(genesis !== undefined, 'a chain has a configuration');
  const members = inspections.filter((one) => memberIds.has(one.disk.id) && isPresent(one.disk));
  const disks = members.map((one) => journalDiskOf(context, one, genesis, options.taintedDiskIds.has(one.disk.id)));
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
    if (!isWriteQuorum(reserving, hasOwnJournal)) throw quorumLost('reserve an epoch', reserving, hasOwnJournal.size);
    options.onSpent(epoch);
    const reserved = await run(
      disks.filter(({ diskId }) => hasOwnJournal.has(diskId) && reservingIds.has(diskId)),
      (disk) => disk.reserve(epoch, view.acknowledged.epoch),
    );
    if (!isWriteQuorum(reserving, idsOf(reserved))) throw quorumLost('reserve an epoch', reserving, reserved.length);

    const beginning = makeBeginning(context, view, epoch, declaration);
    const replace = (one: JournalDisk): Promise<void> => replaceUpTo(context, view, { disk: one, epoch, beginning });
    const joining = disks.filter((disk) => !reservingIds.has(disk.diskId));
    for (const disk of await run(joining, replace)) level.add(disk);
    if (level.size < joining.length) throw new StoreError('DiskFailed', 'a new disk cannot take the journal');
    const canAppend = (disk: JournalDisk): boolean => view.appendable.has(disk.diskId) && !disk.isTainted;
    const isNear = (disk: JournalDisk): boolean => view.tail.sequence - disk.last.sequence <= NEAR_FRAMES;
    for (const some of [reserved.filter(isNear), reserved.filter((disk) => !isNear(disk))]) {
      if (isWriteQuorum(rules, idsOf(level))) break;
      for (const disk of await run(some.filter(canAppend), (one) => appendUpTo(context, view, one, beginning))) {
        level.add(disk);
      }
    }
    if (!isWriteQuorum(rules, idsOf(level))) {
      const others = disks.filter((disk) => !canAppend(disk) && !level.has(disk));
      for (const disk of await run(others, replace)) level.add(disk);
    }
    if (!isWriteQuorum(rules, idsOf(level))) throw quorumLost('open an epoch', rules, level.size);
    return { epoch, last: beginning.last, configurations, level: [...level] };
  } catch (error) {
    level.clear();
    throw error;
  } finally {
    await Promise.allSettled(disks.filter((disk) => !level.has(disk)).map((disk) => disk.close()));
  }
}

/** The first frames of an epoch: the opening frame, and a declaration. */
interface Beginning {
  frames: { bytes: Buffer; position: JournalPosition }[];
  last: JournalPosition;
}

/** The declaration has its place on the chain: two frames after its tail. */
export function withDeclaration(
  view: ChainView,
  declaration: JournalConfiguration | undefined,
): readonly PositionedConfiguration[] {
  if (declaration === undefined) return view.configurations;
  const position = { ...view.tail, sequence: view.tail.sequence + 2 };
  return [...view.configurations, { position, configuration: declaration }];
}

function makeBeginning(
  context: JournalContext,
  view: ChainView,
  epoch: number,
  declaration: JournalConfiguration | undefined,
): Beginning {
  const newest = view.configurations.length > 1 ? (view.configurations.at(-1)?.position.sequence ?? 0) : 0;
  const make = (kind: 'opening' | 'configuration', previous: JournalPosition, payload: Buffer) => {
    const length = frameBytesFor(payload.length);
    const bytes = context.buffers.take(length).subarray(0, length);
    const sequence = previous.sequence + 1;
    const facts = { kind, epoch, sequence, previous, acknowledged: view.acknowledged };
    const configurationSequence = kind === 'configuration' ? sequence : newest;
    const writtenAtMs = context.clock.nowMs();
    const hash = encodeFrame(bytes, { ...facts, writtenAtMs, configurationSequence }, payload, context.clusterTag);
    return { bytes, position: { epoch, sequence, hash } };
  };
  const opening = make('opening', view.tail, Buffer.alloc(0));
  if (declaration === undefined) return { frames: [opening], last: opening.position };
  const change = make('configuration', opening.position, Buffer.from(JSON.stringify(configurationToJson(declaration))));
  return { frames: [opening, change], last: change.position };
}

async function appendUpTo(context: JournalContext, view: ChainView, disk: JournalDisk, { frames }: Beginning) {
  await disk.openTail();
  await appendChain(context, disk, {
    sources: view.sources,
    patches: view.patches,
    clusterTag: context.clusterTag,
    after: disk.last,
    upToSequence: view.tail.sequence,
  });
  for (const { bytes, position } of frames) await disk.write(bytes, position);
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
  { disk, epoch, beginning }: { disk: JournalDisk; epoch: number; beginning: Beginning },
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
    for (const { bytes } of beginning.frames) yield bytes;
  }
  await disk.replaceWith({ base: view.base, configuration, reservedEpoch: epoch, frames: frames() });
}

function quorumLost(what: string, rules: readonly JournalRule[], diskCount: number): StoreError {
  const needed = Math.max(...rules.map(writeQuorum));
  return new StoreError('QuorumLost', `${diskCount} journal disks are usable, ${needed} are needed to ${what}`, {
    hint: 'Bring back missing disks; writing goes on as soon as m + 1 journal disks are usable.',
  });
}
