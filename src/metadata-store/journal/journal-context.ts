import type { Disk, DiskSet } from '../../disk/disk-set.ts';
import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';
import type { AlignedBuffers } from './aligned-buffers.ts';
import { zeroPosition } from './frame.ts';
import { JournalDisk } from './journal-disk.ts';
import type { JournalScan } from './journal-scan.ts';
import type { Inspection, PositionedConfiguration } from './recovery.ts';

/** What the parts of one `DiskJournal` share. */
export interface JournalContext {
  disks: DiskSet;
  clock: Clock;
  log: Log;
  clusterTag: Buffer;
  buffers: AlignedBuffers;
  segmentBytes: number;
  reserveSegments: number;
  /** So much of the end of a journal is read when a disk is inspected. */
  scanBytes: number;
  /** The greatest format that the state of any disk names: every state published from now on names it too. */
  promisedFormat: number;
  /** Those that may still write. */
  journalDisks: Set<JournalDisk>;
}

/** May its files be read and written now? `returning` disks count at a start and are levelled. */
export function isPresent(disk: Disk): boolean {
  return disk.state === 'online' || disk.state === 'returning' || disk.state === 'suspect';
}

/** The journal files of an inspected disk; one without a journal can only take a whole new one. */
export function journalDiskOf(
  context: JournalContext,
  inspection: Inspection,
  genesis: PositionedConfiguration,
  isTainted: boolean,
): JournalDisk {
  const { disk, names } = inspection;
  const { segmentBytes, reserveSegments } = context;
  const promisedFormat = (): number => context.promisedFormat;
  const options = { diskId: disk.id, fs: disk.fs, segmentBytes, reserveSegments, promisedFormat };
  const journalDisk = new JournalDisk(options, inspection.scan ?? blankScan(context, disk, genesis), names);
  for (const known of context.journalDisks) if (known.isOver) context.journalDisks.delete(known);
  context.journalDisks.add(journalDisk);
  if (isTainted || inspection.scan === undefined || inspection.scan.state.segmentBytes !== segmentBytes) {
    journalDisk.taint();
  }
  return journalDisk;
}

function blankScan(context: JournalContext, disk: Disk, { configuration }: PositionedConfiguration): JournalScan {
  return {
    state: {
      format: context.promisedFormat,
      clusterId: context.disks.clusterId,
      diskId: disk.id,
      generation: 0,
      firstSegment: 0,
      lastSegment: -1,
      segmentBytes: context.segmentBytes,
      base: zeroPosition,
      configuration,
      reservedEpoch: 0,
      checkpoints: [],
      voidNotes: [],
    },
    segments: [],
    last: zeroPosition,
    tail: undefined,
    highest: zeroPosition,
    holes: [],
    isShort: true,
    acknowledged: zeroPosition,
    configurations: [],
  };
}
