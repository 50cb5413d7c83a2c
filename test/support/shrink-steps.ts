/**
 * Delta debugging: leaves out ever smaller pieces of a failing list of steps as long as what is left fails. Returns the
 * steps of the smallest failing run found in the time; `undefined`: not even all of `first` failed again, nor all steps.
 */
export async function shrinkSteps(options: {
  steps: readonly number[];
  /** Tried first: the steps that can matter. */
  first: (step: number) => boolean;
  fails: (kept: ReadonlySet<number>) => Promise<boolean>;
  hasTime: () => boolean;
}): Promise<ReadonlySet<number> | undefined> {
  const { steps, first, fails, hasTime } = options;
  let kept = steps.filter(first);
  if (!(await fails(new Set(kept)))) {
    if (kept.length === steps.length || !(await fails(new Set(steps)))) return undefined;
    kept = [...steps];
  }
  for (let pieces = 2; kept.length > 1 && hasTime();) {
    const size = Math.ceil(kept.length / pieces);
    let isSmaller = false;
    for (let start = 0; start < kept.length && hasTime();) {
      const rest = [...kept.slice(0, start), ...kept.slice(start + size)];
      if (await fails(new Set(rest))) {
        kept = rest;
        isSmaller = true;
      } else start += size;
    }
    if (size === 1 && !isSmaller) break;
    pieces = isSmaller ? Math.max(2, pieces - 1) : Math.min(kept.length, 2 * pieces);
  }
  return new Set(kept);
}
