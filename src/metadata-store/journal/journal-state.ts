import { crc32c } from '@node-rs/crc32';
import type { DiskFs } from '../../disk/disk-fs.ts';
import type { JournalPosition } from './journal.ts';
import { NEWEST_STORE_FORMAT, STORE_FORMATS } from '../../model/store-format.ts';
import { newerFormat } from '../newer-format.ts';
import { configurationFromJson, configurationToJson, type JournalConfiguration } from './journal-configuration.ts';

/** Everything of the journal lies in this directory of a disk. */
export const JOURNAL_DIRECTORY = 'journal';
export const STATE_FILE = `${JOURNAL_DIRECTORY}/state`;

/**
 * The root of one disk's journal: which files make it up, the reserved epoch and the checkpoints it holds. Replaced as a
 * whole by one rename, so that cutting, levelling by new files and reserving are each one synced step. A disk without a
 * readable state has no journal and does not count at a start.
 */
export interface JournalState {
  /**
   * Frames of formats up to this one may lie here. Raised on m + 1 disks before the first frame of a newer format is
   * written, so that a former server, which knows no greater number, refuses every start that could meet one.
   */
  format: number;
  clusterId: string;
  diskId: string;
  /** Segment files of other generations do not belong to the journal (leftovers of a levelling). */
  generation: number;
  /** Number of the oldest segment kept; later ones follow without a gap. */
  firstSegment: number;
  /** Segments up to this number existed when the state was written; one of them missing is damage. */
  lastSegment: number;
  /** Every segment file has this length; a shorter one is damage. */
  segmentBytes: number;
  /** The position before the first kept frame: genesis or the older checkpoint. Acknowledged. */
  base: JournalPosition;
  /** In force at `base`. */
  configuration: JournalConfiguration;
  /** Highest epoch this disk has reserved; a later start takes a greater one. */
  reservedEpoch: number;
  /** Complete checkpoints on this disk, newest first. */
  checkpoints: readonly StoredCheckpoint[];
  /** What starts without an epoch answered «absent» to. */
  voidNotes: readonly VoidNote[];
}

/**
 * Durable promise of a start that served reads without an epoch: no frame that its disks did not know is ever adopted.
 * A frame is void when its epoch is at most `upToEpoch`, its sequence greater than `afterSequence`, and it is not one of
 * `known`, the frames behind the acknowledged prefix that were on the chain of that start.
 */
export interface VoidNote {
  upToEpoch: number;
  /** Sequence of the newest frame that was known to be acknowledged. */
  afterSequence: number;
  /** By epoch: the last sequence on the chain. */
  known: readonly { epoch: number; upToSequence: number }[];
}

export function isVoid({ epoch, sequence }: JournalPosition, notes: readonly VoidNote[]): boolean {
  return notes.some(
    ({ upToEpoch, afterSequence, known }) =>
      epoch <= upToEpoch &&
      sequence > afterSequence &&
      !known.some((one) => one.epoch === epoch && sequence <= one.upToSequence),
  );
}

/** A note says no more than another one that differs in a later epoch only. */
export function withVoidNote(notes: readonly VoidNote[], note: VoidNote): VoidNote[] {
  const isCovered = (one: VoidNote, by: VoidNote): boolean =>
    one.upToEpoch <= by.upToEpoch &&
    one.afterSequence === by.afterSequence &&
    JSON.stringify(one.known) === JSON.stringify(by.known);
  if (notes.some((one) => isCovered(note, one))) return [...notes];
  return [...notes.filter((one) => !isCovered(one, note)), note];
}

export interface StoredCheckpoint {
  position: JournalPosition;
  /** In force at `position`. */
  configuration: JournalConfiguration;
  /** Name inside the journal directory. */
  name: string;
  /** Of the snapshot, without block headers. */
  sizeBytes: number;
  createdAtMs: number;
}

interface PositionJson {
  epoch: number;
  sequence: number;
  hash: string;
}

