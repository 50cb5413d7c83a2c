import { performance } from 'node:perf_hooks';

export type OperationKind = 'put' | 'multipart' | 'copy' | 'delete' | 'get' | 'range' | 'head' | 'list';

export interface Second {
  operations: number;
  errors: number;
  /** Milliseconds of every operation that ended well. */
  latenciesMs: number[];
}

export interface FaultEvent {
  kind: string;
  target: string;
  beganMs: number;
  endedMs: number | undefined;
  /** The process itself was hit: not counted for availability. */
  isProcessFault: boolean;
}

/** What happened when, in milliseconds since the run began. */
export class Recorder {
  readonly seconds: Second[] = [];
  readonly faults: FaultEvent[] = [];
  readonly violations: string[] = [];
  readonly notes: { atMs: number; text: string }[] = [];
  readonly operationCounts = new Map<OperationKind, { ok: number; refused: number; unknown: number }>();
  readonly errorCodes = new Map<string, number>();
  /** From kill or stop until the first answer that was good again. */
  readonly restartsMs: number[] = [];
  readonly cleanWaitsMs: number[] = [];
  /** What healing made again, run by run of the server, and its best rate while everything else stood still. */
  readonly healed = { shardCount: 0, fileCount: 0, writtenBytes: 0, bestBytesPerSecond: 0 };
  acknowledgedWrites = 0;
  acknowledgedBytes = 0;
  verifiedReads = 0;
  readonly #startMs = performance.now();
  /** Operations that began in a quiet time: neither a process fault nor 5 s after a disk fault. */
  counted = { operations: 0, errors: 0, latenciesMs: [] as number[] };
  #blindUntilMs = 0;
  #processFaults = 0;

  nowMs(): number {
    return performance.now() - this.#startMs;
  }

  get isCounting(): boolean {
    return this.#processFaults === 0 && this.nowMs() >= this.#blindUntilMs;
  }

  operation(kind: OperationKind, beganMs: number, outcome: 'ok' | 'refused' | 'unknown', isCounted: boolean): void {
    const counts = this.operationCounts.get(kind) ?? { ok: 0, refused: 0, unknown: 0 };
    counts[outcome]++;
    this.operationCounts.set(kind, counts);
    const second = this.#second();
    const tookMs = this.nowMs() - beganMs;
    if (outcome === 'unknown') second.errors++;
    else {
      second.operations++;
      second.latenciesMs.push(tookMs);
    }
    if (!isCounted || !this.isCounting) return;
    this.counted.operations++;
    if (outcome === 'unknown') this.counted.errors++;
    else this.counted.latenciesMs.push(tookMs);
  }

  violation(text: string): void {
    this.violations.push(`${(this.nowMs() / 1000).toFixed(1)} s: ${text}`);
    process.stderr.write(`VIOLATION ${text}\n`);
  }

  note(text: string): void {
    this.notes.push({ atMs: this.nowMs(), text });
    process.stderr.write(`${(this.nowMs() / 1000).toFixed(1).padStart(7)} s  ${text}\n`);
  }

  beginFault(kind: string, target: string, isProcessFault: boolean): FaultEvent {
    const event: FaultEvent = { kind, target, beganMs: this.nowMs(), endedMs: undefined, isProcessFault };
    this.faults.push(event);
    this.note(`fault ${kind} ${target}`);
    if (isProcessFault) this.#processFaults++;
    else this.#blindUntilMs = this.nowMs() + 5000;
    return event;
  }

  endFault(event: FaultEvent): void {
    event.endedMs = this.nowMs();
    if (event.isProcessFault) {
      this.#processFaults--;
      this.#blindUntilMs = Math.max(this.#blindUntilMs, this.nowMs() + 1000);
    } else {
      this.note(`ended ${event.kind} ${event.target}`);
    }
  }

  #second(): Second {
    const index = Math.floor(this.nowMs() / 1000);
    while (this.seconds.length <= index) this.seconds.push({ operations: 0, errors: 0, latenciesMs: [] });
    const second = this.seconds[index];
    if (second === undefined) throw new Error('unreachable');
    return second;
  }
}

/** The value that the fraction `p` of the sample does not exceed; 0 for an empty sample. */
export function percentile(sample: readonly number[], p: number): number {
  const sorted = sample.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? 0;
}
