import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { crc32c } from '@node-rs/crc32';
import { assert } from '../errors/assert.ts';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import { SystemClock } from '../observability/system-clock.ts';
import type { HashReply, HashRequest } from './hash-messages.ts';
import { createIncrementalDigest, type IncrementalDigest } from './incremental-digest.ts';
import { STREAM_COUNT } from './md5-module.ts';
import { Md5Engine, Md5Stream } from './md5-streams.ts';
import { prepareChecksums } from './wasm-hashers.ts';

/** One body's algorithms on this thread. */
interface Lane {
  readonly md5: Md5Stream | undefined;
  readonly others: ReadonlyMap<ChecksumAlgorithm, IncrementalDigest>;
  /** Updates that MD5 has not wholly seen, and how many bytes it has seen when it has. */
  updates: { readonly ticket: number; readonly endBytes: number }[];
  /** Of all updates. */
  totalBytes: number;
}

/**
 * How long the bytes of one MD5 wait for those of others: four together take little more time than one. Bodies that
 * arrive together reach a piece each within this, also when one of them waits for a sync; nobody waits for an update
 * before the buffers run short, and a digest that is asked for waits for nobody.
 */
const COMPANY_MS = 15;

/** Thread of `HashWorker`: hashes views of shared memory, lane by lane. */
assert(parentPort !== null, 'hash-worker runs as a worker thread');
const port = parentPort;
const clock = new SystemClock();
const engine = new Md5Engine();
const lanes = new Map<number, Lane>();
let md5LaneCount = 0;
/** With bytes that MD5 has not seen. */
const hungry = new Set<Lane>();
let asked: { ticket: number; lane: Lane }[] = [];
let replies: HashReply[] = [];
let cancelWait: (() => void) | undefined;

function laneOf(id: number, algorithms: readonly ChecksumAlgorithm[]): Lane {
  let lane = lanes.get(id);
  if (lane === undefined) {
    const others = algorithms.filter((algorithm) => algorithm !== 'MD5');
    lane = {
      md5: algorithms.includes('MD5') ? new Md5Stream() : undefined,
      others: new Map(others.map((algorithm) => [algorithm, createIncrementalDigest(algorithm)])),
      updates: [],
      totalBytes: 0,
    };
    if (lane.md5 !== undefined) md5LaneCount++;
    lanes.set(id, lane);
  }
  return lane;
}

function forget(id: number): void {
  const lane = lanes.get(id);
  if (lane === undefined) return;
  lanes.delete(id);
  if (lane.md5 !== undefined) md5LaneCount--;
}

function take(request: HashRequest): void {
  if (request.kind === 'crc32c') {
    for (const { ticket, memory, offset, lengthBytes } of request.pieces) {
      replies.push({ ticket, crc32c: crc32c(Buffer.from(memory, offset, lengthBytes)) });
    }
    // Readers wait for them; what follows may take milliseconds.
    port.postMessage(replies);
    replies = [];
    return;
  }
  if (request.kind === 'close') {
    const lane = lanes.get(request.lane);
    forget(request.lane);
    // Given up: its buffers go back, and nobody wants the digest.
    if (lane !== undefined && hungry.delete(lane)) answerUpdates(lane, Infinity);
    return;
  }
  const lane = laneOf(request.lane, request.algorithms);
  if (request.kind === 'update') {
    const view = Buffer.from(request.memory, request.offset, request.lengthBytes);
    for (const digest of lane.others.values()) digest.update(view);
    lane.totalBytes += view.length;
    lane.updates.push({ ticket: request.ticket, endBytes: lane.totalBytes });
    if (lane.md5 === undefined) return answerUpdates(lane, Infinity);
    lane.md5.push(view);
    hungry.add(lane);
  } else {
    forget(request.lane);
    asked.push({ ticket: request.ticket, lane });
    if (lane.md5 === undefined) return;
    lane.md5.pad();
    hungry.add(lane);
  }
}

function answerUpdates({ updates }: Lane, seenBytes: number): void {
  for (let first = updates[0]; first !== undefined && first.endBytes <= seenBytes; first = updates[0]) {
    replies.push({ ticket: first.ticket });
    updates.shift();
  }
}

/** The lanes whose digest is asked for wholly, the others while `leastTogether` of them go on side by side. */
function hashHungry(leastTogether: number): void {
  cancelWait?.();
  cancelWait = undefined;
  const wholly = new Set(asked.flatMap(({ lane }) => lane.md5 ?? []));
  engine.run(
    [...hungry].map((lane) => lane.md5!),
    leastTogether,
    wholly,
  );
  for (const lane of hungry) {
    answerUpdates(lane, lane.md5!.takenBytes);
    if (lane.md5!.pendingBlocks === 0) hungry.delete(lane);
  }
}

function answer(): void {
  for (const { ticket, lane } of asked) {
    const digests = [...lane.others].map(
      ([algorithm, digest]) => [algorithm, Uint8Array.from(digest.digest())] as const,
    );
    if (lane.md5 !== undefined) digests.push(['MD5', Uint8Array.from(lane.md5.digest())]);
    replies.push({ ticket, digests });
  }
  asked = [];
  if (replies.length > 0) port.postMessage(replies);
  replies = [];
}

await prepareChecksums();

port.on('message', (first: HashRequest) => {
  for (let next: { message: unknown } | undefined = { message: first }; next; next = receiveMessageOnPort(port)) {
    take(next.message as HashRequest);
  }
  const company = Math.min(STREAM_COUNT, md5LaneCount);
  if (asked.length > 0 || hungry.size >= company) hashHungry(company);
  if (hungry.size > 0) {
    cancelWait ??= clock.schedule(COMPANY_MS, () => {
      cancelWait = undefined;
      hashHungry(1);
      answer();
    });
  }
  answer();
});
