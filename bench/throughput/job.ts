import type { KeySpace, StoredObjects } from './key-space.ts';
import type { Signer } from './sign-request.ts';

/** Kinds of operations, by the number that a sample records. */
export const OPERATION_KINDS = ['PUT', 'GET', 'HEAD', 'DELETE', 'LIST', 'MULTIPART'] as const;
export type OperationKind = (typeof OPERATION_KINDS)[number];

export type PayloadMode = 'signed' | 'unsigned';

/** A page of a listing of a `tree` key space. */
export interface ListPage {
  /** Keys from `first` on, or with a delimiter common prefixes from user `first` on. */
  first: number;
  hasDelimiter: boolean;
}

export type Work =
  | { kind: 'put'; space: KeySpace; payload: PayloadMode; firstOperationId: number }
  | { kind: 'multipart'; space: KeySpace; payload: PayloadMode; partSizeBytes: number; firstOperationId: number }
  | { kind: 'get' | 'head' | 'delete'; objects: StoredObjects; isOnce: boolean }
  | { kind: 'list'; keyCount: number; pageSize: number; pages: ListPage[] }
  | MixedWork;

/** Keys that each belong to one connection, written, overwritten, read and deleted. */
interface MixedWork {
  kind: 'mixed';
  prefix: string;
  keysPerConnection: number;
  largestSizeBytes: number;
  /** The next run uses the same keys, and overwrites what this one left. */
  hasFixedNames: boolean;
  firstOperationId: number;
}

/** What one worker thread does with its connections. Plain data: it crosses to the thread. */
export interface Job {
  address: { host: string; port: number };
  signer: Signer;
  bucket: string;
  seed: number;
  connectionCount: number;
  work: Work;
  /** Ends the measured part; whichever is reached first. */
  limit: { seconds: number; operations: number };
  /** Same work before it, not measured; 0: none. */
  warmUpSeconds: number;
  /** A request without an answer for so long has failed. */
  timeoutMs: number;
}

/** A failed operation: `isWrong` is what no honest server does (wrong bytes, a lost write), else an error it admitted. */
export interface Failure {
  label: string;
  isWrong: boolean;
  detail: string;
}

/** What one thread measured. Times are milliseconds since its start signal. */
export interface JobResult {
  starts: Float64Array;
  ends: Float64Array;
  kinds: Uint8Array;
  bytes: Float64Array;
  /** How often each label occurred, warm-up included. */
  errors: Record<string, number>;
  /** At most a few of each worker. */
  wrong: Failure[];
  wrongCount: number;
  errorExamples: string[];
  /** Operation ids of acknowledged PUTs whose objects are still there, warm-up included. */
  acknowledged: Float64Array;
  /** Body bytes of the objects that are still there, where the work overwrites and deletes. */
  liveBytes: number;
  /** Requests that had to be signed during the measurement. */
  signedLate: number;
}

export type ToWorker = { type: 'job'; job: Job } | { type: 'go' } | { type: 'stop' } | { type: 'end' };
export type FromWorker =
  { type: 'ready' } | { type: 'result'; result: JobResult } | { type: 'failed'; message: string };
