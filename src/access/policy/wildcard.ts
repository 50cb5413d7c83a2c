/**
 * A pattern of wildcards: UTF-16 units of literal text, ANY_RUN for `*` (any run of units, none too), ANY_ONE for `?`
 * (exactly one).
 */
export type Pattern = readonly number[];

const ANY_RUN = -1;
const ANY_ONE = -2;
const STAR = 0x2a;
const QUESTION = 0x3f;

/** `*` and `?` are wildcards. */
export function patternOf(text: string): Pattern {
  const pattern = literalPattern(text);
  return pattern.map((unit) => (unit === STAR ? ANY_RUN : unit === QUESTION ? ANY_ONE : unit));
}

/** `*` and `?` are themselves. */
export function literalPattern(text: string): number[] {
  return Array.from({ length: text.length }, (_, index) => text.charCodeAt(index));
}

export const ANY_TEXT: Pattern = [ANY_RUN];

/** More steps than that are not taken one by one. */
const MANY_STEPS = 1 << 16;

/**
 * At most pattern × text steps, unlike with a regular expression made of the pattern, and a thirty-second of them
 * where both are long: who writes a policy or sends a header does not hold up everybody else.
 */
export function matchesPattern(pattern: Pattern, text: string): boolean {
  if (pattern.length * text.length > MANY_STEPS) return matchesLongPattern(pattern, text);
  let p = 0;
  let t = 0;
  let starAt = -1;
  let resumeAt = 0;
  while (t < text.length) {
    const unit = pattern[p];
    if (unit === ANY_RUN) {
      starAt = p;
      p += 1;
      resumeAt = t;
    } else if (unit === ANY_ONE || unit === text.charCodeAt(t)) {
      p += 1;
      t += 1;
    } else if (starAt >= 0) {
      p = starAt + 1;
      resumeAt += 1;
      t = resumeAt;
    } else {
      return false;
    }
  }
  while (pattern[p] === ANY_RUN) p += 1;
  return p === pattern.length;
}

/** What stands before the first run and behind the last has its place; pieces between them are where they first fit. */
function matchesLongPattern(pattern: Pattern, text: string): boolean {
  const firstRun = pattern.indexOf(ANY_RUN);
  if (firstRun === -1) return pattern.length === text.length && standsAt(pattern, text, 0);
  const lastRun = pattern.lastIndexOf(ANY_RUN);
  const head = pattern.slice(0, firstRun);
  const tail = pattern.slice(lastRun + 1);
  const end = text.length - tail.length;
  if (head.length > end || !standsAt(head, text, 0) || !standsAt(tail, text, end)) return false;
  let at = head.length;
  for (let start = firstRun + 1; start <= lastRun;) {
    const next = pattern.indexOf(ANY_RUN, start);
    if (next > start) at = endOfFirst(pattern.slice(start, next), text, at, end);
    if (at === -1) return false;
    start = next + 1;
  }
  return true;
}

function standsAt(piece: Pattern, text: string, at: number): boolean {
  return piece.every((unit, index) => unit === ANY_ONE || unit === text.charCodeAt(at + index));
}

/**
 * Behind the first place between `from` and `end` where the piece stands; -1: there is none. Bit i says that the text
 * up to here ends in the first i + 1 units of the piece: 32 of them go on at once.
 */
function endOfFirst(piece: Pattern, text: string, from: number, end: number): number {
  const ofAny = new Uint32Array((piece.length + 31) >>> 5);
  for (const [index, unit] of piece.entries()) if (unit === ANY_ONE) ofAny[index >>> 5]! |= 1 << (index & 31);
  const ofUnit = new Map<number, Uint32Array>();
  for (const [index, unit] of piece.entries()) {
    if (unit === ANY_ONE) continue;
    let bits = ofUnit.get(unit);
    if (bits === undefined) ofUnit.set(unit, (bits = ofAny.slice()));
    bits[index >>> 5]! |= 1 << (index & 31);
  }
  const ends = new Uint32Array(ofAny.length);
  const whole = 1 << ((piece.length - 1) & 31);
  for (let at = from; at < end; at++) {
    const fitting = ofUnit.get(text.charCodeAt(at)) ?? ofAny;
    let carried = 1;
    for (let word = 0; word < ends.length; word++) {
      const bits = ends[word]!;
      ends[word] = ((bits << 1) | carried) & fitting[word]!;
      carried = bits >>> 31;
    }
    if ((ends.at(-1)! & whole) !== 0) return at + 1;
  }
  return -1;
}
