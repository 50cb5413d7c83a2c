import type { DiskFile, DiskFs } from '../../disk/disk-fs.ts';
import { assert } from '../../errors/assert.ts';
import { StoreError } from '../../errors/store-error.ts';
import type { JournalPosition } from './journal.ts';
import type { JournalConfiguration } from './journal-configuration.ts';
import type { JournalScan, ScannedSegment } from './journal-scan.ts';
import { type JournalState, publishState, type VoidNote, withVoidNote } from './journal-state.ts';
import {
  greatestCounter,
  inJournal,
  isSpareName,
  parseSegmentName,
  segmentName,
  spareName,
  temporaryName,
} from './segment-names.ts';
import { writeSegments } from './segment-writer.ts';
import { writeZeros } from './zeroed-file.ts';

interface OpenSegment {
  number: number;
  file: DiskFile;
}

export interface JournalDiskOptions {
  diskId: string;
  fs: DiskFs;
  segmentBytes: number;
  /** Zeroed segments kept beside the current one: the journal's reserve on a full disk. */
  reserveSegments: number;
  /** Format that every state published from now on must name at least. */
  promisedFormat: () => number;
}

/** A whole journal to be written beside the old one. */
export interface JournalContent {
  base: JournalPosition;
  configuration: JournalConfiguration;
  reservedEpoch: number;
  /** Every frame after the base, in order; bytes are valid until the next one is asked for. */
  frames: AsyncIterable<Buffer>;
}

/**
 * The journal files of one disk, for writing. Invariants: frames are written one after the other, each synced before
 * the next; a file that failed once is never written again (`isTainted`: only `replaceWith` makes the disk good again);
 * the state names what belongs to the journal, everything else is a leftover.
 */
export class JournalDisk {
  readonly diskId: string;
  readonly fs: DiskFs;
  readonly #options: JournalDiskOptions;
  #state: JournalState;
  #segments: ScannedSegment[];
  #last: JournalPosition;
  #current: OpenSegment | undefined;
  #currentOffset = 0;
  /** Segment that `#currentOffset` belongs to until it is opened. */
  #tailSegment: number | undefined;
  #greatestGeneration = 0;
  readonly #namesAtStart: readonly string[];
  #next: OpenSegment | undefined;
  #preparing: Promise<void> | undefined;
  #spares: string[] = [];
  #counter = 0;
  #isTainted = false;
  /** Zeroing failed (a full disk, most likely): not tried again before something was cut or a file is needed. */
  #cannotPrepare = false;
  #isClosed = false;
  /** Closed, with nothing under way, or forgotten: its state is not changed any more. */
  #isOver = false;
  #stateWork: Promise<void> = Promise.resolve();

  constructor(options: JournalDiskOptions, scan: JournalScan, names: readonly string[]) {
    this.#options = options;
    this.diskId = options.diskId;
    this.fs = options.fs;
    this.#state = scan.state;
    this.#segments = scan.segments;
    this.#last = scan.last;
    // Spares of another size, or of a journal that is unknown, are leftovers.
    const isSameSize = scan.state.segmentBytes === options.segmentBytes && !scan.isShort;
    this.#spares = isSameSize ? names.filter(isSpareName).slice(0, options.reserveSegments) : [];
    this.#namesAtStart = names;
    this.#counter = greatestCounter(names);
    const generations = names.map((name) => parseSegmentName(name)?.generation ?? 0);
    this.#greatestGeneration = Math.max(scan.state.generation, ...generations);
    this.#isTainted = scan.holes.length > 0 || scan.isShort;
    if (scan.tail !== undefined) this.#currentOffset = scan.tail.offset;
    this.#tailSegment = scan.tail?.segmentNumber;
  }

  get state(): JournalState {
    return this.#state;
  }

  /** Last frame that was synced here. */
  get last(): JournalPosition {
    return this.#last;
  }

  /** A write or sync failed, or damage was found: the files here take no more frames. */
  get isTainted(): boolean {
    return this.#isTainted;
  }

