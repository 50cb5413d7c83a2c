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
let isStopped = false;

port.on('message', (message: ToWorker) => {
  if (message.type === 'go') start?.();
  else if (message.type === 'stop') isStopped = true;
  else if (message.type === 'end') port.close();
  else {
    runJob(message.job).catch((error: unknown) =>
      post({ type: 'failed', message: (error as Error).stack ?? String(error) }),
    );
  }
});

async function runJob(job: Job): Promise<void> {
  isStopped = false;
  const pool = new PayloadPool(job.seed);
  const source = openSource(job, pool);
  const recorder = new SampleRecorder();
  const lanes = await openLanes(job, pool, source.largestBodyBytes);
  const watchdog = setInterval(() => failStuck(lanes, job.timeoutMs), TIMEOUT_CHECK_MS);
  if (job.warmUpSeconds > 0) {
    const perSecond = await warmUp({ lanes, source, recorder, seconds: job.warmUpSeconds });
    const expected = perSecond * job.limit.seconds * SIGN_AHEAD_FACTOR;
    source.prepare(Math.ceil(Math.min(expected, job.limit.operations)) + lanes.length);
  }
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
    liveBytes: source.liveBytes,
    signedLate: source.signedLate - signedBefore,
  };
  port?.postMessage({ type: 'result', result } satisfies FromWorker, [
    result.starts.buffer as ArrayBuffer,
    result.ends.buffer as ArrayBuffer,
  ]);
}

/** The same work, not measured. Returns the operations in a second towards its end, when both sides have warmed up. */
async function warmUp(options: Pick<Drive, 'lanes' | 'source' | 'recorder'> & { seconds: number }): Promise<number> {
  const { recorder, seconds } = options;
  const half = async (): Promise<void> => {
    recorder.dropSamples();
    await drive({ ...options, endsAt: performance.now() + seconds * 500, operations: Infinity });
  };
  await half();
  await half();
  const perSecond = recorder.count / (seconds / 2);
  recorder.dropSamples();
  return perSecond;
}

async function openLanes(job: Job, pool: PayloadPool, largestBodyBytes: number): Promise<Lane[]> {
  const readBufferBytes = Math.min(
    LARGEST_READ_BUFFER_BYTES,
    Math.max(SMALLEST_READ_BUFFER_BYTES, 2 * largestBodyBytes),
  );
  const lanes = Array.from({ length: job.connectionCount }, (_, index) => ({
    index,
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
        if (left <= 0 || before >= endsAt || isStopped) return;
        left -= 1;
        const operation = source.next(lane);
        if (operation === undefined) return;
        const startedAt = performance.now();
        const failure = await attempt(operation, lane);
        const endedAt = performance.now();
        if (failure === undefined) {
          recorder.record(operation, startedAt, endedAt);
          source.succeeded(operation);
        } else {
          recorder.recordFailure(failure);
          source.failed(operation);
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
