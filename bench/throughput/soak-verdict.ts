/** One slice of a soak. Bytes of volumes are payload, `diskBytes` are those of all files on all disks. */
export interface SoakSample {
  minute: number;
  operationsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  residentBytes: number;
  storedBytes: number;
  liveBytes: number;
  diskBytes: number;
}

export interface SoakVerdict {
  what: string;
  isFlat: boolean;
  detail: string;
}

/** What the last third may be more than the third before it: noise of a shared machine, not a trend. */
const TOLERATED_GROWTH = 0.15;

interface Measure {
  what: string;
  unit: string;
  of: (sample: SoakSample) => number;
  /** True where falling is what must not happen. */
  isRate?: boolean;
}

const MEBIBYTE = 1024 * 1024;
const MEASURES: readonly Measure[] = [
  { what: 'resident memory', unit: 'MiB', of: (sample) => sample.residentBytes / MEBIBYTE },
  { what: 'p50', unit: 'ms', of: (sample) => sample.p50Ms },
  { what: 'p99', unit: 'ms', of: (sample) => sample.p99Ms },
  { what: 'throughput', unit: 'operations/s', of: (sample) => sample.operationsPerSecond, isRate: true },
  { what: 'space on the disks', unit: 'MiB', of: (sample) => sample.diskBytes / MEBIBYTE },
];

/**
 * The rule: without the first third (warming up), the median of the last third may be at most 15 % worse than that of the
 * middle third. What grows without end grows in every third; what has settled does not.
 */
export function soakVerdicts(samples: readonly SoakSample[]): SoakVerdict[] {
  const third = Math.floor(samples.length / 3);
  return MEASURES.map(({ what, unit, of, isRate }) => {
    const middle = median(samples.slice(third, 2 * third).map(of));
    const last = median(samples.slice(2 * third).map(of));
    const growth = isRate === true ? middle / last - 1 : last / middle - 1;
    return {
      what,
      // Not written `growth <= …`: what could not be measured is not flat.
      isFlat: third > 0 && growth <= TOLERATED_GROWTH,
      detail: `${middle.toFixed(1)} ${unit} in the middle third, ${last.toFixed(1)} in the last`,
    };
  });
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
