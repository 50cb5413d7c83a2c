import { parentPort } from 'node:worker_threads';
import { assert } from '../errors/assert.ts';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import type { HashReply, HashRequest } from './hash-messages.ts';
import { createIncrementalDigest, type IncrementalDigest } from './incremental-digest.ts';
import { prepareChecksums } from './wasm-hashers.ts';

/** Thread of `HashWorker`: hashes views of shared memory, lane by lane. */
assert(parentPort !== null, 'hash-worker runs as a worker thread');
const port = parentPort;
const lanes = new Map<number, Map<ChecksumAlgorithm, IncrementalDigest>>();

function laneOf(lane: number, algorithms: readonly ChecksumAlgorithm[]): Map<ChecksumAlgorithm, IncrementalDigest> {
  let digests = lanes.get(lane);
  if (digests === undefined) {
    digests = new Map(algorithms.map((algorithm) => [algorithm, createIncrementalDigest(algorithm)]));
    lanes.set(lane, digests);
  }
  return digests;
}

await prepareChecksums();

port.on('message', (request: HashRequest) => {
  if (request.kind === 'close') {
    lanes.delete(request.lane);
    return;
  }
  const digests = laneOf(request.lane, request.algorithms);
  let reply: HashReply;
  if (request.kind === 'update') {
    const view = Buffer.from(request.memory, request.offset, request.lengthBytes);
    for (const digest of digests.values()) digest.update(view);
    reply = { ticket: request.ticket };
  } else {
    lanes.delete(request.lane);
    reply = {
      ticket: request.ticket,
      digests: [...digests].map(([algorithm, digest]) => [algorithm, Uint8Array.from(digest.digest())] as const),
    };
  }
  port.postMessage(reply);
});
