/** Upper bounds in seconds, ascending; one more bucket counts what is slower. */
export const DURATION_BOUNDS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export interface ObservedRequest {
  operation: string;
  status: number;
  durationMs: number;
  bytesIn: number;
  bytesOut: number;
}

export interface OperationCounters {
  operation: string;
  /** By class of status: index 2 counts 2xx. */
  statusClasses: number[];
  /** Not cumulative; one longer than the bounds. */
  durationBuckets: number[];
  durationSumSeconds: number;
  bytesIn: number;
  bytesOut: number;
}

export interface CallerCounters {
  /** Requests that were answered SlowDown because of a rate. */
  limitedCount: number;
  /** Requests that wait for their turn. */
  waitingCount: number;
  failedSignatureCount: number;
  /** Lines of the audit log that could not be kept. */
  auditDroppedCount: number;
}

/**
 * Counters of S3 requests by operation. `observe` runs once for every request, so it only adds to numbers that exist;
 * its labels come from the operation table, never from the client, so that their number is bounded.
 */
export class RequestMetrics {
  /** How the limits of callers stand; set by whoever enforces them. */
  callers: (() => CallerCounters) | undefined;
  readonly #byOperation = new Map<string, OperationCounters>();
  /** Requests being answered now. */
  inFlight = 0;
  /** All there ever were. */
  startedCount = 0;
  /** Open client connections, as the listener sees them. */
  openConnections = 0;

  began(): void {
    this.inFlight += 1;
    this.startedCount += 1;
  }

  observe(request: ObservedRequest): void {
    let counters = this.#byOperation.get(request.operation);
    if (counters === undefined) {
      counters = emptyCounters(request.operation);
      this.#byOperation.set(request.operation, counters);
    }
    const statusClass = Math.floor(request.status / 100);
    counters.statusClasses[statusClass] = (counters.statusClasses[statusClass] ?? 0) + 1;
    const seconds = request.durationMs / 1000;
    let bucket = 0;
    while (bucket < DURATION_BOUNDS_SECONDS.length && seconds > (DURATION_BOUNDS_SECONDS[bucket] ?? 0)) bucket += 1;
    counters.durationBuckets[bucket] = (counters.durationBuckets[bucket] ?? 0) + 1;
    counters.durationSumSeconds += seconds;
    counters.bytesIn += request.bytesIn;
    counters.bytesOut += request.bytesOut;
  }

  /** Live objects, ascending by operation: read at once, do not keep. */
  operations(): OperationCounters[] {
    return [...this.#byOperation.values()].sort((left, right) => (left.operation < right.operation ? -1 : 1));
  }
}

function emptyCounters(operation: string): OperationCounters {
  return {
    operation,
    statusClasses: Array.from({ length: 6 }, () => 0),
    durationBuckets: Array.from({ length: DURATION_BOUNDS_SECONDS.length + 1 }, () => 0),
    durationSumSeconds: 0,
    bytesIn: 0,
    bytesOut: 0,
  };
}
