import type { Disk } from '../../disk/disk-set.ts';
import { StoreError } from '../../errors/store-error.ts';
import { type ChainSource, readChain, readFrameOf } from './chain-reader.ts';
import { appendChain } from './epoch-opening.ts';
import { positionOf, samePosition } from './frame.ts';
import type { JournalPosition } from './journal.ts';
import { type JournalContext, journalDiskOf } from './journal-context.ts';
import type { JournalDisk } from './journal-disk.ts';
import { JOURNAL_DIRECTORY } from './journal-state.ts';
import { inspectDisk, type PositionedConfiguration } from './recovery.ts';

/** So near the end of the chain the rest goes through the lane's queue. */
const JOIN_DISTANCE_FRAMES = 16;

/** The running journal, as levelling sees it. */
export interface LevellingHost {
  readonly epoch: number;
  /** The chain up to here may be copied. Moves on meanwhile. */
  acknowledged(): JournalPosition;
  /** Level disks. */
  sources(): readonly (ChainSource & { readonly base: PositionedConfiguration })[];
  onBadSource(diskId: string, error: unknown): void;
}

/**
 * Copies to a disk what it missed, until it is nearly at the end of the acknowledged chain. A disk whose frames all lie
 * on the chain and whose files never failed is appended to; any other gets new files beside the old ones, published in
 * one synced step. A crash at any point leaves the old journal or a longer one.
 */
export async function levelDisk(
  context: JournalContext,
  host: LevellingHost,
  disk: Disk,
  isTainted: boolean,
): Promise<JournalDisk> {
  const inspection = await inspectDisk(context, disk);
  if (inspection === undefined) throw new StoreError('DiskFailed', `the journal of disk ${disk.id} cannot be read`);
  const base = host.sources()[0]?.base;
  if (base === undefined) throw new StoreError('QuorumLost', 'no level disk to copy the journal from');
  const journalDisk = journalDiskOf(context, inspection, base, isTainted);
  try {
    const canAppend = !journalDisk.isTainted && (await liesOnChain(context, host, journalDisk.last));
    if (canAppend) await journalDisk.reserve(host.epoch);
    else await replaceJournal(context, host, journalDisk, base);
    await journalDisk.openTail();
    while (host.acknowledged().sequence - journalDisk.last.sequence > JOIN_DISTANCE_FRAMES) {
      await appendChain(context, journalDisk, reading(context, host, journalDisk.last));
    }
    return journalDisk;
  } catch (error) {
    await journalDisk.close();
    throw error;
  }
}

function reading(
  context: JournalContext,
  host: LevellingHost,
  after: JournalPosition,
): Parameters<typeof readChain>[0] {
  return {
    sources: host.sources(),
    clusterTag: context.clusterTag,
    after,
    upToSequence: host.acknowledged().sequence,
    onBadSource: (diskId, error) => host.onBadSource(diskId, error),
  };
}

async function replaceJournal(
  context: JournalContext,
  host: LevellingHost,
  journalDisk: JournalDisk,
  base: PositionedConfiguration,
): Promise<void> {
  await journalDisk.fs.createDirectoryDurable(JOURNAL_DIRECTORY);
  async function* frames(): AsyncGenerator<Buffer> {
    for await (const { frame } of readChain(reading(context, host, base.position))) yield frame.bytes;
  }
  await journalDisk.replaceWith({
    base: base.position,
    configuration: base.configuration,
    reservedEpoch: host.epoch,
    frames: frames(),
  });
}

async function liesOnChain(context: JournalContext, host: LevellingHost, position: JournalPosition): Promise<boolean> {
  if (position.sequence > host.acknowledged().sequence) return false;
  for (const source of host.sources()) {
    if (samePosition(source.base.position, position)) return true;
    const frame = await readFrameOf(source, position.sequence, context.clusterTag).catch(() => undefined);
    if (frame !== undefined) return samePosition(positionOf(frame), position);
  }
  return false;
}
