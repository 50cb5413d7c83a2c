import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { startWorker } from '../../src/observability/start-worker.ts';
import type { Failure, FromWorker, Job, JobResult, StoredObjects, ToWorker, Work } from './job.ts';
import type { MeasuredWindow } from './measured-window.ts';
import { type Samples, joinSamples } from './statistics.ts';

/** Operation ids of one worker never reach those of the next. */
const IDS_PER_WORKER = 2 ** 28;

export type JobTemplate = Omit<Job, 'seed' | 'work'> & { work: LoadWork };

/** Work as cells describe it; operation ids are given out here. */
export type LoadWork = Omit<Extract<Work, { kind: 'put' }>, 'firstOperationId'> | Exclude<Work, { kind: 'put' }>;

export interface LoadResult {
  samples: Samples;
  kinds: Uint8Array;
  errors: Record<string, number>;
  errorExamples: string[];
  wrong: Failure[];
  wrongCount: number;
  acknowledged: Float64Array;
  signedLate: number;
}

/** Worker threads with connections, all started and stopped together. */
export class LoadGenerator {
  readonly #seed: number;
  readonly #workers: Worker[];
  #nextIdBlock = 1;

  constructor(options: { seed: number; workerCount: number }) {
    this.#seed = options.seed;
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
    const { work, connectionCount, limit, signAhead } = template;
    const connections = Math.floor(connectionCount / count) + (index < connectionCount % count ? 1 : 0);
    return {
      ...template,
      seed: this.#seed,
      connectionCount: connections,
      limit: { ...limit, operations: shareOf(limit.operations, index, count) },
      signAhead: Math.ceil(signAhead / count),
      work: this.#shareWork(work, index, count),
    };
  }

  #shareWork(work: LoadWork, index: number, count: number): Work {
    if (work.kind === 'put') {
      const firstOperationId = this.#nextIdBlock * IDS_PER_WORKER;
      this.#nextIdBlock += 1;
      return { ...work, firstOperationId };
    }
    const objects: StoredObjects = {
      ...work.objects,
      operationIds: work.objects.operationIds.filter((_, at) => at % count === index),
    };
    return { ...work, objects };
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
    signedLate: results.reduce((sum, result) => sum + result.signedLate, 0),
  };
}
