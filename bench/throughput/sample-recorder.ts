import type { Failure, JobResult } from './job.ts';
import type { Operation } from './operations.ts';

const KEPT_EXAMPLES = 10;

/** Start, end, kind and size of every operation that succeeded, in arrays that grow by doubling. */
export class SampleRecorder {
  #starts = new Float64Array(1024);
  #ends = new Float64Array(1024);
  #bytes = new Float64Array(1024);
  #kinds = new Uint8Array(1024);
  count = 0;
  readonly #errors = new Map<string, number>();
  readonly #errorExamples: string[] = [];
  readonly #wrong: Failure[] = [];
  #wrongCount = 0;
  /** Subtracted from every time. */
  origin = 0;

  record(operation: Operation, startedAt: number, endedAt: number): void {
    if (this.count === this.#starts.length) this.#grow();
    this.#starts[this.count] = startedAt - this.origin;
    this.#ends[this.count] = endedAt - this.origin;
    this.#bytes[this.count] = operation.sizeBytes;
    this.#kinds[this.count] = operation.kind;
    this.count += 1;
  }

  recordFailure(failure: Failure): void {
    this.#errors.set(failure.label, (this.#errors.get(failure.label) ?? 0) + 1);
    if (failure.isWrong) {
      this.#wrongCount += 1;
      if (this.#wrong.length < KEPT_EXAMPLES) this.#wrong.push(failure);
    } else if (this.#errorExamples.length < KEPT_EXAMPLES) this.#errorExamples.push(failure.detail);
  }

  /** Forgets what was measured; failures are kept. */
  dropSamples(): void {
    this.count = 0;
  }

  finish(): Omit<JobResult, 'acknowledged' | 'liveBytes' | 'signedLate'> {
    return {
      starts: this.#starts.slice(0, this.count),
      ends: this.#ends.slice(0, this.count),
      bytes: this.#bytes.slice(0, this.count),
      kinds: this.#kinds.slice(0, this.count),
      errors: Object.fromEntries(this.#errors),
      errorExamples: this.#errorExamples,
      wrong: this.#wrong,
      wrongCount: this.#wrongCount,
    };
  }

  #grow(): void {
    const grown = (array: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> => {
      const larger = new Float64Array(array.length * 2);
      larger.set(array);
      return larger;
    };
    this.#starts = grown(this.#starts);
    this.#ends = grown(this.#ends);
    this.#bytes = grown(this.#bytes);
    const kinds = new Uint8Array(this.#kinds.length * 2);
    kinds.set(this.#kinds);
    this.#kinds = kinds;
  }
}
