import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { assert } from '../errors/assert.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { CipherReply, CipherRequest } from './cipher-messages.ts';
import { openPackages, sealPackages } from './package-format.ts';

/** Thread of `CipherPool`. */
assert(parentPort !== null, 'cipher-worker runs as a worker thread');
const port = parentPort;

function work(request: CipherRequest): CipherReply {
  const { ticket, memory } = request;
  const source = Buffer.from(memory, request.sourceOffset, request.sourceLengthBytes);
  const target = Buffer.from(memory, request.targetOffset, request.targetLengthBytes);
  const streamKey = Buffer.from(request.streamKey.buffer, request.streamKey.byteOffset, request.streamKey.byteLength);
  try {
    const run = request.kind === 'seal' ? sealPackages : openPackages;
    return { ticket, lengthBytes: run(streamKey, request, source, target), failure: undefined };
  } catch (error) {
    // Anything else is our bug: the thread ends, and its jobs fail.
    if (!isStoreError(error)) throw error;
    return { ticket, lengthBytes: undefined, failure: error.message };
  } finally {
    streamKey.fill(0);
  }
}

port.on('message', (first: CipherRequest) => {
  for (let next: { message: unknown } | undefined = { message: first }; next; next = receiveMessageOnPort(port)) {
    port.postMessage(work(next.message as CipherRequest));
  }
});
