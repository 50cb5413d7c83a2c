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
  /** What the first frame that was read says of the newest configuration frame up to it. */
  configurationSequence?: number;
  /** Wall clock of the newest frame that was read. */
  lastWrittenAtMs?: number;
}

/**
 * Reads about `scanBytes` at the end of the journal of one disk, at least two segments, all of it when it is shorter;
 * damage before that is found by reading or by a scrub. Only the last frame may be torn: the disk got
 * no later one before it was synced. So a bad frame with nothing newer behind it is the end; with something newer behind
 * it, it is damage.
 * @throws StoreError when the disk cannot be read.
 */
export async function scanJournal(
  fs: DiskFs,
  state: JournalState,
  clusterTag: Buffer,
  scanBytes: number,
): Promise<JournalScan> {
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
  const numbers = await segmentNumbers(fs, state);
  for (let number = state.firstSegment; number <= state.lastSegment; number++) {
    if (!numbers.includes(number)) scan.isShort = true;
  }
  const scannedSegments = Math.max(2, Math.ceil(scanBytes / state.segmentBytes));
  const skipped = await skipSegments(fs, scan, numbers, { scannedSegments, clusterTag });
  for (const number of numbers.slice(skipped)) await scanSegment(fs, scan, number, clusterTag);
  if (skipped > 0) await findConfiguration(fs, scan, clusterTag);
  return scan;
}

/** Segments of the state's generation, ascending. */
async function segmentNumbers(fs: DiskFs, state: JournalState): Promise<number[]> {
  const numbers: number[] = [];
  for (const name of await fs.list(JOURNAL_DIRECTORY)) {
    const parsed = parseSegmentName(name);
    if (parsed === undefined || parsed.generation !== state.generation) continue;
    if (parsed.number >= state.firstSegment) numbers.push(parsed.number);
  }
  return numbers.sort((a, b) => a - b);
}

/**
 * Looks at the first frame of each segment only. All but the last `scannedSegments` with frames are passed over, when
 * their first frames are good and ascend; otherwise nothing is. Returns how many.
 */
async function skipSegments(
  fs: DiskFs,
  scan: JournalScan,
  numbers: readonly number[],
  options: { scannedSegments: number; clusterTag: Buffer },
): Promise<number> {
  if (numbers.length <= options.scannedSegments) return 0;
  const firsts: { number: number; frame: Frame }[] = [];
  for (const number of numbers) {
    const { frame, sizeBytes } = await firstFrame(fs, scan.state, number, options.clusterTag);
    if (sizeBytes < scan.state.segmentBytes) scan.isShort = true;
    const before = firsts.at(-1)?.frame.sequence ?? 0;
    if (frame === undefined || frame.sequence <= before) break;
    firsts.push({ number, frame });
  }
  const skipped = firsts.length - options.scannedSegments;
  const start = firsts[skipped];
  if (skipped <= 0 || start === undefined) return 0;
  scan.segments = firsts.slice(0, skipped).map(({ number, frame }) => ({ number, firstSequence: frame.sequence }));
  scan.last = start.frame.previous;
  scan.highest = scan.last;
  return skipped;
}

async function firstFrame(fs: DiskFs, state: JournalState, number: number, clusterTag: Buffer) {
  const file = await fs.open(inJournal(segmentName(state.generation, number)), 'read');
  try {
    const sizeBytes = await file.sizeBytes();
    return { frame: await new FrameCursor(file, sizeBytes, clusterTag).frameAt(0), sizeBytes };
  } finally {
    await file.close();
  }
}

/** The frames that were read name the newest configuration frame; when it lies before them it is looked up. */
async function findConfiguration(fs: DiskFs, scan: JournalScan, clusterTag: Buffer): Promise<void> {
  const sequence = scan.configurationSequence ?? 0;
  if (sequence <= scan.state.base.sequence || scan.configurations.some((one) => one.position.sequence <= sequence))
    return;
  const segment = scan.segments.findLast((one) => one.firstSequence !== undefined && one.firstSequence <= sequence);
  if (segment === undefined) return;
  const file = await fs.open(inJournal(segmentName(scan.state.generation, segment.number)), 'read');
  try {
    const cursor = new FrameCursor(file, await file.sizeBytes(), clusterTag);
    let found = await cursor.nextFrame(0);
    while (found !== undefined && found.frame.sequence < sequence) {
      found = await cursor.nextFrame(found.offset + found.frame.bytes.length);
    }
    if (found?.frame.sequence === sequence) scan.configurations.unshift(configurationOf(found.frame));
    else scan.isShort = true;
  } finally {
    await file.close();
  }
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
  scan.lastWrittenAtMs = frame.writtenAtMs;
  if (comparePositions(frame.acknowledged, scan.acknowledged) > 0) scan.acknowledged = frame.acknowledged;
  scan.configurationSequence ??= frame.configurationSequence;
  if (frame.kind === 'configuration') scan.configurations.push(configurationOf(frame));
}

function configurationOf(frame: Frame): { position: JournalPosition; configuration: JournalConfiguration } {
  const configuration = configurationFromJson(JSON.parse(frame.payload.toString('utf8')));
  return { position: positionOf(frame), configuration };
}
