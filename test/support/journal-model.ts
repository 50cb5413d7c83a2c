/**
 * An abstract model of the journal protocol, explored exhaustively up to bounds. Disks hold a chain of frames (named by
 * its last frame) and the highest epoch they reserved. Every action that touches several disks branches into every
 * subset that it may have reached when the process dies, and every start is tried on every subset of disks.
 *
 * A start that opens no epoch reads on from the acknowledged prefix; first it reserves and then notes on n − m disks that
 * what it does not know is void. Whatever lies on any disk then and not on its chain was answered «absent».
 *
 * With spare disks the list may change once, by declaring disks lost: a frame that names them and puts the spare ones in
 * their places, written as the second one of the epoch that opens under the relaxed rule.
 *
 * Checked in every state: whatever was acknowledged or read lies on every chain that is acknowledged or read later
 * (nothing lost, no divergence, no flip-flop), nothing that was answered «absent» does, and no epoch in which a frame was
 * written is chosen a second time (no position is used twice).
 */
export type PlantedBug =
  /** Frames of an epoch are written though its number is reserved on no disk. */
  | 'skip-reservation'
  /** Blank disks count at a start. */
  | 'count-blank-disks'
  /** A disk takes the opening frame without the frames before it. */
  | 'vote-before-levelled'
  /** A disk that missed a frame gets the next ones and votes. */
  | 'no-levelling-after-a-miss'
  /** Frames of older epochs beyond the base are not void: the longest chain wins. */
  | 'longest-chain-wins'
  | 'acknowledge-at-m'
  | 'read-before-acknowledged'
  /** A start reads the union before its epoch is open. */
  | 'serve-before-opened'
  /** A running journal that reopens takes a base without looking whether it holds what was acknowledged. */
  | 'reopen-forgets'
  /** A start without an epoch answers reads and notes nothing. */
  | 'no-void-note'
  /** It answers when the note is on fewer than n − m disks. */
  | 'void-note-on-too-few'
  /** It notes on a disk as soon as the number is reserved there, not on n − m disks. */
  | 'note-before-reserving'
  /** It notes a number that it does not reserve. */
  | 'note-without-reserving'
  /** A disk forgets its notes when it reserves a later epoch, acknowledged or not. */
  | 'note-forgotten-too-early'
  /** A process that reads without an epoch opens one later and does not look at the notes. */
  | 'notes-ignored-by-reopen'
  /** What a disk has noted that was declared lost is honoured when it comes back. */
  | 'notes-of-declared-disks'
  /** The declaration is on m + 1 less the number of declared disks only: enough if it is true. */
  | 'declare-on-too-few'
  /** The epoch of the declaration is reserved nowhere. */
  | 'declare-without-reserving';

export interface ModelBounds {
  n: number;
  m: number;
  /** Epochs that are opened or tried. */
  maxEpoch: number;
  /** Payload frames on a chain. */
  maxPayloads: number;
  /** Disks that may be wiped, one after the other. */
  maxWipes: number;
  /** A start on any number of disks may end reading without an epoch, because opening one failed; else only one on m or fewer. */
  anyOpeningFails?: boolean;
  /** Blank disks outside of the list; so many may be declared lost, all at once. Default 0. */
  spares?: number;
  /**
   * `blank`: only disks without a journal are declared lost. `any-absent`: any that a start does not meet, so that they may come
   * back with all they have.
   */
  declared?: 'blank' | 'any-absent';
  /** What a declaration gives up, if it is known to be given up: not reported. */
  givenUp?: readonly GivenUp[];
  bug?: PlantedBug;
  /** Give up after so many states; `isComplete` says whether that happened. */
  maxStates?: number;
}

export type GivenUp =
  /** What a reading start had answered «absent», noted on no disk that is left when the others are declared lost. */
  | 'notes-on-declared-disks'
  /** A start on disks none of which knows the declaration reads what was then. */
  | 'stale-reads';

export interface ModelResult {
  states: number;
  isComplete: boolean;
  violation: { what: string; trace: string[] } | undefined;
}

interface ModelFrame {
  parent: number;
  epoch: number;
  length: number;
  payloads: number;
  /** Last acknowledged frame when it was written. */
  acknowledged: number;
  kind: FrameKind;
}

type FrameKind = 'payload' | 'opening' | 'declaration';

/** Frames of epochs up to `epoch` that are not on the chain that ends with `tip` are void. */
interface VoidNote {
  tip: number;
  epoch: number;
}

