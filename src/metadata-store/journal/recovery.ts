import type { DiskFs } from '../../disk/disk-fs.ts';
import type { Disk } from '../../disk/disk-set.ts';
import { isStoreError, StoreError } from '../../errors/store-error.ts';
import { type ChainSource, readFrameOf } from './chain-reader.ts';
import { comparePositions, decodeFrame, positionOf, samePosition } from './frame.ts';
import type { JournalPosition } from './journal.ts';
import type { JournalContext } from './journal-context.ts';
import { type JournalConfiguration, type JournalRule, readQuorum, withoutLost } from './journal-configuration.ts';
import { type JournalScan, scanJournal } from './journal-scan.ts';
import { isVoid, JOURNAL_DIRECTORY, readState, type StoredCheckpoint, type VoidNote } from './journal-state.ts';

const MAX_PATCHED_FRAMES = 4096;

/** What a present disk holds. Without `scan` it has no readable journal: blank, half-formatted or damaged at the root. */
export interface Inspection {
  disk: Disk;
  names: readonly string[];
  scan: JournalScan | undefined;
}

/** Reads one disk, writes nothing. `undefined`: the disk cannot be read. @throws StoreError FormatRefused */
export async function inspectDisk(context: JournalContext, disk: Disk): Promise<Inspection | undefined> {
  const { clusterTag, scanBytes } = context;
  try {
    const names = (await disk.fs.stat(JOURNAL_DIRECTORY)) === undefined ? [] : await disk.fs.list(JOURNAL_DIRECTORY);
    const state = await readState(disk.fs);
    const isOwn = typeof state === 'object' && state.clusterId === context.disks.clusterId && state.diskId === disk.id;
    return { disk, names, scan: isOwn ? await scanJournal(disk.fs, state, clusterTag, scanBytes) : undefined };
  } catch (error) {
    if (!isStoreError(error)) throw error;
    if (error.code !== 'FormatRefused') return undefined;
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    throw new StoreError('FormatRefused', `disk ${disk.id}: ${error.message}`, { ...hint, cause: error });
  }
}

export interface PositionedConfiguration {
  position: JournalPosition;
  configuration: JournalConfiguration;
}

/** The newest epoch's chain as the present disks tell it. */
export interface ChainView {
  base: JournalPosition;
  tail: JournalPosition;
  /** Greatest position known to be acknowledged. */
  acknowledged: JournalPosition;
  /** The one at the base first, then those of the chain. */
  configurations: PositionedConfiguration[];
  /** Disks with checkpoints. */
  holders: { diskId: string; fs: DiskFs; checkpoints: readonly StoredCheckpoint[] }[];
  /** Disks all of whose frames lie on the chain, the best first. */
  sources: ChainSource[];
  /** Frames for holes of the best source. */
  patches: Map<number, Buffer>;
  /** A frame of the chain is on no present disk. */
  corruption: StoreError | undefined;
  /** Disks that only need the frames after their last one. */
  appendable: Set<string>;
  /** Disks that count at a start: a readable, unbroken (or completed from others) journal of their own. */
  countable: Set<string>;
  /** No epoch up to this one may be used again. */
  highestEpoch: number;
}

/**
 * Takes the union: the chain of the newest epoch that any disk has accepted, which within one epoch is the longest. Void
 * notes of any of the disks hold for all of them. Disks that were declared lost are passed over.
 * @throws StoreError QuorumLost when no disk has a journal.
 */
