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

/** At most pattern × text steps: no pattern makes it slower, unlike a regular expression made of one. */
export function matchesPattern(pattern: Pattern, text: string): boolean {
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
