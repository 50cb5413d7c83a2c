/** The value of a key that does not exist. */
export const ABSENT = 0;

/** More writes of one key than can begin during one read. */
const REMEMBERED_WRITES = 1000;

export type Outcome = 'ok' | 'refused' | 'unknown';

/**
 * What reads of one key may see. One write at a time is under way (the workload keeps to that), reads overlap freely.
 * A write that was refused (4xx) never shows; one whose outcome is unknown (5xx, timeout, reset) may or may not, until a
 * read after it has settled has seen one of the two: from then on only that (no flip-flop).
 */
export class KeyHistory {
  /** Values that a read beginning now may return, oldest first. */
  #candidates: number[] = [ABSENT];
  #underWay: number | undefined;
  #unsettled = 0;
  /** Grows with every write that begins or ends: a read between two equal values overlapped none. */
  #revision = 0;
  /** Values whose writes began lately, with the revision they began at: what an overlapping read may see besides. */
  readonly #begun: { revision: number; value: number }[] = [];

  get isBusy(): boolean {
    return this.#underWay !== undefined || this.#unsettled > 0;
  }

  /** What the key holds for certain; undefined while more than one value is possible. */
  get certain(): number | undefined {
    return this.#candidates.length === 1 && this.#underWay === undefined ? this.#candidates[0] : undefined;
  }

  get candidates(): readonly number[] {
    return this.#underWay === undefined ? this.#candidates : [...this.#candidates, this.#underWay];
  }

  beginWrite(value: number): void {
    if (this.isBusy) throw new Error('one write at a time');
    this.#underWay = value;
    this.#revision++;
    this.#begun.push({ revision: this.#revision, value });
    if (this.#begun.length > REMEMBERED_WRITES) this.#begun.shift();
  }

  /** After `unknown` the key stays busy until `settle`: the request may still be at work in the server. */
  endWrite(outcome: Outcome): void {
    const value = this.#underWay;
    if (value === undefined) throw new Error('no write is under way');
    this.#underWay = undefined;
    this.#revision++;
    if (outcome === 'ok') this.#candidates = [value];
    if (outcome === 'unknown') {
      if (!this.#candidates.includes(value)) this.#candidates.push(value);
      this.#unsettled++;
    }
  }

  /** The server has restarted, or no request of this key can be at work any more. */
  settle(): void {
    this.#unsettled = 0;
    this.#revision++;
  }

  beginRead(): { allowed: readonly number[]; revision: number } {
    return { allowed: this.candidates, revision: this.#revision };
  }

  /** Values of writes that began after that revision. */
  begunSince(revision: number): number[] {
    return this.#begun.filter((begun) => begun.revision > revision).map(({ value }) => value);
  }

  /** @returns whether `seen` was a legal answer to the read. */
  endRead(read: { allowed: readonly number[]; revision: number }, seen: number): boolean {
    const overlapped = this.#revision !== read.revision;
    if (!read.allowed.includes(seen) && !this.begunSince(read.revision).includes(seen)) return false;
    const isQuiet = !overlapped && !this.isBusy;
    if (isQuiet) this.#candidates = [seen];
    return true;
  }
}