/** One line of JSON and its CRC32C in hex: readable by an operator, torn or flipped bytes are seen. */
export function encodeState(state: JournalState): Buffer {
  const body = JSON.stringify({
    format: state.format,
    ...neededVersionOf(state.format),
    clusterId: state.clusterId,
    diskId: state.diskId,
    generation: state.generation,
    firstSegment: state.firstSegment,
    lastSegment: state.lastSegment,
    segmentBytes: state.segmentBytes,
    base: positionToJson(state.base),
    configuration: configurationToJson(state.configuration),
    reservedEpoch: state.reservedEpoch,
    checkpoints: state.checkpoints.map((checkpoint) => ({
      position: positionToJson(checkpoint.position),
      configuration: configurationToJson(checkpoint.configuration),
      name: checkpoint.name,
      sizeBytes: checkpoint.sizeBytes,
      createdAtMs: checkpoint.createdAtMs,
    })),
    voidNotes: state.voidNotes.map(voidNoteOf),
  });
  return Buffer.from(`${body}\n${checksum(body)}\n`);
}

/** `undefined`: damaged. @throws StoreError FormatRefused: whole, but of a version that is not known here. */
export function decodeState(bytes: Buffer): JournalState | undefined {
  const [body = '', sum = '', rest] = bytes.toString('utf8').split('\n');
  if (rest !== '' || sum !== checksum(body)) return undefined;
  const value = JSON.parse(body) as Omit<JournalState, 'base' | 'checkpoints' | 'voidNotes'> & {
    neededVersion?: string;
    voidNotes?: VoidNote[];
    base: PositionJson;
    checkpoints: (Omit<StoredCheckpoint, 'position'> & { position: PositionJson })[];
  };
  if (value.format > NEWEST_STORE_FORMAT) {
    throw newerFormat(STATE_FILE, value.format, NEWEST_STORE_FORMAT, value.neededVersion);
  }
  return {
    format: value.format,
    clusterId: value.clusterId,
    diskId: value.diskId,
    generation: value.generation,
    firstSegment: value.firstSegment,
    lastSegment: value.lastSegment,
    segmentBytes: value.segmentBytes,
    base: positionFromJson(value.base),
    configuration: configurationFromJson(value.configuration),
    reservedEpoch: value.reservedEpoch,
    checkpoints: value.checkpoints.map((checkpoint) => ({
      ...checkpoint,
      position: positionFromJson(checkpoint.position),
      configuration: configurationFromJson(checkpoint.configuration),
    })),
    // Not written by the builds before the first release.
    voidNotes: (value.voidNotes ?? []).map(voidNoteOf),
  };
}

/** Reads the state of a disk. `missing`: no journal was ever completed there. @throws StoreError FormatRefused */
export async function readState(fs: DiskFs, path = STATE_FILE): Promise<JournalState | 'missing' | 'damaged'> {
  const facts = await fs.stat(path);
  if (facts === undefined) return 'missing';
  const file = await fs.open(path, 'read');
  try {
    const bytes = Buffer.alloc(await file.sizeBytes());
    const length = await file.read(bytes, 0);
    return decodeState(bytes.subarray(0, length)) ?? 'damaged';
  } finally {
    await file.close();
  }
}

/** Replaces the state in one synced step. A crash leaves the old one or the new one. `temporary` must be a name not used before. */
export async function publishState(fs: DiskFs, state: JournalState, temporary: string): Promise<void> {
  const path = `${JOURNAL_DIRECTORY}/${temporary}`;
  await fs.createDurable(path);
  const file = await fs.open(path, 'write');
  try {
    await file.write(encodeState(state), 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await fs.publish(path, STATE_FILE);
}

function voidNoteOf({ upToEpoch, afterSequence, known }: VoidNote): VoidNote {
  return {
    upToEpoch,
    afterSequence,
    known: known.map(({ epoch, upToSequence }) => ({ epoch, upToSequence })),
  };
}

/** So that a server that does not know the format can name the version that does. Format 1 was written without it. */
function neededVersionOf(format: number): { neededVersion?: string } {
  const neededVersion = format === 1 ? undefined : STORE_FORMATS[format]?.neededVersion;
  return neededVersion === undefined ? {} : { neededVersion };
}

function checksum(body: string): string {
  return crc32c(Buffer.from(body)).toString(16).padStart(8, '0');
}

function positionToJson(position: JournalPosition): PositionJson {
  return { epoch: position.epoch, sequence: position.sequence, hash: position.hash.toString('hex') };
}

function positionFromJson(value: PositionJson): JournalPosition {
  return { epoch: value.epoch, sequence: value.sequence, hash: Buffer.from(value.hash, 'hex') };
}
