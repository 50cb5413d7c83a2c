import type { Job, Work } from './job.ts';
import {
  type Operation,
  type Scope,
  deleteOperation,
  getOperation,
  headOperation,
  putOperation,
} from './operations.ts';
import type { PayloadPool } from './payload.ts';

/** Hands out the operations of a job, signed ahead as far as it was told to prepare. */
export interface OperationSource {
  readonly largestBodyBytes: number;
  /** Operation ids of PUTs that were acknowledged. */
  readonly acknowledged: readonly number[];
  /** Operations that were signed when they were due. */
  readonly signedLate: number;
  /** Signs so many that the next `count` need no signature. */
  prepare(count: number): void;
  /** Undefined when there is no more work. */
  next(): Operation | undefined;
  succeeded(operation: Operation): void;
}

export function openSource(job: Job, pool: PayloadPool): OperationSource {
  const scope: Scope = { signer: job.signer, bucket: job.bucket, pool };
  const { work } = job;
  return work.kind === 'put' ? new PutSource(scope, work) : new StoredSource(scope, work);
}

class PutSource implements OperationSource {
  readonly #scope: Scope;
  readonly #work: Extract<Work, { kind: 'put' }>;
  readonly #ready: Operation[] = [];
  #nextReady = 0;
  #nextId: number;
  readonly largestBodyBytes = 0;
  readonly acknowledged: number[] = [];
  signedLate = 0;

  constructor(scope: Scope, work: Extract<Work, { kind: 'put' }>) {
    this.#scope = scope;
    this.#work = work;
    this.#nextId = work.firstOperationId;
  }

  prepare(count: number): void {
    this.#ready.splice(0, this.#nextReady);
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

  #sign(): Operation {
    const operationId = this.#nextId;
    this.#nextId += 1;
    const { prefix, sizeBytes, payload } = this.#work;
    return putOperation(this.#scope, { prefix, operationId, sizeBytes, payload });
  }
}

/** Operations on objects that exist. A signature of a read is good for minutes: each is made once and used again. */
class StoredSource implements OperationSource {
  readonly #scope: Scope;
  readonly #work: Extract<Work, { kind: 'get' | 'head' | 'delete' }>;
  readonly #signed: Operation[] = [];
  #next = 0;
  readonly largestBodyBytes: number;
  readonly acknowledged: readonly number[] = [];
  signedLate = 0;

  constructor(scope: Scope, work: Extract<Work, { kind: 'get' | 'head' | 'delete' }>) {
    this.#scope = scope;
    this.#work = work;
    this.largestBodyBytes = work.kind === 'get' ? work.objects.sizeBytes : 0;
  }

  prepare(count: number): void {
    const { operationIds } = this.#work.objects;
    const wanted = Math.min(operationIds.length, this.#work.isOnce ? this.#next + count : count);
    while (this.#signed.length < wanted) this.#signed.push(this.#sign(this.#signed.length));
  }

  next(): Operation | undefined {
    const { operationIds } = this.#work.objects;
    if (this.#next >= operationIds.length && this.#work.isOnce) return undefined;
    const index = this.#next % operationIds.length;
    this.#next += 1;
    const signed = this.#signed[index];
    if (signed !== undefined) return signed;
    this.signedLate += 1;
    const operation = this.#sign(index);
    if (index === this.#signed.length) this.#signed.push(operation);
    return operation;
  }

  succeeded(): void {
    // What is read stays; what is deleted is never asked for again.
  }

  #sign(index: number): Operation {
    const { kind, objects } = this.#work;
    const { prefix, sizeBytes } = objects;
    const options = { prefix, sizeBytes, operationId: objects.operationIds[index] ?? 0 };
    if (kind === 'get') return getOperation(this.#scope, options);
    return kind === 'head' ? headOperation(this.#scope, options) : deleteOperation(this.#scope, options);
  }
}