export async function chooseChain(inspections: readonly Inspection[], clusterTag: Buffer): Promise<ChainView> {
  const all = inspections.filter((inspection): inspection is ScannedDisk => inspection.scan !== undefined);
  const lostDiskIds = declaredLost(all);
  const found = all.filter(({ disk }) => !lostDiskIds.has(disk.id));
  const notes = found.flatMap(({ scan }) => scan.state.voidNotes);
  const scanned = await Promise.all(found.map((one) => withoutVoidFrames(one, { all: found, notes, clusterTag })));
  const [best, ...others] = scanned.sort(
    (a, b) => comparePositions(b.scan.highest, a.scan.highest) || a.scan.holes.length - b.scan.holes.length,
  );
  if (best === undefined) throw new StoreError('QuorumLost', 'no disk carries a readable journal', { hint: LOST_HINT });
  const filled = await fillHoles(best, others, clusterTag).catch(corruptionOnly);
  const corruption = filled instanceof StoreError ? filled : undefined;
  const patches = filled instanceof StoreError ? new Map<number, Buffer>() : filled;
  const { base, configuration } = best.scan.state;
  const view: ChainView = {
    base,
    tail: best.scan.highest,
    acknowledged: scanned.map((one) => one.scan.acknowledged).reduce(laterInSequence),
    configurations: [{ position: base, configuration }, ...best.scan.configurations],
    holders: scanned.map(({ disk, scan }) => ({ diskId: disk.id, fs: disk.fs, checkpoints: scan.state.checkpoints })),
    sources: [],
    patches,
    corruption,
    appendable: new Set(),
    countable: new Set(),
    highestEpoch: Math.max(...all.map(({ scan }) => Math.max(scan.highest.epoch, scan.state.reservedEpoch))),
  };
  for (const one of scanned) {
    const { scan, disk } = one;
    const isOnChain = one === best || (await liesOnChain(scan.highest, best, patches, clusterTag));
    if (isOnChain) view.sources.push(sourceOf(one));
    const isBroken = scan.holes.length > 0;
    if (isOnChain && !isBroken && !scan.isShort && one.hasVoidFrames !== true) view.appendable.add(disk.id);
    const isWhole = !isBroken || (isOnChain && corruption === undefined);
    if (!scan.isShort && isWhole) view.countable.add(disk.id);
  }
  return view;
}

/** Named by a configuration on any of the disks, unless that is void by what the disks that it does not name have noted. */
function declaredLost(scanned: readonly ScannedDisk[]): Set<string> {
  const lost = new Set<string>();
  for (const { scan } of scanned) {
    const { base, configuration: atBase } = scan.state;
    for (const { position, configuration } of [{ position: base, configuration: atBase }, ...scan.configurations]) {
      const { lostDiskIds = [] } = configuration;
      const notes = scanned
        .filter(({ disk }) => !lostDiskIds.includes(disk.id))
        .flatMap((other) => other.scan.state.voidNotes);
      if (!isVoid(position, notes)) for (const diskId of lostDiskIds) lost.add(diskId);
    }
  }
  return lost;
}

export const LOST_HINT =
  'Bring back the missing disks: a start needs enough of the journal disks to be sure that nothing acknowledged is missed.';

/**
 * Are there enough disks, under every configuration that may be in force, and is the chain whole?
 * @throws StoreError QuorumLost | JournalCorrupt
 */
export function requireReadQuorum(
  view: ChainView,
  rules: readonly JournalRule[] = configurationsInForce(view.configurations, view.acknowledged),
): void {
  for (const configuration of rules) {
    const counted = configuration.journalDiskIds.filter((diskId) => view.countable.has(diskId)).length;
    const needed = readQuorum(configuration);
    if (counted < needed) {
      const total = configuration.journalDiskIds.length;
      const message = `${counted} of ${total} journal disks carry a readable journal, ${needed} are needed`;
      throw new StoreError('QuorumLost', message, { hint: LOST_HINT });
    }
  }
  if (view.corruption !== undefined) throw view.corruption;
}

/**
 * The newest acknowledged configuration and all later ones: until one is acknowledged both rules must hold, each without the
 * disks that a later one declares lost.
 */
export function configurationsInForce(
  configurations: readonly PositionedConfiguration[],
  acknowledged: JournalPosition,
): JournalRule[] {
  const newest = configurations.findLastIndex((one) => one.position.sequence <= acknowledged.sequence);
  const inForce = configurations.slice(Math.max(newest, 0)).map((one) => one.configuration);
  return inForce.map((configuration, index) => {
    const lostDiskIds = inForce.slice(index + 1).flatMap((later) => later.lostDiskIds ?? []);
    return withoutLost(configuration, lostDiskIds);
  });
}

type ScannedDisk = Inspection & { scan: JournalScan; hasVoidFrames?: boolean };

