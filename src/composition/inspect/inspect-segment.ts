import { DIRECT_IO_ALIGNMENT_BYTES } from '../../disk/disk-fs.ts';
import { readSafeInteger } from '../../data-store/stripe/stripe-header.ts';
import { isStoreError } from '../../errors/store-error.ts';
import {
  claimedFrameBytes,
  decodeFrame,
  follows,
  type Frame,
  FRAME_HEADER_BYTES,
  HASH_BYTES,
  hasFrameMagic,
  positionOf,
} from '../../metadata-store/journal/frame.ts';
import type { JournalPosition } from '../../metadata-store/journal/journal.ts';
import { decodeBatch } from '../../metadata-store/records/record-codec.ts';
import { isZero, type FileBytes } from './file-bytes.ts';
import type { Findings, InspectedItem } from './inspection.ts';
import { printableRecord } from './printable-record.ts';

/** Where the header keeps the tag of the cluster: a copied file is judged by the tag of its own first frame. */
const CLUSTER_TAG_OFFSET = 96;

interface FoundFrame {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly position: JournalPosition;
  readonly frame: Omit<Frame, 'bytes' | 'payload'>;
  readonly facts: Record<string, unknown>;
  readonly problem: string | undefined;
}

/** Bytes that are no frame: `claims` when they begin like one. */
interface Gap {
  readonly offset: number;
  lengthBytes: number;
  readonly kind: 'empty' | 'claims' | 'other' | 'newer';
  readonly why: string;
  /** What the header says without proof. */
  readonly claimedSequence: number;
}

/** Where the header keeps the sequence; read without proof to tell a torn frame from an old one. */
const SEQUENCE_OFFSET = 32;

/**
 * A segment of the journal: frames one behind the other. Only the last may be torn; behind the newest, frames of an earlier
 * life of the file may follow (docs/ON-DISK-FORMAT.md, 4.3).
 */
export async function inspectSegment(
  file: FileBytes,
  findings: Findings,
  { withRecords }: { withRecords: boolean },
): Promise<void> {
  const { found, tag } = await new SegmentScan(file, withRecords).run();
  judge(found, findings);
  if (file.sizeBytes % DIRECT_IO_ALIGNMENT_BYTES !== 0) {
    findings.problem(file.sizeBytes, 0, `the file ends in the middle of a block: it was cut`);
  }
  findings.facts['clusterTag'] = tag?.toString('hex');
}

class SegmentScan {
  readonly #file: FileBytes;
  readonly #withRecords: boolean;
  readonly #found: (FoundFrame | Gap)[] = [];
  #tag: Buffer | undefined;

  constructor(file: FileBytes, withRecords: boolean) {
    this.#file = file;
    this.#withRecords = withRecords;
  }

  async run(): Promise<{ found: readonly (FoundFrame | Gap)[]; tag: Buffer | undefined }> {
    for (let offset = 0; offset < this.#file.sizeBytes;) offset += await this.#step(offset);
    return { found: this.#found, tag: this.#tag };
  }

  async #step(offset: number): Promise<number> {
    const block = await this.#file.view(offset, DIRECT_IO_ALIGNMENT_BYTES);
    if (isZero(block)) return this.#gap(offset, block.length, 'empty', '');
    if (block.length < FRAME_HEADER_BYTES || !hasFrameMagic(block, 0)) {
      return this.#gap(offset, block.length, 'other', 'no frame begins here');
    }
    const tag = Buffer.from(block.subarray(CLUSTER_TAG_OFFSET, CLUSTER_TAG_OFFSET + HASH_BYTES));
    const claimed = claimedFrameBytes(block, tag);
    const sequence = readSafeInteger(block, SEQUENCE_OFFSET);
    const noFrame = (why: string): number => this.#gap(offset, DIRECT_IO_ALIGNMENT_BYTES, 'claims', why, sequence);
    if (claimed === undefined) return noFrame('the lengths in the header of the frame disagree');
    const bytes = await this.#file.view(offset, claimed);
    if (bytes.length < claimed) return noFrame(`the file ends inside the frame of ${claimed} bytes`);
    try {
      const frame = decodeFrame(bytes, tag);
      if (frame === undefined) return noFrame(`the checksum of the frame of ${claimed} bytes does not match`);
      return this.#accept(offset, frame, tag);
    } catch (error) {
      if (!isStoreError(error, 'FormatRefused')) throw error;
      return this.#gap(offset, claimed, 'newer', error.message);
    }
  }

  #gap(offset: number, lengthBytes: number, kind: Gap['kind'], why: string, claimedSequence = 0): number {
    const last = this.#found.at(-1);
    const goesOn = kind === 'empty' || kind === 'other';
    if (goesOn && last !== undefined && 'kind' in last && last.kind === kind) last.lengthBytes += lengthBytes;
    else if (kind === 'other' && last !== undefined && 'kind' in last && last.kind === 'claims')
      last.lengthBytes += lengthBytes;
    else this.#found.push({ offset, lengthBytes, kind, why, claimedSequence });
    return lengthBytes;
  }

