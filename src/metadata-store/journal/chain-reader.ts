import type { DiskFile, DiskFs } from '../../disk/disk-fs.ts';
import { StoreError } from '../../errors/store-error.ts';
import { decodeFrame, type Frame, follows, positionOf } from './frame.ts';
import { FrameCursor } from './frame-cursor.ts';
import type { JournalPosition } from './journal.ts';
import type { ScannedSegment } from './journal-scan.ts';
import { inJournal, segmentName } from './segment-names.ts';

/** One disk's files as a place to read frames from. */
export interface ChainSource {
  readonly diskId: string;
  readonly fs: DiskFs;
  readonly generation: number;
  readonly segments: readonly ScannedSegment[];
  readonly lastSequence: number;
}

/** Frames that fill holes of a damaged disk, by sequence. */
export type ChainPatches = ReadonlyMap<number, Buffer>;

/** A frame with its position; bytes and payload are valid until the next one is asked for. */
export interface ReadFrame {
  frame: Frame;
  position: JournalPosition;
}

/**
 * The frames after `after` up to `upToSequence`, in order, each checked to follow the one before. Every source must lie
 * on the chain that is read; a frame that is bad or missing on one disk comes from another.
 * @throws StoreError JournalCorrupt when no source has the next frame.
 */
export async function* readChain(options: {
  sources: readonly ChainSource[];
  patches?: ChainPatches;
  clusterTag: Buffer;
  after: JournalPosition;
  upToSequence: number;
  /** A source failed or had a bad frame: it needs levelling. */
  onBadSource?: (diskId: string, error: unknown) => void;
}): AsyncGenerator<ReadFrame, void, undefined> {
  let before = options.after;
  const walkers = options.sources.map((source) => new SegmentWalker(source, options.clusterTag));
  let preferred = 0;
  try {
    while (before.sequence < options.upToSequence) {
      let found = fromPatches(options.patches, before, options.clusterTag);
      for (let tries = 0; found === undefined && tries < walkers.length; tries++) {
        const walker = walkers[(preferred + tries) % walkers.length] as SegmentWalker;
        found = await walker.frameAfter(before, options.onBadSource);
        if (found !== undefined) preferred = (preferred + tries) % walkers.length;
      }
      if (found === undefined) {
        throw new StoreError('JournalCorrupt', `journal frame ${before.sequence + 1} is readable on no disk`, {
          hint: 'Bring back the missing disks; if none is missing, restore from a backup with `holdfast recover`.',
        });
      }
      before = positionOf(found);
      yield { frame: found, position: before };
    }
  } finally {
    await Promise.allSettled(walkers.map((walker) => walker.close()));
  }
}

/** The frame with this sequence on one disk, whatever chain it belongs to; its bytes are the caller's. */
export async function readFrameOf(
  source: ChainSource,
  sequence: number,
  clusterTag: Buffer,
): Promise<Frame | undefined> {
  const walker = new SegmentWalker(source, clusterTag);
  try {
    const frame = await walker.frameWith(sequence);
    return frame === undefined ? undefined : decodeFrame(Buffer.from(frame.bytes), clusterTag);
  } finally {
    await walker.close();
  }
}

function fromPatches(patches: ChainPatches | undefined, before: JournalPosition, tag: Buffer): Frame | undefined {
  const bytes = patches?.get(before.sequence + 1);
  const frame = bytes === undefined ? undefined : decodeFrame(bytes, tag);
  return frame !== undefined && follows(frame, before) ? frame : undefined;
}

/** Walks forward through one disk's segments. */
class SegmentWalker {
  readonly #source: ChainSource;
  readonly #clusterTag: Buffer;
  #file: DiskFile | undefined;
  #cursor: FrameCursor | undefined;
  #segmentNumber = -1;
  #offset = 0;
  /** Sequence that a frame at `#offset` would have to reach. */
  #nextSequence = 0;

  constructor(source: ChainSource, clusterTag: Buffer) {
    this.#source = source;
    this.#clusterTag = clusterTag;
  }

  async frameAfter(
    before: JournalPosition,
    onBad: ((diskId: string, error: unknown) => void) | undefined,
  ): Promise<Frame | undefined> {
    const sequence = before.sequence + 1;
    if (sequence > this.#source.lastSequence) return undefined;
    try {
      const frame = await this.frameWith(sequence);
      if (frame !== undefined && follows(frame, before)) return frame;
      const firstKept = this.#source.segments.find((segment) => segment.firstSequence !== undefined)?.firstSequence;
      if (firstKept !== undefined && firstKept <= sequence) {
        onBad?.(this.#source.diskId, new StoreError('JournalCorrupt', `journal frame ${sequence} is damaged`));
      }
    } catch (error) {
      onBad?.(this.#source.diskId, error);
    }
    return undefined;
  }

  async frameWith(sequence: number): Promise<Frame | undefined> {
    const segment = this.#source.segments.findLast(
      (candidate) => candidate.firstSequence !== undefined && candidate.firstSequence <= sequence,
    );
    if (segment === undefined) return undefined;
    if (segment.number !== this.#segmentNumber || sequence < this.#nextSequence) await this.#open(segment.number);
    const cursor = this.#cursor as FrameCursor;
    for (;;) {
      const found = await cursor.nextFrame(this.#offset);
      if (found === undefined || found.frame.sequence > sequence) return undefined;
      this.#offset = found.offset + found.frame.bytes.length;
      this.#nextSequence = found.frame.sequence + 1;
      if (found.frame.sequence === sequence) return found.frame;
    }
  }

  async #open(number: number): Promise<void> {
    await this.close();
    this.#file = await this.#source.fs.open(inJournal(segmentName(this.#source.generation, number)), 'read');
    this.#cursor = new FrameCursor(this.#file, await this.#file.sizeBytes(), this.#clusterTag);
    this.#segmentNumber = number;
    this.#offset = 0;
    this.#nextSequence = 0;
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#segmentNumber = -1;
    await file?.close();
  }
}
