import type { ConditionContext } from '../access/policy/condition-context.ts';
import type { Principal } from '../access/principal.ts';
import type { HttpExchange } from '../http/http-exchange.ts';
import type { Log } from '../observability/log.ts';
import type { RequestBody } from '../streams/request-body.ts';
import type { OperationRow, S3Request } from './operation.ts';
import type { AccessTarget, RequestAccess } from './request-access.ts';
import type { AuthenticatedRequest } from './sigv4/authenticated-request.ts';
import type { QueryPair } from './sigv4/raw-request.ts';

export interface PipelineRequestParts {
  readonly exchange: HttpExchange;
  readonly operation: OperationRow;
  readonly authenticated: AuthenticatedRequest;
  readonly body: RequestBody;
  readonly nowMs: number;
  readonly access: RequestAccess;
  readonly log: Log;
}

/** What a handler sees. Costly members are made when first asked for. */
export class PipelineRequest implements S3Request {
  readonly requestId: string;
  readonly operation: OperationRow;
  readonly method: string;
  readonly resource: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: ReadonlyMap<string, string>;
  readonly queryPairs: readonly QueryPair[];
  readonly headers: ReadonlyMap<string, string>;
  readonly principal: Principal;
  readonly isSigned: boolean;
  readonly isSecure: boolean;
  readonly host: string;
  readonly body: RequestBody;
  readonly nowMs: number;
  readonly #access: RequestAccess;
  readonly #parentLog: Log;
  readonly #exchange: HttpExchange;
  #log: Log | undefined;

  constructor(parts: PipelineRequestParts) {
    const { authenticated } = parts;
    const { raw } = authenticated;
    this.requestId = parts.exchange.requestId;
    this.operation = parts.operation;
    this.method = raw.method;
    this.resource = raw.rawPath;
    this.bucket = raw.bucket;
    this.key = raw.key;
    this.query = authenticated.query;
    this.queryPairs = raw.queryPairs;
    this.headers = authenticated.headers;
    this.principal = authenticated.principal;
    this.isSigned = authenticated.isSigned;
    this.isSecure = raw.isSecure;
    this.host = raw.host;
    this.body = parts.body;
    this.nowMs = parts.nowMs;
    this.#access = parts.access;
    this.#parentLog = parts.log;
    this.#exchange = parts.exchange;
  }

  get log(): Log {
    return (this.#log ??= this.#parentLog.child({ requestId: this.requestId }));
  }

  get signal(): AbortSignal {
    return this.#exchange.signal;
  }

  authorize(action: string, target: AccessTarget, extra?: ConditionContext): Promise<void> {
    return this.#access.authorize(action, target, extra);
  }

  authorizeWithBody(extra: ConditionContext): Promise<void> {
    const { bucket, key, operation } = this;
    const versionId = this.query.get('versionId');
    const action = versionId === undefined ? operation.action : (operation.versionAction ?? operation.action);
    return this.#access.authorize(action, { bucket, key, versionId }, extra);
  }

  authorizeKey(action: string, keyArn: string): Promise<void> {
    return this.#access.authorize(action, { bucket: undefined, keyArn });
  }

  mayDo(action: string): Promise<boolean> {
    return this.#access.isAllowed(action, {
      bucket: this.bucket,
      key: this.key,
      versionId: this.query.get('versionId'),
    });
  }
}