/**
 * The disk as if the void frames at its end were not there; its files are left alone and take no more frames. Where the
 * last frame is of an epoch later than the note's, that epoch has adopted what lies before it.
 */
async function withoutVoidFrames(
  one: ScannedDisk,
  options: { all: readonly ScannedDisk[]; notes: readonly VoidNote[]; clusterTag: Buffer },
): Promise<ScannedDisk> {
  const { scan } = one;
  const { base } = scan.state;
  let { isShort } = scan;
  let tail = scan.highest;
  while (tail.sequence > base.sequence && isVoid(tail, options.notes)) {
    const frame = await findFrame(tail, [one, ...options.all], options.clusterTag);
    // A lost void frame does not tell what came before it: the disk gives what it has but does not count.
    if (frame === undefined) isShort = true;
    if (frame !== undefined) tail = frame.previous;
    else tail = tail.sequence > scan.last.sequence ? scan.last : base;
  }
  if (tail === scan.highest) return one;
  const holes = scan.holes
    .filter(({ after }) => after.sequence < tail.sequence)
    .map((hole) => (hole.upTo.sequence > tail.sequence ? { ...hole, upTo: tail } : hole));
  const last = scan.last.sequence > tail.sequence ? tail : scan.last;
  const configurations = scan.configurations.filter(({ position }) => position.sequence <= tail.sequence);
  return { ...one, scan: { ...scan, highest: tail, last, holes, configurations, isShort }, hasVoidFrames: true };
}

/** Acknowledged positions all lie on one chain. */
function laterInSequence(one: JournalPosition, other: JournalPosition): JournalPosition {
  return other.sequence > one.sequence ? other : one;
}

function sourceOf({ disk, scan }: ScannedDisk): ChainSource {
  return {
    diskId: disk.id,
    fs: disk.fs,
    generation: scan.state.generation,
    segments: scan.segments,
    lastSequence: scan.highest.sequence,
  };
}

async function liesOnChain(
  position: JournalPosition,
  best: ScannedDisk,
  patches: ReadonlyMap<number, Buffer>,
  clusterTag: Buffer,
): Promise<boolean> {
  if (samePosition(position, best.scan.highest) || samePosition(position, best.scan.state.base)) return true;
  if (position.sequence > best.scan.highest.sequence) return false;
  const patch = patches.get(position.sequence);
  const frame =
    patch === undefined
      ? await readFrameOf(sourceOf(best), position.sequence, clusterTag)
      : decodeFrame(patch, clusterTag);
  return frame !== undefined && samePosition(positionOf(frame), position);
}

/** Finds the frames that a damaged disk lacks, backwards along the hashes: no other chain can slip in. */
async function fillHoles(
  damaged: ScannedDisk,
  others: readonly ScannedDisk[],
  clusterTag: Buffer,
): Promise<Map<number, Buffer>> {
  const patches = new Map<number, Buffer>();
  for (const hole of damaged.scan.holes) {
    let wanted = hole.upTo;
    while (wanted.sequence > hole.after.sequence) {
      const frame = await findFrame(wanted, others, clusterTag);
      if (frame === undefined || patches.size >= MAX_PATCHED_FRAMES) throw corruptAt(wanted);
      patches.set(wanted.sequence, frame.bytes);
      wanted = frame.previous;
    }
    if (!samePosition(wanted, hole.after)) throw corruptAt(wanted);
  }
  return patches;
}

function corruptionOnly(error: unknown): StoreError {
  if (isStoreError(error, 'JournalCorrupt')) return error;
  throw error;
}

function corruptAt(position: JournalPosition): StoreError {
  return new StoreError('JournalCorrupt', `journal frame ${position.sequence} is readable on no present disk`, {
    hint: 'Bring back the missing disks: a good copy of this frame may be there.',
  });
}

async function findFrame(wanted: JournalPosition, disks: readonly ScannedDisk[], clusterTag: Buffer) {
  for (const one of disks) {
    const frame = await readFrameOf(sourceOf(one), wanted.sequence, clusterTag).catch(() => undefined);
    if (frame !== undefined && samePosition(positionOf(frame), wanted)) return frame;
  }
  return undefined;
}