  #accept(offset: number, whole: Frame, tag: Buffer): number {
    this.#tag ??= tag;
    const { bytes, payload, ...frame } = whole;
    const position = positionOf(whole);
    const facts: Record<string, unknown> = {
      epoch: frame.epoch,
      sequence: frame.sequence,
      kind: frame.kind,
      hash: position.hash.toString('hex'),
      acknowledgedUpTo: `${frame.acknowledged.epoch}/${frame.acknowledged.sequence}`,
      writtenAt: new Date(frame.writtenAtMs).toISOString(),
      payloadBytes: payload.length,
    };
    const problem = tag.equals(this.#tag)
      ? this.#readPayload(frame, payload, facts)
      : 'it is a frame of another cluster';
    this.#found.push({ offset, lengthBytes: bytes.length, position, frame, facts, problem });
    return bytes.length;
  }

  #readPayload({ kind }: FoundFrame['frame'], payload: Buffer, facts: Record<string, unknown>): string | undefined {
    try {
      if (kind === 'configuration') facts['configuration'] = JSON.parse(payload.toString('utf8'));
      if (kind !== 'payload') return undefined;
      const { batchNumber, records } = decodeBatch(payload);
      Object.assign(facts, { batchNumber, recordCount: records.length });
      if (this.#withRecords) facts['records'] = records.map(printableRecord);
      return undefined;
    } catch (error) {
      if (!isStoreError(error) && !(error instanceof SyntaxError)) throw error;
      return `its payload cannot be decoded: ${error.message}`;
    }
  }
}

function judge(found: readonly (FoundFrame | Gap)[], findings: Findings): void {
  let newest: FoundFrame | undefined;
  const lives = new Set<FoundFrame>();
  for (const one of found) {
    if ('kind' in one || (newest !== undefined && one.frame.sequence <= newest.frame.sequence)) continue;
    newest = one;
    lives.add(one);
  }
  const frames = [...lives];
  const acknowledged = Math.max(0, ...frames.map(({ frame }) => frame.acknowledged.sequence));
  const newestIndex = newest === undefined ? -1 : found.indexOf(newest);
  const hasEarlierLife = found.some((one) => !('kind' in one) && !lives.has(one));
  let before: FoundFrame | undefined;
  for (const [index, one] of found.entries()) {
    if ('kind' in one) {
      const isOld = hasEarlierLife && one.claimedSequence <= (newest?.frame.sequence ?? 0);
      judgeGap(one, { isInside: index < newestIndex, isOld, findings });
      continue;
    }
    if (!lives.has(one)) {
      findings.add({ ...itemOf(one), state: 'old' });
      continue;
    }
    const facts = { ...one.facts, acknowledged: one.frame.sequence <= acknowledged ? 'yes' : 'not told in this file' };
    const problem = one.problem ?? breakBetween(before, one);
    if (problem === undefined) findings.add({ ...itemOf(one), facts, state: 'good' });
    else findings.addBad({ ...itemOf(one), facts }, problem);
    before = one;
  }
  Object.assign(findings.facts, {
    frames: frames.length,
    first: labelOf(frames[0]),
    last: labelOf(newest),
    acknowledgedUpTo: acknowledged,
    usedBytes: newest === undefined ? 0 : newest.offset + newest.lengthBytes,
  });
}

function itemOf({ offset, lengthBytes, facts }: FoundFrame): Omit<InspectedItem, 'state'> {
  return { offset, lengthBytes, what: 'frame', facts };
}

function labelOf(found: FoundFrame | undefined): string | undefined {
  return found === undefined ? undefined : `epoch ${found.frame.epoch} sequence ${found.frame.sequence}`;
}

function breakBetween(before: FoundFrame | undefined, { frame }: FoundFrame): string | undefined {
  if (before === undefined || follows(frame, before.position)) return undefined;
  const missing = frame.sequence - before.frame.sequence - 1;
  if (missing > 0) {
    return `it does not follow the frame before it: sequences ${before.frame.sequence + 1} to ${frame.sequence - 1} are missing here`;
  }
  return 'it does not follow the frame before it: another hash or epoch';
}

function judgeGap(
  gap: Gap,
  { isInside, isOld, findings }: { isInside: boolean; isOld: boolean; findings: Findings },
): void {
  const { offset, lengthBytes, kind, why } = gap;
  const item = { offset, lengthBytes, facts: {} };
  if (kind === 'empty') {
    if (isInside)
      findings.addBad({ ...item, what: 'zeros' }, 'zeros with newer frames behind them: frames are missing');
    else findings.add({ ...item, what: 'zeros', state: 'empty' });
  } else if (kind === 'newer') {
    findings.addBad({ ...item, what: 'frame' }, why, 'newer');
  } else if (isInside) {
    findings.addBad({ ...item, what: 'damage' }, `${why}; newer frames follow, so this is damage`);
  } else if (isOld) {
    // Frames of the earlier life that newer ones have written over in part.
    findings.add({ ...item, what: 'remains of an earlier life of the file', state: 'old' });
  } else {
    findings.addBad(
      { ...item, what: 'bad end' },
      `${why}; no newer frame follows: the last frame was torn, or is damaged`,
    );
  }
}
