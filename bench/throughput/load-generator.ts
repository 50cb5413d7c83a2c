import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { startWorker } from '../../src/observability/start-worker.ts';
import type { Failure, FromWorker, Job, JobResult, ToWorker, Work } from './job.ts';
import type { StoredObjects } from './key-space.ts';
import type { MeasuredWindow } from './measured-window.ts';
import { type Samples, joinSamples } from './statistics.ts';

/** Operation ids of one worker never reach those of the next. */
const IDS_PER_WORKER = 2 ** 28;

export type JobTemplate = Omit<Job, 'seed' | 'work'> & { work: LoadWork };

type NewObjects = 'put' | 'multipart' | 'mixed';

/** Work as cells describe it; operation ids are given out here. */
export type LoadWork = WithoutIds<Extract<Work, { kind: NewObjects }>> | Exclude<Work, { kind: NewObjects }>;
type WithoutIds<Each> = Each extends unknown ? Omit<Each, 'firstOperationId'> : never;

export interface LoadResult {
  samples: Samples;
  kinds: Uint8Array;
  errors: Record<string, number>;
  errorExamples: string[];
  wrong: Failure[];
  wrongCount: number;
  acknowledged: Float64Array;
  liveBytes: number;
  signedLate: number;
}

/** Worker threads with connections, all started and stopped together. */
export class LoadGenerator {
  readonly #seed: number;
  readonly #workers: Worker[];
  #nextIdBlock: number;

  /** Operation ids begin at block `firstIdBlock`: two generators with one seed take different ones. */
  constructor(options: { seed: number; workerCount: number; firstIdBlock?: number }) {
    this.#seed = options.seed;
    this.#nextIdBlock = options.firstIdBlock ?? 1;
    this.#workers = Array.from({ length: options.workerCount }, () => startWorker(import.meta.url, './load-worker'));
  }

  /** Runs one job over all workers; the window is open during the measured part only. @throws when a worker fails. */
  async run(template: JobTemplate, window?: MeasuredWindow): Promise<LoadResult> {
    const workers = this.#workers.slice(0, template.connectionCount);
    const jobs = workers.map((_, index) => this.#share(template, index, workers.length));
    const ready = workers.map(async (worker) => nextMessage(worker));
    workers.forEach((worker, index) =>
      worker.postMessage({ type: 'job', job: jobs[index] as Job } satisfies ToWorker, []),
    );
    await Promise.all(ready);
    const results = workers.map(async (worker) => nextMessage(worker));
    await window?.open();
    for (const worker of workers) worker.postMessage({ type: 'go' } satisfies ToWorker, []);
    const messages = await Promise.all(results);
    await window?.close();
    return joinResults(messages.map((message) => (message as Extract<FromWorker, { type: 'result' }>).result));
  }

  /** Ends the run under way: its result covers what was done. */
  stop(): void {
    for (const worker of this.#workers) worker.postMessage({ type: 'stop' } satisfies ToWorker, []);
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#workers.map(async (worker) => {
        const gone = once(worker, 'exit');
        worker.postMessage({ type: 'end' } satisfies ToWorker, []);
        await gone;
      }),
    );
  }

  /** What worker `index` of `count` does of it. */
  #share(template: JobTemplate, index: number, count: number): Job {
    const { work, connectionCount, limit } = template;
    return {
      ...template,
      seed: this.#seed,
      connectionCount: shareOf(connectionCount, index, count),
      limit: { ...limit, operations: shareOf(limit.operations, index, count) },
      work: this.#shareWork(work, index, count),
    };
  }

  #shareWork(work: LoadWork, index: number, count: number): Work {
    if (work.kind === 'list') return work;
    if ('objects' in work) {
      const { space, operationIds } = work.objects;
      const objects: StoredObjects = { space, operationIds: operationIds.filter((_, at) => at % count === index) };
      return { ...work, objects };
    }
    if ('space' in work && work.space.kind === 'tree') {
      let firstOperationId = 0;
      for (let before = 0; before < index; before += 1) firstOperationId += shareOf(work.space.count, before, count);
      return { ...work, firstOperationId };
    }
    const firstOperationId = this.#nextIdBlock * IDS_PER_WORKER;
    this.#nextIdBlock += 1;
    // Connections are numbered within a worker: its number keeps their keys apart.
    if (work.kind === 'mixed') return { ...work, prefix: `${work.prefix}${index}-`, firstOperationId };
    return { ...work, firstOperationId };
  }
}

function shareOf(total: number, index: number, count: number): number {
  if (total === Infinity) return Infinity;
  return Math.floor(total / count) + (index < total % count ? 1 : 0);
}

async function nextMessage(worker: Worker): Promise<FromWorker> {
  const message = await new Promise<FromWorker>((resolve, reject) => {
    const settle = (): void => {
      worker.off('message', onMessage);
      worker.off('error', onError);
    };
    const onMessage = (value: FromWorker): void => {
      settle();
      resolve(value);
    };
    const onError = (error: Error): void => {
      settle();
      reject(error);
    };
    worker.on('message', onMessage);
    worker.on('error', onError);
  });
  if (message.type === 'failed') throw new Error(`a load worker failed: ${message.message}`);
  return message;
}

function joinResults(results: readonly JobResult[]): LoadResult {
  const errors: Record<string, number> = {};
  for (const result of results) {
    for (const [label, count] of Object.entries(result.errors)) errors[label] = (errors[label] ?? 0) + count;
  }
  const acknowledged = results.flatMap((result) => [...result.acknowledged]);
  return {
    samples: joinSamples(results),
    kinds: Uint8Array.from(results.flatMap((result) => [...result.kinds])),
    errors,
    errorExamples: results.flatMap((result) => result.errorExamples),
    wrong: results.flatMap((result) => result.wrong),
    wrongCount: results.reduce((sum, result) => sum + result.wrongCount, 0),
    acknowledged: Float64Array.from(acknowledged),
    liveBytes: results.reduce((sum, result) => sum + result.liveBytes, 0),
    signedLate: results.reduce((sum, result) => sum + result.signedLate, 0),
  };
}
