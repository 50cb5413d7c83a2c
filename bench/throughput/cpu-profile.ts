/** The part of V8's profile format that is read here. */
export interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  /** Ids of the node on top of the stack, one for each sample. */
  samples: number[];
  /** Microseconds before each sample. */
  timeDeltas: number[];
}

interface SelfTime {
  name: string;
  place: string;
  selfMs: number;
  share: number;
}

const LINES = 30;
const NOT_WORK = new Set(['(idle)', '(program)']);

/** Functions by the time they themselves were running, longest first; shares are of the time that was not idle. */
export function selfTimes(profile: CpuProfile): SelfTime[] {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const byFunction = new Map<string, SelfTime>();
  let busyMs = 0;
  profile.samples.forEach((id, index) => {
    const frame = frames.get(id);
    if (frame === undefined) return;
    const name = frame.functionName === '' ? '(anonymous)' : frame.functionName;
    const place = frame.url === '' ? '' : `${shorten(frame.url)}:${frame.lineNumber + 1}`;
    const ms = (profile.timeDeltas[index] ?? 0) / 1000;
    if (!NOT_WORK.has(name)) busyMs += ms;
    const entry = byFunction.get(`${name} ${place}`) ?? { name, place, selfMs: 0, share: 0 };
    entry.selfMs += ms;
    byFunction.set(`${name} ${place}`, entry);
  });
  return [...byFunction.values()]
    .map((entry) => ({ ...entry, share: NOT_WORK.has(entry.name) ? 0 : entry.selfMs / (busyMs || 1) }))
    .sort((left, right) => right.selfMs - left.selfMs);
}

export function renderSelfTimes(profile: CpuProfile): string {
  const rows = selfTimes(profile)
    .slice(0, LINES)
    .map(({ name, place, selfMs, share }) => {
      const percent = share === 0 ? '' : `${(share * 100).toFixed(1)} %`;
      return `${selfMs.toFixed(1).padStart(9)} ms ${percent.padStart(7)}  ${name}  ${place}`;
    });
  return `Self time of the main thread; shares are of the time it was not idle.\n${rows.join('\n')}\n`;
}

/** Below the checkout: `dist/…`, `node_modules/…`; built-in modules as they are. */
function shorten(url: string): string {
  return url.replace(/^file:\/\/.*\/(dist|node_modules)\//, '$1/').replace(/^.*\/node_modules\//, 'node_modules/');
}
