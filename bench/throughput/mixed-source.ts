import type { Work } from './job.ts';
import {
  type Lane,
  type ObjectRequest,
  type Operation,
  type Scope,
  kindNumber,
  sendDelete,
  sendGet,
  sendHead,
  sendPut,
} from './operations.ts';
import type { OperationSource } from './operation-source.ts';
import { mix } from './payload.ts';
import { UNSIGNED_PAYLOAD, signedHead } from './sign-request.ts';

const KIBIBYTE = 1024;
/** Cumulative shares out of 100 and the sizes that objects of mixed work have. */
const SIZES: readonly [upTo: number, sizeBytes: number][] = [
  [60, 4 * KIBIBYTE],
  [85, 64 * KIBIBYTE],
  [95, 512 * KIBIBYTE],
  [100, 4 * 1024 * KIBIBYTE],
];
/** Requests are signed again after this: a signature is good for 15 minutes. */
const SIGNATURE_LASTS_MS = 5 * 60_000;

interface Slot {
  key: string;
  /** What was acknowledged last: an operation id, or that there is nothing. */
  state: number | 'absent';
  heads: Map<string, { head: string; signedAt: number }>;
}

/**
 * PUT, overwrite, GET, HEAD and DELETE in turn on keys that each belong to one connection, so that what a read must return
 * is always known: the last acknowledged write of that key, whose bytes tell which it was.
 */
export class MixedSource implements OperationSource {
  readonly #scope: Scope;
  readonly #work: Extract<Work, { kind: 'mixed' }>;
  readonly #lanes = new Map<number, Slot[]>();
  readonly #slots = new Map<Operation, Slot>();
  #nextId: number;
  #draws = 0;
  readonly largestBodyBytes: number;
  readonly acknowledged: readonly number[] = [];
  signedLate = 0;

  constructor(scope: Scope, work: Extract<Work, { kind: 'mixed' }>) {
    this.#scope = scope;
    this.#work = work;
    this.#nextId = work.firstOperationId;
    this.largestBodyBytes = work.largestSizeBytes;
  }

  prepare(): void {
    // Heads are kept as they are signed.
  }

  get liveBytes(): number {
    let total = 0;
    for (const slots of this.#lanes.values()) {
      for (const { state } of slots) if (typeof state === 'number') total += this.#sizeOf(state);
    }
    return total;
  }

  next(lane: Lane): Operation {
    const slots = this.#slotsOf(lane);
    const slot = slots[this.#draw(slots.length)] as Slot;
    const choice = this.#draw(100);
    const { state } = slot;
    if (typeof state !== 'number' || choice < 30) return this.#put(slot);
    if (choice < 40) return this.#stored(slot, { kind: 'DELETE', send: sendDelete, operationId: state });
    if (choice < 50) return this.#stored(slot, { kind: 'HEAD', send: sendHead, operationId: state });
    return this.#stored(slot, { kind: 'GET', send: sendGet, operationId: state });
  }

  succeeded(operation: Operation): void {
    const slot = this.#slots.get(operation);
    this.#slots.delete(operation);
    if (slot === undefined) return;
    if (operation.kind === kindNumber('PUT')) slot.state = operation.operationId;
    else if (operation.kind === kindNumber('DELETE')) slot.state = 'absent';
  }

  failed(operation: Operation): void {
    const slot = this.#slots.get(operation);
    this.#slots.delete(operation);
    const isWrite = operation.kind === kindNumber('PUT') || operation.kind === kindNumber('DELETE');
    if (slot === undefined || !isWrite) return;
    // Nobody knows what became of it, now or later: the key is given up for another.
    slot.key = `${slot.key}+`;
    slot.state = 'absent';
    slot.heads.clear();
  }

  #put(slot: Slot): Operation {
    const operationId = this.#nextId;
    this.#nextId += 1;
    const sizeBytes = this.#sizeOf(operationId);
    const request = { key: slot.key, head: this.#head(slot, 'PUT', sizeBytes), operationId, sizeBytes };
    const operation: Operation = {
      kind: kindNumber('PUT'),
      operationId,
      sizeBytes,
      run: async (lane) => sendPut(lane, request, this.#scope.pool),
    };
    this.#slots.set(operation, slot);
    return operation;
  }

  #stored(
    slot: Slot,
    options: {
      kind: 'GET' | 'HEAD' | 'DELETE';
      operationId: number;
      send: (lane: Lane, request: ObjectRequest) => ReturnType<Operation['run']>;
    },
  ): Operation {
    const { kind, send, operationId } = options;
    const sizeBytes = this.#sizeOf(operationId);
    const request = { key: slot.key, head: this.#head(slot, kind), operationId, sizeBytes };
    const operation: Operation = {
      kind: kindNumber(kind),
      operationId,
      sizeBytes: kind === 'GET' ? sizeBytes : 0,
      run: async (lane) => send(lane, request),
    };
    this.#slots.set(operation, slot);
    return operation;
  }

  #head(slot: Slot, method: string, contentLengthBytes?: number): string {
    const name = `${method} ${contentLengthBytes ?? ''}`;
    const known = slot.heads.get(name);
    const now = performance.now();
    if (known !== undefined && now - known.signedAt < SIGNATURE_LASTS_MS) return known.head;
    this.signedLate += 1;
    const head = signedHead(this.#scope.signer, {
      method,
      path: `/${this.#scope.bucket}/${slot.key}`,
      ...(contentLengthBytes === undefined ? {} : { contentLengthBytes, payloadHash: UNSIGNED_PAYLOAD }),
    });
    slot.heads.set(name, { head, signedAt: now });
    return head;
  }

  #slotsOf({ index }: Lane): Slot[] {
    let slots = this.#lanes.get(index);
    if (slots === undefined) {
      const { prefix, keysPerConnection, firstOperationId, hasFixedNames } = this.#work;
      const run = hasFixedNames ? '' : `${firstOperationId.toString(36)}-`;
      slots = Array.from({ length: keysPerConnection }, (_, slot) => ({
        key: `${prefix}${run}${index}/${slot}`,
        state: 'absent' as const,
        heads: new Map(),
      }));
      this.#lanes.set(index, slots);
    }
    return slots;
  }

  #sizeOf(operationId: number): number {
    const draw = mix(operationId, 11) % 100;
    const size = SIZES.find(([upTo]) => draw < upTo)?.[1] ?? 0;
    return Math.min(size, this.#work.largestSizeBytes);
  }

  #draw(below: number): number {
    this.#draws += 1;
    return mix(this.#work.firstOperationId + this.#draws, 5) % below;
  }
}
