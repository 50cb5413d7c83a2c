import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CreateBucketCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { FaultThrower } from './faults.ts';
import { type ChaosOptions, parseOptions, USAGE } from './options.ts';
import { Random } from './random.ts';
import { Recorder } from './recorder.ts';
import { renderHtml } from './render-html.ts';
import { renderText, summarise } from './summary.ts';
import { ServerUnderTest } from './server-under-test.ts';
import { Workload } from './workload.ts';

const BUCKET = 'chaos';
const VERSIONED_BUCKET = 'chaos-versions';
/** At most so long after one fault the next is thrown. */
const FAULT_EVERY_MS = 8000;
const LARGEST_BODY_BYTES = 16 * 1024 * 1024;

/** Runs to its end and writes the report. @returns the exit code: 1 on any violation */
async function run(options: ChaosOptions): Promise<number> {
  const random = new Random(options.seed);
  const recorder = new Recorder();
  recorder.note(
    `seed ${options.seed}, ${options.k}+${options.m} on ${options.diskCount} disks, ${options.minutes} min`,
  );
  const server = await ServerUnderTest.create({ diskCount: options.diskCount, code: `${options.k}+${options.m}` });
  try {
    let client = server.client();
    for (const Bucket of [BUCKET, VERSIONED_BUCKET]) await client.send(new CreateBucketCommand({ Bucket }));
    const VersioningConfiguration = { Status: 'Enabled' } as const;
    await client.send(new PutBucketVersioningCommand({ Bucket: VERSIONED_BUCKET, VersioningConfiguration }));
    const workload = new Workload({
      client: () => client,
      bucket: BUCKET,
      versionedBucket: VERSIONED_BUCKET,
      seed: options.seed,
      random: random.fork(),
      recorder,
      keyCount: options.keyCount,
      workerCount: options.workerCount,
      largestBodyBytes: LARGEST_BODY_BYTES,
    });
    const thrower = new FaultThrower({
      server,
      random: random.fork(),
      recorder,
      mostHurtDisks: options.m,
      kinds: options.faults,
      onRestart: () => {
        client.destroy();
        client = server.client();
        workload.settleBefore(performance.now());
      },
    });
    await throwFaults(options, { server, workload, thrower, recorder, random: random.fork() });
    if (options.isBeyondM) await goBeyond(options, { server, workload, thrower, recorder });
    await thrower.noteHealing();
    client.destroy();
  } finally {
    const summary = summarise(options, recorder);
    mkdirSync(options.outDirectory, { recursive: true });
    writeFileSync(join(options.outDirectory, 'report.json'), `${JSON.stringify(summary, null, 2)}\n`);
    writeFileSync(join(options.outDirectory, 'report.txt'), renderText(summary));
    writeFileSync(join(options.outDirectory, 'report.html'), renderHtml(summary, recorder));
    if (recorder.violations.length > 0) writeFileSync(join(options.outDirectory, 'server.log'), server.output);
    process.stdout.write(renderText(summary));
    await server.destroy();
  }
  return recorder.violations.length === 0 ? 0 : 1;
}

interface Parts {
  server: ServerUnderTest;
  workload: Workload;
  thrower: FaultThrower;
  recorder: Recorder;
}

async function throwFaults(options: ChaosOptions, parts: Parts & { random: Random }): Promise<void> {
  const { workload, thrower, recorder, random } = parts;
  const endMs = options.minutes * 60_000;
  workload.resume();
  await delay(3000);
  while (recorder.nowMs() < endMs && recorder.violations.length === 0) {
    const roundEndsMs = Math.min(endMs, recorder.nowMs() + options.cleanEverySeconds * 1000);
    while (recorder.nowMs() < roundEndsMs) {
      await thrower.throwOne();
      await delay(1000 + random.below(FAULT_EVERY_MS));
    }
    await demandClean(options, parts);
    workload.resume();
  }
  await workload.pause();
}

/** Stops the work, brings everything back, and requires a clean census and every byte within the bound. */
async function demandClean(options: ChaosOptions, { server, workload, thrower, recorder }: Parts): Promise<void> {
  const event = recorder.beginFault('stop-for-census', 'workload', true);
  await thrower.mendAll();
  await workload.pause();
  const beganMs = recorder.nowMs();
  const before = await server.healing();
  const { status, output } = await server.command('census', '--wait', '--timeout', String(options.cleanWithinSeconds));
  recorder.cleanWaitsMs.push(recorder.nowMs() - beganMs);
  const after = await server.healing();
  const { healed } = recorder;
  const writtenBytes = after.writtenBytes - before.writtenBytes;
  healed.bestBytesPerSecond = Math.max(healed.bestBytesPerSecond, (1000 * writtenBytes) / (recorder.nowMs() - beganMs));
  if (status === 0) thrower.declareClean();
  else recorder.violation(`the census is not clean within ${options.cleanWithinSeconds} s:\n${output}`);
  await workload.verifyAll();
  recorder.note(
    `clean after ${((recorder.nowMs() - beganMs) / 1000).toFixed(1)} s; ${recorder.acknowledgedWrites} writes so far`,
  );
  recorder.endFault(event);
}

/** m + 1 disks away: no wrong answer, no success that is not true; everything is back when one returns. */
async function goBeyond(options: ChaosOptions, parts: Parts): Promise<void> {
  const { workload, thrower } = parts;
  const bringBack = await thrower.pullMoreThanAllowed();
  workload.resume();
  await delay(15_000);
  await workload.pause();
  await bringBack();
  await demandClean(options, parts);
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(USAGE);
  else process.exitCode = await run(options);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n${USAGE}`);
  process.exitCode = 2;
}
// Work that a failure has left behind would keep the process.
process.exit();
