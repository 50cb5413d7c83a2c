import type { DiskFile, DiskFs } from '../../disk/disk-fs.ts';
import { hashFrame } from './frame.ts';
import type { JournalPosition } from './journal.ts';
import type { ScannedSegment } from './journal-scan.ts';
import { inJournal, segmentName } from './segment-names.ts';
import { zeroFrom } from './zeroed-file.ts';

export interface WrittenSegments {
  segments: ScannedSegment[];
  last: JournalPosition;
  /** In the last segment. */
  tailOffset: number;
}

/**
 * Writes frames in bulk into new segment files of a generation that no state names yet; every file is synced when it is
 * full and at the end. At least one segment is made, so that the journal has a tail.
 */
export async function writeSegments(options: {
  fs: DiskFs;
  generation: number;
  segmentBytes: number;
  base: JournalPosition;
  frames: AsyncIterable<Buffer>;
  /** A full-sized file in the journal directory that becomes the next segment. */
  takeSegment: () => Promise<{ name: string; isZeroed: boolean }>;
}): Promise<WrittenSegments> {
  const { fs, generation, segmentBytes } = options;
  const result: WrittenSegments = { segments: [], last: options.base, tailOffset: 0 };
  let file: DiskFile | undefined;
  let isZeroed = true;
  const finish = async (): Promise<void> => {
    const open = file;
    file = undefined;
    try {
      // Frames of an earlier life could otherwise be taken for ones of this journal.
      if (open !== undefined && !isZeroed) await zeroFrom(open, result.tailOffset, segmentBytes);
      await open?.datasync();
    } finally {
      await open?.close();
    }
  };
  const begin = async (): Promise<DiskFile> => {
    await finish();
    const number = result.segments.length;
    const path = inJournal(segmentName(generation, number));
    const taken = await options.takeSegment();
    isZeroed = taken.isZeroed;
    await fs.publish(inJournal(taken.name), path);
    result.segments.push({ number, firstSequence: undefined });
    result.tailOffset = 0;
    return fs.open(path, 'write');
  };
  try {
    file = await begin();
    for await (const bytes of options.frames) {
      if (result.tailOffset + bytes.length > segmentBytes) file = await begin();
      await file.write(bytes, result.tailOffset);
      const sequence = result.last.sequence + 1;
      const segment = result.segments.at(-1);
      if (segment !== undefined) segment.firstSequence ??= sequence;
      result.last = { epoch: bytes.readUInt32LE(24), sequence, hash: hashFrame(bytes) };
      result.tailOffset += bytes.length;
    }
    await finish();
    return result;
  } finally {
    await file?.close();
  }
}
