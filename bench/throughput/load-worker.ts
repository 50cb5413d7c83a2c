import { parentPort } from 'node:worker_threads';
import { HttpConnection } from './http-connection.ts';
import type { Failure, FromWorker, Job, JobResult, ToWorker } from './job.ts';
import type { Lane, Operation } from './operations.ts';
import { PayloadChecker, PayloadPool } from './payload.ts';
import { SampleRecorder } from './sample-recorder.ts';
import { type OperationSource, openSource } from './operation-source.ts';

const SMALLEST_READ_BUFFER_BYTES = 16 * 1024;
const LARGEST_READ_BUFFER_BYTES = 256 * 1024;
/** A server that has just started becomes faster while it is measured. */
const SIGN_AHEAD_FACTOR = 2;
const TIMEOUT_CHECK_MS = 500;
/** After a connection broke: do not spin against a server that is gone. */
const PAUSE_AFTER_BREAK_MS = 20;

const port = parentPort;
if (port === null) throw new Error('load-worker runs in a worker thread');

const post = (message: FromWorker): void => port.postMessage(message);
let start: (() => void) | undefined;

port.on('message', (message: ToWorker) => {
  if (message.type === 'go') start?.();
  else if (message.type === 'end') port.close();
  else {
    runJob(message.job).catch((error: unknown) =>
      post({ type: 'failed', message: (error as Error).stack ?? String(error) }),
    );
  }
});

async function runJob(job: Job): Promise<void> {
  const pool = new PayloadPool(job.seed);
  const source = openSource(job, pool);
  const recorder = new SampleRecorder();
  const lanes = await openLanes(job, pool, source.largestBodyBytes);
  const watchdog = setInterval(() => failStuck(lanes, job.timeoutMs), TIMEOUT_CHECK_MS);
  if (job.warmUpSeconds > 0) {
    const began = performance.now();
    source.prepare(lanes.length * 2);
    await drive({ lanes, source, recorder, endsAt: began + job.warmUpSeconds * 1000, operations: Infinity });
    const rate = recorder.count / (performance.now() - began);
    recorder.dropSamples();
    const expected = rate * job.limit.seconds * 1000 * SIGN_AHEAD_FACTOR;
    source.prepare(Math.ceil(Math.min(expected, job.limit.operations)) + lanes.length);
  } else source.prepare(Math.min(job.signAhead, job.limit.operations));
  const signedBefore = source.signedLate;
  const go = new Promise<void>((resolve) => {
    start = resolve;
  });
  post({ type: 'ready' });
  await go;
  const origin = performance.now();
  recorder.origin = origin;
  await drive({
    lanes,
    source,
    recorder,
    endsAt: origin + job.limit.seconds * 1000,
    operations: job.limit.operations,
  });
  clearInterval(watchdog);
  for (const { connection } of lanes) connection.close();
  const result: JobResult = {
    ...recorder.finish(),
    acknowledged: Float64Array.from(source.acknowledged),
    signedLate: source.signedLate - signedBefore,
  };
  port?.postMessage({ type: 'result', result } satisfies FromWorker, [
    result.starts.buffer as ArrayBuffer,
    result.ends.buffer as ArrayBuffer,
  ]);
}

async function openLanes(job: Job, pool: PayloadPool, largestBodyBytes: number): Promise<Lane[]> {
  const readBufferBytes = Math.min(
    LARGEST_READ_BUFFER_BYTES,
    Math.max(SMALLEST_READ_BUFFER_BYTES, 2 * largestBodyBytes),
  );
  const lanes = Array.from({ length: job.connectionCount }, () => ({
    connection: new HttpConnection(job.address, readBufferBytes),
    checker: new PayloadChecker(pool),
  }));
  await Promise.all(lanes.map(async ({ connection }) => connection.open()));
  return lanes;
}

function failStuck(lanes: readonly Lane[], timeoutMs: number): void {
  const now = performance.now();
  for (const { connection } of lanes) {
    if (connection.sentAt > 0 && now - connection.sentAt > timeoutMs) connection.close('no answer in time');
  }
}

interface Drive {
  lanes: readonly Lane[];
  source: OperationSource;
  recorder: SampleRecorder;
  endsAt: number;
  operations: number;
}

/** Every lane does one operation after the other until time, operations or the source's work are used up. */
async function drive({ lanes, source, recorder, endsAt, operations }: Drive): Promise<void> {
  let left = operations;
  await Promise.all(
    lanes.map(async (lane) => {
      for (;;) {
        const before = performance.now();
        if (left <= 0 || before >= endsAt) return;
        left -= 1;
        const operation = source.next();
        if (operation === undefined) return;
        const startedAt = performance.now();
        const failure = await attempt(operation, lane);
        const endedAt = performance.now();
        if (failure === undefined) {
          recorder.record(operation, startedAt, endedAt);
          source.succeeded(operation);
        } else {
          recorder.recordFailure(failure);
          if (failure.label.startsWith('connection')) await pause();
        }
      }
    }),
  );
}

async function attempt(operation: Operation, lane: Lane): Promise<Failure | undefined> {
  try {
    return await operation.run(lane);
  } catch (error) {
    const { message } = error as Error;
    return { label: `connection: ${message}`, isWrong: false, detail: message };
  }
}

async function pause(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, PAUSE_AFTER_BREAK_MS));
}