/** `tip`: last frame held; -1: blank. `missing`: frames before the tip that it does not hold (only with planted bugs). */
interface ModelDisk {
  /** `declared`: once it is, by a frame of some chain. */
  role: 'listed' | 'declared' | 'spare';
  reserved: number;
  tip: number;
  missing: readonly number[];
  isLevel: boolean;
  notes: readonly VoidNote[];
}

interface ModelState {
  disks: readonly ModelDisk[];
  /** While a process runs with an open epoch: its tip is acknowledged, or undecided. */
  running: { epoch: number; tip: number; isUndecided: boolean } | undefined;
  /** Ghosts: the chain that was acknowledged or read; the highest epoch of which a frame was written; disks wiped so far. */
  seen: number;
  writtenEpoch: number;
  wipes: number;
  /** Ghost: payload frames that a start without an epoch answered «absent» to. */
  absent: readonly number[];
  /** A process reads without an epoch. Looked at by the bug that concerns it only: its reopening is else as any start. */
  isReading: boolean;
}

class Violation extends Error {}

export function exploreJournalModel(bounds: ModelBounds): ModelResult {
  return new Explorer(bounds).run();
}

class Explorer {
  readonly #bounds: ModelBounds;
  readonly #frames: ModelFrame[] = [{ parent: -1, epoch: 0, length: 0, payloads: 0, acknowledged: 0, kind: 'opening' }];
  readonly #frameIds = new Map<string, number>();
  readonly #visited = new Map<string, { before: string | undefined; action: string }>();
  #queue: { state: ModelState; key: string }[] = [];
  #current = '';

  constructor(bounds: ModelBounds) {
    this.#bounds = bounds;
  }

