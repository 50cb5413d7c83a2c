import type { DiskFs } from '../../disk/disk-fs.ts';
import { comparePositions, follows, type Frame, positionOf } from './frame.ts';
import { FrameCursor } from './frame-cursor.ts';
import type { JournalPosition } from './journal.ts';
import { configurationFromJson, type JournalConfiguration } from './journal-configuration.ts';
import { JOURNAL_DIRECTORY, type JournalState } from './journal-state.ts';
import { inJournal, parseSegmentName, segmentName } from './segment-names.ts';

export interface ScannedSegment {
  number: number;
  /** Sequence of its first frame; `undefined` while it has none. */
  firstSequence: number | undefined;
}

/** What the files of one disk hold. Nothing was written. */
export interface JournalScan {
  state: JournalState;
  segments: ScannedSegment[];
  /** Last frame of the unbroken run from the base, or the base. */
  last: JournalPosition;
  /** Where the next frame goes; `undefined` while there is no segment. */
  tail: { segmentNumber: number; offset: number } | undefined;
  /** Greatest frame found, behind damage too. Equals `last` when unbroken. */
  highest: JournalPosition;
  /** A bad frame with good ones behind it is damage, not a torn end: the frames after `after` up to `upTo` are missing. */
  holes: { after: JournalPosition; upTo: JournalPosition }[];
  /** A segment file is missing or too short: `highest` may tell too little, so the disk does not count at a start. */
  isShort: boolean;
  /** Greatest acknowledged position that any frame tells, at least the base. */
  acknowledged: JournalPosition;
  /** Configuration frames after the base, in order. */
  configurations: { position: JournalPosition; configuration: JournalConfiguration }[];
}

/**
 * Reads the journal of one disk. Only the last frame may be torn: the disk got no later one before it was synced. So a
 * bad frame with nothing newer behind it is the end; with something newer behind it, it is damage.
 * @throws StoreError when the disk cannot be read.
 */
export async function scanJournal(fs: DiskFs, state: JournalState, clusterTag: Buffer): Promise<JournalScan> {
  const numbers = await segmentNumbers(fs, state);
  const scan: JournalScan = {
    state,
    segments: [],
    last: state.base,
    tail: undefined,
    highest: state.base,
    holes: [],
    isShort: false,
    acknowledged: state.base,
    configurations: [],
  };
  for (let number = state.firstSegment; number <= state.lastSegment; number++) {
    if (!numbers.includes(number)) scan.isShort = true;
  }
  for (const number of numbers) {
    await scanSegment(fs, scan, number, clusterTag);
  }
  return scan;
}

/** Segments of the state's generation without a gap from the first kept one. */
async function segmentNumbers(fs: DiskFs, state: JournalState): Promise<number[]> {
  const present = new Set<number>();
  for (const name of await fs.list(JOURNAL_DIRECTORY)) {
    const parsed = parseSegmentName(name);
    if (parsed !== undefined && parsed.generation === state.generation) present.add(parsed.number);
  }
  const last = Math.max(state.firstSegment - 1, ...present);
  const numbers: number[] = [];
  for (let number = state.firstSegment; number <= last; number++) if (present.has(number)) numbers.push(number);
  return numbers;
}

async function scanSegment(fs: DiskFs, scan: JournalScan, number: number, clusterTag: Buffer): Promise<void> {
  const file = await fs.open(inJournal(segmentName(scan.state.generation, number)), 'read');
  try {
    const sizeBytes = await file.sizeBytes();
    if (sizeBytes < scan.state.segmentBytes) scan.isShort = true;
    const cursor = new FrameCursor(file, sizeBytes, clusterTag);
    const segment: ScannedSegment = { number, firstSequence: undefined };
    scan.segments.push(segment);
    let offset = 0;
    for (;;) {
      const found = await nextNewerFrame(cursor, offset, scan.highest);
      if (found === undefined) break;
      acceptFrame(scan, found.frame);
      segment.firstSequence ??= found.frame.sequence;
      offset = found.offset + found.frame.bytes.length;
    }
    if (segment.firstSequence !== undefined || scan.tail === undefined) scan.tail = { segmentNumber: number, offset };
  } finally {
    await file.close();
  }
}

/**
 * Frames before the base of a cut journal, and those of an earlier life of a recycled file, are older than what was
 * accepted before them and are passed over.
 */
async function nextNewerFrame(
  cursor: FrameCursor,
  offset: number,
  newest: JournalPosition,
): Promise<{ offset: number; frame: Frame } | undefined> {
  let found = await cursor.nextFrame(offset);
  while (found !== undefined && found.frame.sequence <= newest.sequence) {
    found = await cursor.nextFrame(found.offset + found.frame.bytes.length);
  }
  return found;
}

function acceptFrame(scan: JournalScan, frame: Frame): void {
  const position = positionOf(frame);
  if (!follows(frame, scan.highest)) scan.holes.push({ after: scan.highest, upTo: frame.previous });
  if (scan.holes.length === 0) scan.last = position;
  scan.highest = position;
  if (comparePositions(frame.acknowledged, scan.acknowledged) > 0) scan.acknowledged = frame.acknowledged;
  if (frame.kind === 'configuration') {
    const configuration = configurationFromJson(JSON.parse(frame.payload.toString('utf8')));
    scan.configurations.push({ position, configuration });
  }
}
