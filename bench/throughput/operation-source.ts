import type { Job, Work } from './job.ts';
import { scattered } from './key-space.ts';
import { listOperation } from './list-operation.ts';
import { MixedSource } from './mixed-source.ts';
import { multipartOperation } from './multipart-operation.ts';
import { type Lane, type Operation, type Scope, putOperation, storedOperation } from './operations.ts';
import type { PayloadPool } from './payload.ts';

/** Hands out the operations of a job, signed ahead as far as it was told to prepare. */
export interface OperationSource {
  readonly largestBodyBytes: number;
  /** Operation ids of PUTs that were acknowledged and whose objects are still there. */
  readonly acknowledged: Iterable<number>;
  readonly liveBytes: number;
  /** Operations that were signed when they were due. */
  readonly signedLate: number;
  /** Signs so many that the next `count` need no signature. */
  prepare(count: number): void;
  /** Undefined when there is no more work. */
  next(lane: Lane): Operation | undefined;
  succeeded(operation: Operation): void;
  failed(operation: Operation): void;
}

export function openSource(job: Job, pool: PayloadPool): OperationSource {
  const scope: Scope = { signer: job.signer, bucket: job.bucket, pool };
  const { work } = job;
  switch (work.kind) {
    case 'put':
    case 'multipart':
      return new PutSource(scope, work);
    case 'list':
      return new RoundSource(work.pages.length, {
        // A page of 1,000 keys has about 300 KB.
        largestBodyBytes: work.pageSize * 300,
        isOnce: false,
        sign: (index) =>
          listOperation(scope, { ...work, page: work.pages[index] ?? { first: 0, hasDelimiter: false } }),
      });
    case 'mixed':
      return new MixedSource(scope, work);
    default:
      return storedSource(scope, work);
  }
}

function storedSource(scope: Scope, work: Extract<Work, { kind: 'get' | 'head' | 'delete' }>): OperationSource {
  const { space, operationIds } = work.objects;
  return new RoundSource(operationIds.length, {
    largestBodyBytes: work.kind === 'get' && space.kind === 'spread' ? space.sizeBytes : 0,
    isOnce: work.isOnce,
    sign: (index) => storedOperation(scope, work.kind, { space, operationId: operationIds[index] ?? 0 }),
  });
}

/** New objects without end, or the keys of a tree in scattered order until all are there. */
class PutSource implements OperationSource {
  readonly #scope: Scope;
  readonly #work: Extract<Work, { kind: 'put' | 'multipart' }>;
  #ready: Operation[] = [];
  #nextReady = 0;
  #nextId: number;
  readonly largestBodyBytes = 0;
  readonly acknowledged: number[] = [];
  readonly liveBytes = 0;
  signedLate = 0;

  constructor(scope: Scope, work: Extract<Work, { kind: 'put' | 'multipart' }>) {
    this.#scope = scope;
    this.#work = work;
    this.#nextId = work.firstOperationId;
  }

  prepare(count: number): void {
    this.#ready = this.#ready.slice(this.#nextReady);
    this.#nextReady = 0;
    while (this.#ready.length < count) this.#ready.push(this.#sign());
  }

  next(): Operation {
    const ready = this.#ready[this.#nextReady];
    if (ready !== undefined) {
      this.#nextReady += 1;
      return ready;
    }
    this.signedLate += 1;
    return this.#sign();
  }

  succeeded(operation: Operation): void {
    this.acknowledged.push(operation.operationId);
  }

  failed(): void {
    // Its key is never used again.
  }

  #sign(): Operation {
    const { space } = this.#work;
    const operationId = space.kind === 'tree' ? scattered(this.#nextId, space.count) : this.#nextId;
    this.#nextId += 1;
    if (this.#work.kind === 'multipart') return multipartOperation(this.#scope, { ...this.#work, operationId });
    return putOperation(this.#scope, { space, operationId, payload: this.#work.payload });
  }
}

interface RoundOptions {
  largestBodyBytes: number;
  /** One round only. */
  isOnce: boolean;
  sign(index: number): Operation;
}

/** Operations on what exists, round after round. A signature of a read is good for minutes: it is made once, used often. */
class RoundSource implements OperationSource {
  readonly #length: number;
  readonly #options: RoundOptions;
  readonly #signed: Operation[] = [];
  #next = 0;
  readonly largestBodyBytes: number;
  readonly acknowledged: readonly number[] = [];
  readonly liveBytes = 0;
  signedLate = 0;

  constructor(length: number, options: RoundOptions) {
    this.#length = length;
    this.#options = options;
    this.largestBodyBytes = options.largestBodyBytes;
  }

  prepare(count: number): void {
    const wanted = Math.min(this.#length, this.#next + count);
    while (this.#signed.length < wanted) this.#signed.push(this.#options.sign(this.#signed.length));
  }

  next(): Operation | undefined {
    if (this.#next >= this.#length && this.#options.isOnce) return undefined;
    const index = this.#next % this.#length;
    this.#next += 1;
    const signed = this.#signed[index];
    if (signed !== undefined) return signed;
    this.signedLate += 1;
    const operation = this.#options.sign(index);
    this.#signed[index] = operation;
    return operation;
  }

  succeeded(): void {
    // What is read stays; what is deleted is never asked for again.
  }

  failed(): void {
    // The next round asks again.
  }
}