  run(): ModelResult {
    const { n, spares = 0, maxStates = Infinity } = this.#bounds;
    const disk: ModelDisk = { role: 'listed', reserved: 0, tip: 0, missing: [], isLevel: false, notes: [] };
    const first: ModelState = {
      disks: Array.from({ length: n + spares }, (_, i) => (i < n ? disk : { ...disk, role: 'spare', tip: -1 })),
      running: undefined,
      seen: 0,
      writtenEpoch: 0,
      wipes: 0,
      absent: [],
      isReading: false,
    };
    this.#reach(first, 'format', undefined);
    let head = 0;
    try {
      for (; head < this.#queue.length && this.#visited.size < maxStates; head++) {
        const { state, key } = this.#queue[head]!;
        this.#current = key;
        this.#expand(state);
      }
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      return {
        states: this.#visited.size,
        isComplete: false,
        violation: { what: error.message, trace: this.#trace() },
      };
    }
    return { states: this.#visited.size, isComplete: head === this.#queue.length, violation: undefined };
  }

  // ——— actions ———

  #expand(state: ModelState): void {
    const all = state.disks.map((_, i) => i);
    if (state.running === undefined) {
      for (const present of this.#subsets(all, state)) {
        this.#start(state, present);
        this.#declare(state, present);
      }
    } else {
      this.#reach(this.#crashed(state), 'crash', state);
      if (state.running.isUndecided) {
        for (const usable of this.#subsets(all, state)) this.#reopen(state, usable);
      } else {
        this.#append(state);
        this.#levelOneStep(state);
        // An epoch may also be opened anew without an undecided frame, over fewer disks.
      }
    }
    if (state.wipes < this.#bounds.maxWipes) this.#wipe(state);
  }

  #start(state: ModelState, present: readonly number[]): void {
    const { bug } = this.#bounds;
    const readable = this.#withoutDeclared(state, present);
    const counted = bug === 'count-blank-disks' ? present : readable;
    if (readable.length === 0) return;
    const base = this.#newestTip(state, readable);
    const rules = this.#rulesOf(state, base, this.#acknowledgedOn(state, readable));
    if (!isQuorum(rules, counted, 'read')) return;
    this.#requireComplete(state, readable, base);
    const isReading = !isQuorum(rules, counted, 'write') || this.#bounds.anyOpeningFails === true;
    if (isReading) this.#readOnly(state, readable, base, `start on ${present.join('')}`);
    const known = bug === 'serve-before-opened' ? this.#read(state, base, 'start reads') : state;
    this.#openEpoch(known, present, base, `start on ${present.join('')}`);
  }

  /**
   * No epoch can be opened, or opening one failed: reads go on from the acknowledged prefix, and whatever lies behind it on
   * the chain is known to be open. Before that the greatest number met is reserved, then noted, on n − m disks.
   */
  #readOnly(state: ModelState, readable: readonly number[], base: number, action: string): void {
    const { bug } = this.#bounds;
    const rules = this.#rulesOf(state, base, this.#acknowledgedOn(state, readable));
    const isDeclared = state.disks.some(({ tip }) => this.#declarationOn(tip) !== undefined);
    if (this.#isGivenUp('stale-reads') && isDeclared && this.#declarationOn(base) === undefined) return;
    const prefix = this.#frame(base).acknowledged;
    if (!this.#isAncestor(prefix, state.seen)) throw new Violation('read-only start shows what nobody acknowledged');
    if (!this.#isAncestor(state.seen, base)) throw new Violation('read-only start does not know an acknowledged frame');
    this.#requireNotAbsent(state, prefix, action);
    const epoch = Math.max(...readable.map((i) => this.#epochMetOn(state.disks[i]!)));
    const note = { tip: base, epoch };
    const isTwoPhase = bug !== 'note-before-reserving' && bug !== 'note-without-reserving';
    // A reservation without a note that matters only raises numbers, as an opening that crashes does too.
    if (isTwoPhase && this.#voided(this.#held(state), note).length === 0) return;
    const behind = readable.filter((i) => state.disks[i]!.reserved < epoch);
    for (const raised of this.#subsets(behind, state)) {
      const reserved = readable.filter((i) => raised.includes(i) || !behind.includes(i));
      const disks = state.disks.map((disk, i) => (raised.includes(i) ? { ...disk, reserved: epoch } : disk));
      const afterReserving: ModelState = { ...state, disks };
      if (isTwoPhase && !isQuorum(rules, reserved, 'read')) {
        this.#reach(afterReserving, `${action}: ${epoch} reserved for a note on ${reserved.join('')}, crash`, state);
      } else if (isTwoPhase) {
        for (const noted of this.#subsets(reserved, afterReserving))
          this.#note(state, afterReserving, noted, note, rules, action);
      }
    }
    if (isTwoPhase) return;
    for (const noted of this.#subsets(readable, state)) {
      const disks = state.disks.map((disk, i) =>
        noted.includes(i) && bug === 'note-before-reserving'
          ? { ...disk, reserved: Math.max(disk.reserved, epoch) }
          : disk,
      );
      this.#note(state, { ...state, disks }, noted, note, rules, action);
    }
  }

  #note(
    state: ModelState,
    reserved: ModelState,
    noted: readonly number[],
    note: VoidNote,
    rules: readonly Rule[],
    action: string,
  ): void {
    const { bug } = this.#bounds;
    const disks = reserved.disks.map((disk, i) =>
      noted.includes(i) && bug !== 'no-void-note' ? { ...disk, notes: [...disk.notes, note] } : disk,
    );
    const needed = bug === 'void-note-on-too-few' ? rules.map((rule) => ({ ...rule, read: rule.read - 1 })) : rules;
    const isAnswering = isQuorum(needed, noted, 'read');
    const after: ModelState = {
      ...reserved,
      disks,
      absent: isAnswering ? [...state.absent, ...this.#unknownFrames(state, note.tip)] : state.absent,
      isReading: isAnswering && bug === 'notes-ignored-by-reopen',
    };
    const what = `${action}: noted up to epoch ${note.epoch} on ${noted.join('') || '-'}`;
    this.#reach(after, isAnswering ? `${what}, reads` : `${what}, crash`, state);
  }

  /** Payload frames on any disk that are not on the chain. */
  #unknownFrames(state: ModelState, tip: number): number[] {
    return this.#held(state).filter((id) => this.#isPayload(id) && !this.#isAncestor(id, tip));
  }

  /**
   * Frames on any disk, in order, without those of epochs before the newest that was seen that are not on its chain:
   * whoever adopts one of them loses what was seen, and that is reported.
   */
  #held(state: ModelState): number[] {
    const held = new Set(state.disks.flatMap(({ tip }) => (tip < 0 ? [] : this.#pathBetween(0, tip))));
    const { epoch } = this.#frame(state.seen);
    const alive = [...held].filter((id) => this.#frame(id).epoch >= epoch || this.#isAncestor(id, state.seen));
    return alive.sort((a, b) => a - b);
  }

  #voided(frames: readonly number[], note: VoidNote): number[] {
    return frames.filter((id) => this.#isVoid(id, [note]));
  }

  #isPayload(id: number): boolean {
    const { parent, payloads } = this.#frame(id);
    return payloads > this.#frame(parent).payloads;
  }

  #isVoid(frame: number, notes: readonly VoidNote[]): boolean {
    return notes.some(({ tip, epoch }) => this.#frame(frame).epoch <= epoch && !this.#isAncestor(frame, tip));
  }

  #epochMetOn(disk: ModelDisk): number {
    return Math.max(disk.reserved, this.#frame(disk.tip).epoch);
  }

  #requireNotAbsent(state: ModelState, tip: number, action: string): void {
    if (state.absent.some((frame) => this.#isAncestor(frame, tip)))
      throw new Violation(`${action}: what was absent before is read`);
  }

  #reopen(state: ModelState, usable: readonly number[]): void {
    const readable = this.#withoutDeclared(state, usable);
    if (readable.length === 0) return;
    const base = this.#newestTip(state, readable);
    const holdsAcknowledged = this.#isAncestor(this.#acknowledgedOf(state), base);
    if (!holdsAcknowledged && this.#bounds.bug !== 'reopen-forgets') return;
    this.#requireComplete(state, readable, base);
    this.#openEpoch(state, usable, base, `reopen on ${usable.join('')}`);
  }

  #acknowledgedOf(state: ModelState): number {
    const { tip, isUndecided } = state.running!;
    return isUndecided ? this.#frame(tip).parent : tip;
  }

  /**
   * Blank disks take the places of absent ones. The rule that was is relaxed at once, the new one holds beside it; the
   * spare disks have the whole new journal before any other has the first frame of it.
   */
  #declare(state: ModelState, present: readonly number[]): void {
    const { n, m, spares = 0, declared = 'blank' } = this.#bounds;
    const readable = present.filter((i) => state.disks[i]!.role !== 'spare' && state.disks[i]!.tip >= 0);
    if (spares === 0 || readable.length === 0) return;
    if (state.disks.some(({ role }, i) => role === 'spare' && !present.includes(i))) return;
    const withJournal = present.filter((i) => state.disks[i]!.tip >= 0);
    const base = this.#newestTip(state, withJournal);
    if (this.#declarationOn(base) !== undefined) return;
    const isAbsent = (i: number): boolean =>
      state.disks[i]!.role !== 'spare' &&
      !present.includes(i) &&
      (declared === 'any-absent' || state.disks[i]!.tip < 0);
    const absent = state.disks.flatMap((_, i) => (isAbsent(i) ? [i] : []));
    const isDeclaredBefore = state.disks.some(({ role }) => role === 'declared');
    for (const lost of this.#subsets(absent, state)) {
      if (lost.length !== spares) continue;
      if (isDeclaredBefore && lost.some((i) => state.disks[i]!.role !== 'declared')) continue;
      const disks = state.disks.map((disk, i): ModelDisk => (lost.includes(i) ? { ...disk, role: 'declared' } : disk));
      if (readable.length < n - m) continue;
      this.#requireComplete(state, withJournal, base);
      const isForgiven = (frame: number): boolean =>
        !withJournal.some((i) => this.#isVoid(frame, state.disks[i]!.notes)) && this.#isAncestor(frame, base);
      const forgiving = this.#isGivenUp('notes-on-declared-disks');
      const kept = state.absent.filter((frame) => !forgiving || !isForgiven(frame));
      const after = { ...state, disks, absent: kept };
      this.#openEpoch(after, present, base, `${lost.join('')} declared lost on ${present.join('')}`, true);
    }
  }

  #isGivenUp(what: GivenUp): boolean {
    return this.#bounds.givenUp?.includes(what) === true;
  }

  /** Reserve, level, write the opening frame: each disk may have got anywhere when it ends. */
  #openEpoch(state: ModelState, present: readonly number[], base: number, action: string, isDeclaring = false): void {
    const { maxEpoch, bug } = this.#bounds;
    const met = present.filter((i) => state.disks[i]!.tip >= 0);
    const spent = state.running?.epoch ?? 0;
    const epoch = 1 + Math.max(spent, ...met.map((i) => this.#epochMetOn(state.disks[i]!)));
    if (epoch > maxEpoch) return;
    const acknowledged = this.#acknowledgedOn(state, this.#withoutDeclared(state, present));
    const known = state.running === undefined ? acknowledged : this.#acknowledgedOf(state);
    const opening = this.#makeFrame({ parent: base, epoch, acknowledged: known, kind: 'opening' });
    const tip = isDeclaring
      ? this.#makeFrame({ parent: opening, epoch, acknowledged: known, kind: 'declaration' })
      : opening;
    const rules = this.#rulesOf(state, tip, known);
    const members = present.filter((i) => rules.some((rule) => rule.members.includes(i)));
    const oldRules = isDeclaring ? rules.slice(0, 1) : rules;
    const isAsked = (disk: ModelDisk): boolean =>
      (disk.tip >= 0 || bug === 'count-blank-disks') && (!isDeclaring || disk.role === 'listed');
    const withJournal = members.filter((i) => isAsked(state.disks[i]!));
    const skipsReserving = bug === 'skip-reservation' || (isDeclaring && bug === 'declare-without-reserving');
    const dead = this.#crashed(state);
    for (const reserved of this.#subsets(withJournal, state)) {
      const settled = bug === 'note-forgotten-too-early' ? epoch : this.#frame(acknowledged).epoch;
      const disks = dead.disks.map((disk, i) =>
        reserved.includes(i) && !skipsReserving
          ? { ...disk, reserved: epoch, notes: disk.notes.filter((note) => note.epoch >= settled) }
          : disk,
      );
      const afterReserving: ModelState = { ...dead, disks };
      if (!isQuorum(oldRules, reserved, 'reserve') && !skipsReserving) {
        this.#reach(afterReserving, `${action}: epoch ${epoch} reserved on ${reserved.join('')}, crash`, state);
        continue;
      }
      if (epoch <= state.writtenEpoch) throw new Violation(`epoch ${epoch} is used a second time`);
      this.#takeOpening(state, afterReserving, { members, rules, base, tip, epoch, action });
    }
  }

  #takeOpening(
    state: ModelState,
    reserved: ModelState,
    opening: {
      members: readonly number[];
      rules: readonly Rule[];
      base: number;
      /** The opening frame, or the declaration behind it. */
      tip: number;
      epoch: number;
      action: string;
    },
  ): void {
    const { members, rules, base, tip, epoch, action } = opening;
    const isDeclaring = this.#frame(tip).kind === 'declaration';
    const outcomes = members.map((i) => this.#levellingOutcomes(reserved.disks[i]!, base, tip, epoch));
    for (const chosen of product(outcomes)) {
      const disks = [...reserved.disks];
      for (const [at, i] of members.entries()) disks[i] = chosen[at]!;
      const holders = members.filter((i) => disks[i]!.tip === tip);
      const written = members.filter((i) => disks[i]!.tip >= 0 && this.#frame(disks[i]!.tip).epoch === epoch);
      const isBegun = written.some((i) => disks[i]!.role === 'listed');
      const isPrepared = members.every((i) => disks[i]!.role !== 'spare' || disks[i]!.tip === tip);
      if (isDeclaring && isBegun && !isPrepared) continue;
      const writtenEpoch = written.length > 0 ? epoch : reserved.writtenEpoch;
      const dead: ModelState = { ...reserved, disks, writtenEpoch };
      const where = `${action}: epoch ${epoch} on ${holders.join('') || '-'}`;
      this.#reach(dead, `${where}, crash`, state);
      if (!isQuorum(rules, holders, 'write')) continue;
      const opened = this.#read({ ...dead, running: { epoch, tip, isUndecided: false } }, tip, where);
      this.#reach(
        { ...opened, disks: disks.map((disk, i) => ({ ...disk, isLevel: holders.includes(i) })) },
        where,
        state,
      );
    }
  }

  /** A disk on the chain gets one frame after the other; any other keeps what it has or jumps to a whole new journal. */
  #levellingOutcomes(disk: ModelDisk, base: number, opening: number, epoch: number): ModelDisk[] {
    if (disk.tip >= 0 && this.#isAncestor(disk.tip, base)) {
      const between = this.#pathBetween(disk.tip, base);
      const outcomes = [disk.tip, ...this.#pathBetween(disk.tip, opening)].map((tip) => ({ ...disk, tip }));
      if (this.#bounds.bug === 'vote-before-levelled')
        outcomes.push({ ...disk, tip: opening, missing: [...disk.missing, ...between] });
      return outcomes;
    }
    return [disk, { ...disk, tip: opening, reserved: Math.max(disk.reserved, epoch), missing: [] }];
  }

  #append(state: ModelState): void {
    const { maxPayloads, bug } = this.#bounds;
    const running = state.running!;
    if (this.#frame(running.tip).payloads >= maxPayloads) return;
    const { epoch, tip } = running;
    const frame = this.#makeFrame({ parent: tip, epoch, acknowledged: tip, kind: 'payload' });
    const level = state.disks.flatMap((disk, i) => (disk.isLevel ? [i] : []));
    const rules = this.#rulesOf(state, tip, tip);
    if (!isQuorum(rules, level, 'write')) return;
    for (const synced of this.#subsets(level, state)) {
      const disks = state.disks.map((disk, i) => {
        if (synced.includes(i)) return { ...disk, tip: frame, missing: this.#missingAfter(disk, frame) };
        return { ...disk, isLevel: disk.isLevel && bug === 'no-levelling-after-a-miss' };
      });
      const where = `append synced on ${synced.join('') || '-'}`;
      const written: ModelState = { ...state, disks };
      this.#reach(this.#crashed(written), `${where}, crash`, state);
      const isAcknowledged = isQuorum(rules, synced, 'write');
      const after: ModelState = { ...written, running: { epoch, tip: frame, isUndecided: !isAcknowledged } };
      const isRead = isAcknowledged || bug === 'read-before-acknowledged';
      this.#reach(isRead ? this.#read(after, frame, where) : after, where, state);
    }
  }

  #missingAfter(disk: ModelDisk, frame: number): readonly number[] {
    const { parent } = this.#frame(frame);
    return disk.tip === parent ? disk.missing : [...disk.missing, ...this.#pathBetween(disk.tip, parent)];
  }

  /** At run time a disk that is not level gets the next frame it lacks, or new files; at the end of the chain it is level. */
  #levelOneStep(state: ModelState): void {
    const { tip } = state.running!;
    const [rule] = this.#rulesOf(state, tip, tip);
    for (const [i, disk] of state.disks.entries()) {
      if (disk.isLevel || !rule!.members.includes(i)) continue;
      const isOnChain = disk.tip >= 0 && this.#isAncestor(disk.tip, tip);
      const next = isOnChain && disk.tip !== tip ? this.#pathBetween(disk.tip, tip)[0]! : tip;
      const levelled = { ...disk, tip: next, missing: isOnChain ? disk.missing : [], isLevel: next === tip };
      if (!isOnChain) levelled.reserved = Math.max(disk.reserved, state.running!.epoch);
      this.#reach({ ...state, disks: state.disks.with(i, levelled) }, `level ${i}`, state);
    }
  }

  #wipe(state: ModelState): void {
    for (const [i, disk] of state.disks.entries()) {
      if (disk.tip < 0) continue;
      const blank: ModelDisk = { role: disk.role, reserved: 0, tip: -1, missing: [], isLevel: false, notes: [] };
      const wiped = { ...state, disks: state.disks.with(i, blank), wipes: state.wipes + 1 };
      // A loss is within the promise while every other disk has a journal of its own that is not behind a loss.
      const blankCount = wiped.disks.filter((one) => one.tip < 0 && one.role !== 'spare').length;
      if (disk.role !== 'spare' && blankCount <= this.#bounds.m) this.#reach(wiped, `wipe ${i}`, state);
    }
  }

  // ——— the chain ———

  #declarationOn(tip: number): number | undefined {
    for (let at = tip; at > 0; at = this.#frame(at).parent) if (this.#frame(at).kind === 'declaration') return at;
    return undefined;
  }

  /** Disks with a journal that count: none that a declaration on one of them names, unless it is void by what the others noted. */
  #withoutDeclared(state: ModelState, present: readonly number[]): number[] {
    const found = present.filter((i) => state.disks[i]!.tip >= 0);
    const others = found.filter((i) => state.disks[i]!.role !== 'declared');
    const notes = others.flatMap((i) => state.disks[i]!.notes);
    const isDeclared = others.some((i) => {
      const declaration = this.#declarationOn(state.disks[i]!.tip);
      return declaration !== undefined && !this.#isVoid(declaration, notes);
    });
    return isDeclared && this.#bounds.bug !== 'notes-of-declared-disks' ? others : found;
  }

  #acknowledgedOn(state: ModelState, readable: readonly number[]): number {
    return Math.max(...readable.map((i) => this.#frame(state.disks[i]!.tip).acknowledged));
  }

  /** Those in force on the chain that ends with `tip`, as far as `acknowledged` is known to be. */
  #rulesOf(state: ModelState, tip: number, acknowledged: number): Rule[] {
    const { n, m, spares = 0, bug } = this.#bounds;
    const write = bug === 'acknowledge-at-m' ? Math.max(1, m) : m + 1;
    const withRole = (...roles: ModelDisk['role'][]): number[] =>
      state.disks.flatMap(({ role }, i) => (roles.includes(role) ? [i] : []));
    const declaration = this.#declarationOn(tip);
    if (declaration === undefined)
      return [{ members: withRole('listed', 'declared'), read: n - m, reserve: m + 1, write }];
    const changed: Rule = { members: withRole('listed', 'spare'), read: n - m, reserve: m + 1, write };
    if (this.#isAncestor(declaration, acknowledged)) return [changed];
    const least = bug === 'declare-on-too-few' ? 1 : n - m;
    const relaxed = Math.max(least, write - spares);
    return [{ members: withRole('listed'), read: n - m, reserve: relaxed, write: relaxed }, changed];
  }

  #newestTip(state: ModelState, readable: readonly number[]): number {
    const isLongest = this.#bounds.bug === 'longest-chain-wins';
    const notes = state.isReading ? [] : readable.flatMap((i) => state.disks[i]!.notes);
    let best = 0;
    for (const i of readable) {
      let { tip } = state.disks[i]!;
      while (this.#isVoid(tip, notes)) tip = this.#frame(tip).parent;
      const [one, other] = [this.#frame(tip), this.#frame(best)];
      const order = isLongest ? one.length - other.length : one.epoch - other.epoch || one.length - other.length;
      if (order > 0) best = tip;
    }
    return best;
  }

  /** Every frame of the chain must be on some present disk. */
  #requireComplete(state: ModelState, readable: readonly number[], tip: number): void {
    for (const missing of new Set(readable.flatMap((i) => state.disks[i]!.missing))) {
      if (!this.#isAncestor(missing, tip)) continue;
      const isHeld = readable.some((i) => {
        const disk = state.disks[i]!;
        return this.#isAncestor(missing, disk.tip) && !disk.missing.includes(missing);
      });
      if (!isHeld) throw new Violation('a frame of the chain is on no present disk');
    }
  }

  /** Something is read or acknowledged: it must extend everything read or acknowledged before. */
  #read(state: ModelState, tip: number, action: string): ModelState {
    if (!this.#isAncestor(state.seen, tip))
      throw new Violation(`${action}: something acknowledged or read before is lost`);
    this.#requireNotAbsent(state, tip, action);
    return { ...state, seen: tip };
  }

  #frame(id: number): ModelFrame {
    return this.#frames[id]!;
  }

  #makeFrame(frame: { parent: number; epoch: number; acknowledged: number; kind: FrameKind }): number {
    const { parent, epoch, acknowledged, kind } = frame;
    const key = `${parent}.${epoch}.${acknowledged}.${kind}`;
    const known = this.#frameIds.get(key);
    if (known !== undefined) return known;
    const before = this.#frame(parent);
    const length = before.length + 1;
    const payloads = before.payloads + Number(kind === 'payload');
    this.#frames.push({ parent, epoch, length, payloads, acknowledged, kind });
    this.#frameIds.set(key, this.#frames.length - 1);
    return this.#frames.length - 1;
  }

  #isAncestor(ancestor: number, descendant: number): boolean {
    let at = descendant;
    while (at > ancestor) at = this.#frame(at).parent;
    return at === ancestor;
  }

  /** Frames after `from` up to `to`, in order. */
  #pathBetween(from: number, to: number): number[] {
    const path: number[] = [];
    for (let at = to; at > from; at = this.#frame(at).parent) path.unshift(at);
    return path;
  }

  // ——— bookkeeping ———

  #crashed(state: ModelState): ModelState {
    const disks = state.disks.map((disk) => ({ ...disk, isLevel: false }));
    return { ...state, running: undefined, disks, isReading: false };
  }

  /** Of disks in the same state the first are taken: which of them makes no difference. */
  *#subsets(members: readonly number[], { disks }: ModelState): Generator<number[]> {
    const twins = members.map((i, at) => {
      const key = this.#keyOf(disks[i]!);
      return members.findLastIndex((j, before) => before < at && this.#keyOf(disks[j]!) === key);
    });
    for (let mask = 0; mask < 1 << members.length; mask++) {
      const isTaken = (at: number): boolean => (mask & (1 << at)) !== 0;
      if (twins.some((twin, at) => twin >= 0 && isTaken(at) && !isTaken(twin))) continue;
      yield members.filter((_, at) => isTaken(at));
    }
  }

  readonly #keys = new WeakMap<ModelDisk, string>();

  #keyOf(disk: ModelDisk): string {
    let key = this.#keys.get(disk);
    if (key === undefined) {
      const notes = disk.notes.map((note) => `${note.tip}:${note.epoch}`).join('+');
      key = `${disk.role},${disk.reserved},${disk.tip},${disk.missing.join('+')},${disk.isLevel ? 1 : 0},${notes}`;
      this.#keys.set(disk, key);
    }
    return key;
  }

  /** Disks are interchangeable: a state is known by its sorted disks. */
  #reach(reached: ModelState, action: string, from: ModelState | undefined): void {
    const { state, noteKeys } = this.#withoutInert(reached);
    const disks = state.disks
      .map((disk, i) => {
        return `${disk.role},${disk.reserved},${disk.tip},${disk.missing.join('+')},${disk.isLevel ? 1 : 0},${noteKeys[i]}`;
      })
      .sort()
      .join(' ');
    const running =
      state.running === undefined ? '' : `${state.running.epoch},${state.running.tip},${state.running.isUndecided}`;
    const ghosts = `${state.seen}|${state.writtenEpoch}|${state.wipes}|${state.absent.join('+')}|${state.isReading}`;
    const key = `${disks}|${running}|${ghosts}`;
    if (this.#visited.has(key)) return;
    this.#visited.set(key, { before: from === undefined ? undefined : this.#current, action });
    this.#queue.push({ state, key });
  }

  /**
   * Drops what can make no difference any more: frames that are on no disk, and notes that void nothing on any disk nor
   * in an epoch that could still be opened. Notes are known by what they void, because nothing else of them counts.
   */
  #withoutInert(state: ModelState): { state: ModelState; noteKeys: string[] } {
    if (state.absent.length === 0 && state.disks.every((disk) => disk.notes.length === 0))
      return { state, noteKeys: state.disks.map(() => '') };
    const held = this.#held(state);
    const absent = [...new Set(state.absent)].filter((id) => held.includes(id)).sort((a, b) => a - b);
    const met = state.disks.map((disk) => (disk.tip < 0 ? 0 : this.#epochMetOn(disk))).sort((a, b) => a - b);
    const { m, spares = 0 } = this.#bounds;
    const nextEpoch = met[spares > 0 ? 0 : m]! + 1;
    const noteKeys: string[] = [];
    const disks = state.disks.map((disk) => {
      const notes = new Map<string, VoidNote>();
      for (const note of disk.notes) {
        const voided = this.#voided(held, note);
        const key = note.epoch >= nextEpoch ? `${note.epoch}:${note.tip}` : voided.join('.');
        if (key !== '' && (notes.get(key)?.epoch ?? -1) < note.epoch) notes.set(key, note);
      }
      noteKeys.push(
        [...notes]
          .map(([key, note]) => `${key}<${note.epoch}`)
          .sort()
          .join('+'),
      );
      return { ...disk, notes: [...notes.values()] };
    });
    return { state: { ...state, absent, disks }, noteKeys };
  }

  #trace(): string[] {
    const trace: string[] = [];
    let key: string | undefined = this.#current;
    while (key !== undefined) {
      const step: { before: string | undefined; action: string } = this.#visited.get(key)!;
      trace.unshift(step.action);
      key = step.before;
    }
    return trace;
  }
}

/** Who counts, and how many of them are needed. */
interface Rule {
  members: readonly number[];
  read: number;
  reserve: number;
  write: number;
}

function isQuorum(rules: readonly Rule[], present: readonly number[], what: 'read' | 'reserve' | 'write'): boolean {
  return rules.every((rule) => rule.members.filter((i) => present.includes(i)).length >= rule[what]);
}

function* product<T>(choices: readonly (readonly T[])[]): Generator<T[]> {
  const [first, ...rest] = choices;
  if (first === undefined) yield [];
  else for (const tail of product(rest)) for (const head of first) yield [head, ...tail];
}
