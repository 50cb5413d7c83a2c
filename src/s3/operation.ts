import type { ConditionContext } from '../access/policy/condition-context.ts';
import type { Principal } from '../access/principal.ts';
import type { Log } from '../observability/log.ts';
import type { RequestBody } from '../streams/request-body.ts';
import type { DataPiece } from '../data-store/data-store.ts';
import type { S3Services } from '../service/services.ts';
import type { AccessTarget } from './request-access.ts';
import type { QueryPair } from './sigv4/raw-request.ts';

/** Where a request points: `https://host/`, `/bucket` or `/bucket/key`. */
export type OperationTarget = 'service' | 'bucket' | 'object' | 'other';

/** One row of the operation table. See `operation-table.ts` for the rows and the rules. */
export interface OperationRow {
  /** AWS's name: `PutObject`. */
  readonly name: string;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE' | 'OPTIONS';
  readonly target: OperationTarget;
  /** Query parameters that choose it: `uploadId`, or `list-type=2` with a value. */
  readonly selectors: readonly string[];
  /** Headers that choose it among rows with equal selectors: `x-amz-copy-source`. */
  readonly selectingHeaders: readonly string[];
  /** The IAM action the authorizer is asked for, on the target. No row can omit it. */
  readonly action: string;
  /**
   * Present: the action is not asked for on the target. `each-key`: the handler asks for it on each key that the body
   * names. `with-body`: it asks for it when it has read the body, at which conditions look. `nothing`: a preflight, which carries no credentials and learns nothing of what is stored.
   */
  readonly authorizes?: 'each-key' | 'with-body' | 'nothing';
  /** Asked for instead of `action` when the request names a `versionId`. */
  readonly versionAction?: string;
  /**
   * `none`: a body is read and discarded up to a bound. `xml`: bounded, parsed by the handler. `stream`: object bytes.
   * `form`: a browser's, whose fields are the request: they are read before anything is asked of the authorizer.
   */
  readonly body: 'none' | 'xml' | 'stream' | 'form';
  /** Most bytes of an `xml` body. */
  readonly bodyLimitBytes?: number;
  /** Headers and query parameters of AWS's model that the handler acts on; the others it knows are answered 501. */
  readonly implementedInputs?: readonly string[];
  /** The operation of AWS's model whose inputs it has, of a row that is not in the model. */
  readonly inputsOf?: string;
  /** The row with the same request on the wire that is matched in its place: an older or a directory-bucket name. */
  readonly sameRequestAs?: string;
  readonly handler: OperationHandler | 'not-implemented';
}

export type OperationHandler = (request: S3Request, services: S3Services) => Promise<S3Response>;

/** A request that has been authenticated and authorized. */
export interface S3Request {
  readonly requestId: string;
  readonly operation: OperationRow;
  readonly method: string;
  /** Path of the request as the client sent it, for `Resource` in errors. */
  readonly resource: string;
  /** Decoded once from the raw target; empty where the target has none. */
  readonly bucket: string;
  readonly key: string;
  /** Decoded query parameters; the first value of a repeated name (security ones were rejected when repeated). Presigned: `x-amz-*` parameters that count as headers are already in `headers`. */
  readonly query: ReadonlyMap<string, string>;
  /** All of them, in the order sent. */
  readonly queryPairs: readonly QueryPair[];
  /** Lower-case names; repeated ordinary headers joined by `,`. */
  readonly headers: ReadonlyMap<string, string>;
  readonly principal: Principal;
  /** False for anonymous requests: `response-*` overrides need a signature. */
  readonly isSigned: boolean;
  readonly isSecure: boolean;
  /** The Host header, for absolute Location elements. */
  readonly host: string;
  readonly body: RequestBody;
  /** Aborted when the client is gone or the server stops. */
  readonly signal: AbortSignal;
  readonly nowMs: number;
  /** May the caller use this key of the key service? @throws S3Error AccessDenied */
  authorizeKey(action: string, keyArn: string): Promise<void>;
  /** Asks the authorizer for more than the row's action: each key of a DeleteObjects. @throws S3Error AccessDenied | NoSuchBucket */
  authorize(action: string, target: AccessTarget, extra?: ConditionContext): Promise<void>;
  /** The row's action on the request's target, of a row that leaves this to its handler. @throws S3Error AccessDenied | NoSuchBucket */
  authorizeWithBody(extra: ConditionContext): Promise<void>;
  /** Would the authorizer allow the action on the request's own target? For what an answer may show. */
  mayDo(action: string): Promise<boolean>;
  readonly log: Log;
}

export interface S3Response {
  status: number;
  /** Lower-case names. Content-Length is set by the pipeline for buffers and must be set here for streams. */
  headers?: Readonly<Record<string, string | number>>;
  body?: string | Buffer | AsyncIterable<DataPiece>;
}