  taint(): void {
    this.#isTainted = true;
  }

  get segments(): readonly ScannedSegment[] {
    return this.#segments;
  }

  /** The oldest kept position and the configuration in force there. */
  get base(): { position: JournalPosition; configuration: JournalConfiguration } {
    return { position: this.#state.base, configuration: this.#state.configuration };
  }

  get generation(): number {
    return this.#state.generation;
  }

  /** Sequence of the newest frame that can be read here. */
  get lastSequence(): number {
    return this.#last.sequence;
  }

  /** Bytes of frames from the segment at this index of `segments` on. */
  bytesFromSegment(index: number): number {
    const full = Math.max(0, this.#segments.length - 1 - index);
    return full * this.#options.segmentBytes + this.#currentOffset;
  }

  get journalBytes(): number {
    return this.#segments.length * this.#options.segmentBytes;
  }

  /** A name in the journal directory that nothing had before. */
  nextCounter(): number {
    return ++this.#counter;
  }

  /**
   * Writes the frame that follows `last`; when it resolves the frame has been synced and its file is still the one the
   * path names. `bytes` must not change until then. A failure of the write itself taints the disk: whether the frame is
   * there is unknown. When no room could be made for it, nothing was written.
   */
  async write(bytes: Buffer, position: JournalPosition): Promise<void> {
    assert(position.sequence === this.#last.sequence + 1, `disk ${this.diskId} does not hold the frame before`);
    if (this.#isTainted) throw new StoreError('DiskFailed', `journal files of disk ${this.diskId} failed before`);
    if (!this.#fits(bytes.length)) await this.#rotate(bytes.length);
    const current = this.#current;
    const segment = this.#segments.at(-1);
    assert(current !== undefined && segment?.number === current.number, 'the current segment is the last');
    try {
      await current.file.write(bytes, this.#currentOffset);
      if (!(await current.file.stillThere())) {
        throw new StoreError('DiskMissing', `journal file ${current.file.path} of disk ${this.diskId} is gone`);
      }
    } catch (error) {
      this.#isTainted = true;
      throw error;
    }
    this.#currentOffset += bytes.length;
    segment.firstSequence ??= position.sequence;
    this.#last = position;
    if (this.#next === undefined && this.#preparing === undefined && !this.#cannotPrepare) this.prepareAhead();
  }

  #fits(lengthBytes: number): boolean {
    return this.#current !== undefined && this.#currentOffset + lengthBytes <= this.#options.segmentBytes;
  }

  /** Can a frame of this length be written without making a new file? False on a full disk whose reserve is used up. */
  hasRoomFor(lengthBytes: number): boolean {
    return !this.#cannotPrepare || this.#fits(lengthBytes) || this.#next !== undefined || this.#spares.length > 0;
  }

  /** Opens the segment where the tail lies, if there is one; called before the first write. */
  async openTail(): Promise<void> {
    if (this.#current !== undefined || this.#tailSegment === undefined) return;
    const number = this.#tailSegment;
    this.#current = { number, file: await this.#openSegment(number) };
    // Empty segments behind the tail were prepared by an earlier run.
    const [following, ...others] = this.#segments.filter((segment) => segment.number > number);
    assert(
      others.every((segment) => segment.firstSequence === undefined),
      'frames behind the tail',
    );
    this.#segments = this.#segments.filter((segment) => segment.number <= number);
    if (following?.number === number + 1)
      this.#next = { number: number + 1, file: await this.#openSegment(number + 1) };
  }

  #openSegment(number: number): Promise<DiskFile> {
    return this.fs.open(inJournal(segmentName(this.#state.generation, number)), 'direct-sync');
  }

  async #rotate(lengthBytes: number): Promise<void> {
    assert(lengthBytes <= this.#options.segmentBytes, 'a frame fits into a segment');
    if (this.#current === undefined) await this.openTail();
    if (this.#fits(lengthBytes)) return;
    if (this.#next === undefined) {
      this.prepareAhead();
      await this.#preparing;
    }
    if (this.#next === undefined) await this.#prepareNext();
    const next = this.#next;
    assert(next !== undefined, 'a next segment was prepared');
    const before = this.#current;
    this.#current = next;
    this.#currentOffset = 0;
    this.#next = undefined;
    this.#segments.push({ number: next.number, firstSequence: undefined });
    await before?.file.close();
  }

  /** Makes the next segment, and refills the reserve, in the background. Failures show when the room is needed. */
  prepareAhead(): void {
    if (this.#preparing !== undefined || this.#isClosed) return;
    const done = (cannotPrepare: boolean): void => {
      this.#preparing = undefined;
      this.#cannotPrepare = cannotPrepare;
    };
    this.#preparing = this.#prepare().then(
      () => done(false),
      () => done(true),
    );
  }

  async #prepare(): Promise<void> {
    if (this.#next === undefined) await this.#prepareNext();
    while (this.#spares.length < this.#options.reserveSegments && !this.#isClosed) {
      this.#spares.push(await this.#makeSpare());
    }
  }

  async #prepareNext(): Promise<void> {
    const number = (this.#current?.number ?? this.#state.firstSegment - 1) + 1;
    const spare = this.#spares.shift() ?? (await this.#makeSpare());
    await this.fs.publish(inJournal(spare), inJournal(segmentName(this.#state.generation, number)));
    this.#next = { number, file: await this.#openSegment(number) };
  }

  async #makeSpare(): Promise<string> {
    const temporary = temporaryName(this.nextCounter());
    const spare = spareName(this.nextCounter());
    await writeZeros(this.fs, inJournal(temporary), this.#options.segmentBytes);
    await this.fs.publish(inJournal(temporary), inJournal(spare));
    return spare;
  }

  /** Changes the state in one synced step. Changes of one disk are made one after the other. */
  publish(change: (state: JournalState) => JournalState): Promise<void> {
    const work = this.#stateWork.then(async () => {
      if (this.#isOver) throw new StoreError('NotReady', `the journal of disk ${this.diskId} is not in use any more`);
      const lastSegment = this.#segments.at(-1)?.number ?? this.#state.firstSegment - 1;
      const format = Math.max(this.#state.format, this.#options.promisedFormat());
      const state = { ...change({ ...this.#state, lastSegment, format }) };
      await publishState(this.fs, state, temporaryName(this.nextCounter()));
      this.#state = state;
    });
    this.#stateWork = work.catch(() => undefined);
    return work;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** It is no journal disk any more: no change of its state follows, and none is under way when this resolves. */
  async forget(): Promise<void> {
    this.#isOver = true;
    await this.#stateWork;
  }

  /**
   * Durable promise that no frame of an epoch up to this one was made by a later start. Notes of epochs before
   * `settledEpoch`, one of which a frame is acknowledged, are forgotten.
   */
  reserve(epoch: number, settledEpoch = 0): Promise<void> {
    return this.publish((state) => ({
      ...state,
      reservedEpoch: Math.max(state.reservedEpoch, epoch),
      voidNotes: unsettled(state.voidNotes, settledEpoch),
    }));
  }

  /** Durable: the state names the promised format. */
  async promiseFormat(): Promise<void> {
    if (this.#state.format < this.#options.promisedFormat()) await this.publish((state) => state);
  }

  /** Durable promise that the frames it voids are never adopted by an opening that meets this disk. */
  addVoidNote(note: VoidNote, settledEpoch: number): Promise<void> {
    return this.publish((state) => ({
      ...state,
      reservedEpoch: Math.max(state.reservedEpoch, note.upToEpoch),
      voidNotes: withVoidNote(unsettled(state.voidNotes, settledEpoch), note),
    }));
  }

  /** Forgets frames up to `base` (an acknowledged checkpoint): whole segments become spares or are removed. */
  async cut(base: JournalPosition, configuration: JournalConfiguration): Promise<void> {
    if (base.sequence <= this.#state.base.sequence) return;
    const kept = this.#segments.findLastIndex(
      (segment) => segment.firstSequence !== undefined && segment.firstSequence <= base.sequence + 1,
    );
    const removed = this.#segments.slice(0, Math.max(kept, 0));
    const first = this.#segments[Math.max(kept, 0)]?.number ?? this.#state.firstSegment;
    // Frames between the new base and the first kept frame stay in their segment and are passed over by a scan.
    await this.publish((state) => ({ ...state, base, configuration, firstSegment: first }));
    this.#segments = this.#segments.filter((segment) => segment.number >= first);
    for (const segment of removed) {
      await this.#retire(segmentName(this.#state.generation, segment.number));
    }
    this.prepareAhead();
  }

  /**
   * Levelling by new files: writes a whole journal beside the present one and publishes it in one synced step, after
   * which this is the journal and the disk is good again. A crash before leaves the old one.
   */
  async replaceWith(content: JournalContent): Promise<void> {
    const generation = this.#greatestGeneration + 1;
    this.#greatestGeneration = generation;
    await this.#preparing;
    const written = await writeSegments({
      fs: this.fs,
      generation,
      segmentBytes: this.#options.segmentBytes,
      base: content.base,
      frames: content.frames,
      takeSegment: async () => {
        const name = this.#spares.shift();
        return name === undefined ? { name: await this.#makeSpare(), isZeroed: true } : { name, isZeroed: false };
      },
    });
    const { base, configuration } = content;
    await this.publish((state) => ({
      ...state,
      base,
      configuration,
      generation,
      firstSegment: 0,
      lastSegment: written.segments.length - 1,
      segmentBytes: this.#options.segmentBytes,
      reservedEpoch: Math.max(state.reservedEpoch, content.reservedEpoch),
    }));
    const old = [this.#current, this.#next].filter((segment) => segment !== undefined);
    this.#current = undefined;
    this.#next = undefined;
    this.#segments = written.segments;
    this.#last = written.last;
    this.#currentOffset = written.tailOffset;
    this.#tailSegment = written.segments.at(-1)?.number;
    this.#isTainted = false;
    await Promise.allSettled(old.map((segment) => segment.file.close()));
    await this.openTail();
    if (!(await this.#isTailThere())) {
      this.#isTainted = true;
      throw new StoreError('DiskMissing', `the journal files of disk ${this.diskId} are gone`);
    }
  }

  async #isTailThere(): Promise<boolean> {
    return this.#current === undefined ? false : this.#current.file.stillThere();
  }

  async #retire(name: string): Promise<void> {
    if (this.#spares.length >= this.#options.reserveSegments) return this.fs.unlink(inJournal(name));
    const spare = spareName(this.nextCounter());
    await this.fs.publish(inJournal(name), inJournal(spare));
    this.#spares.push(spare);
  }

  /** Removes what a crash left: temporary files, segments of other generations or before the base, spares beyond the reserve. */
  async removeLeftovers(): Promise<void> {
    for (const name of this.#namesAtStart) {
      if (name === 'state' || this.#isWanted(name)) continue;
      await this.fs.unlink(inJournal(name));
    }
  }

  #isWanted(name: string): boolean {
    if (isSpareName(name)) return this.#spares.includes(name);
    const segment = parseSegmentName(name);
    if (segment === undefined) return this.#state.checkpoints.some((checkpoint) => checkpoint.name === name);
    return segment.generation === this.#state.generation && segment.number >= this.#state.firstSegment;
  }

  /** Waits for background work and closes the files. Calls that hang end by their deadline. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#preparing;
    await this.#stateWork;
    this.#isOver = true;
    const open = [this.#current, this.#next].filter((segment) => segment !== undefined);
    this.#current = undefined;
    this.#next = undefined;
    await Promise.allSettled(open.map((segment) => segment.file.close()));
  }
}

/** Where a later epoch is acknowledged, that epoch alone voids what the note did. */
function unsettled(notes: readonly VoidNote[], settledEpoch: number): VoidNote[] {
  return notes.filter((note) => note.upToEpoch >= settledEpoch);
}
