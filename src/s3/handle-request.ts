import type { Authorizer } from '../access/principal.ts';
import { S3Error } from '../errors/s3-error.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { HttpExchange } from '../http/http-exchange.ts';
import { sendBody } from '../http/send-body.ts';
import { sendBuffer } from '../http/send-buffer.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';
import type { S3Services } from '../service/services.ts';
import { createRequestBody, type HttpRequestBody } from '../streams/http-request-body.ts';
import type { Payload } from '../streams/payload.ts';
import type { RequestBody } from '../streams/request-body.ts';
import { addCorsHeaders } from './add-cors-headers.ts';
import { authorizeRequest, hideAbsence } from './authorize-request.ts';
import type { CallerGate } from './caller-gate.ts';
import { isControlRequest, matchControlOperation } from './control/control-operations.ts';
import { checkExpectedOwners } from './expected-owners.ts';
import { refuseUnimplementedInputs } from './implemented-inputs.ts';
import { matchOperation } from './match-operation.ts';
import { noteDecision } from './note-decision.ts';
import type { OperationRow, S3Response } from './operation.ts';
import { PipelineRequest } from './pipeline-request.ts';
import { RequestAccess } from './request-access.ts';
import { openPostForm } from './post/post-form.ts';
import { renderError, type RenderedError } from './render-error.ts';
import type { AuthenticatedRequest } from './sigv4/authenticated-request.ts';
import { parseRawRequest, type RawRequest } from './sigv4/raw-request.ts';
import { anonymous, type RequestAuthenticator } from './sigv4/request-authenticator.ts';
import { toS3Error } from './store-error-to-s3.ts';

export interface S3RequestHandlerOptions {
  readonly authenticator: Pick<RequestAuthenticator, 'authenticate' | 'authenticatePostForm'>;
  readonly authorizer: Authorizer;
  /** What `aws:RequestedRegion` of a condition is. */
  readonly region: string;
  /** `undefined` until recovery is over: every request is answered 503 meanwhile. */
  readonly services: () => S3Services | undefined;
  /** Names whose subdomains are buckets, lower-case, without port. */
  readonly domains: readonly string[];
  readonly gate: CallerGate;
  /** Decisions are noted for an audit log. */
  readonly isAudited?: boolean;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly randomness: Randomness;
  readonly log: Log;
}

const NOT_READY_RETRY_SECONDS = '2';
const SERVER_NAME = 'Holdfast';
const NO_HEADERS = {};
const NO_PAYLOAD: Payload = { kind: 'unsigned' };

/**
 * The pipeline of every S3 request: parse the target once, match one row, authenticate, authorize, refuse what is not
 * implemented, check the expected owner, run the handler, answer. Every error leaves through one renderer. The line in
 * the log is the listener's; the pipeline fills in the exchange's access entry.
 */
export class S3RequestHandler {
  readonly #options: S3RequestHandlerOptions;
  /** `x-amz-id-2` and HostId: names this process, opaque. */
  readonly #hostId: string;
  readonly #commonHeaders: readonly string[];

  constructor(options: S3RequestHandlerOptions) {
    this.#options = options;
    this.#hostId = options.randomness.bytes(36).toString('base64');
    this.#commonHeaders = ['server', SERVER_NAME, 'x-amz-id-2', this.#hostId];
  }

  /** Answers one request. Nothing a client or a store does makes it reject. */
  async handle(exchange: HttpExchange): Promise<void> {
    const { gate } = this.#options;
    let response: S3Response;
    try {
      response = await this.#answer(exchange);
    } catch (error) {
      if (error instanceof S3Error) await gate.holdBack(exchange, error.code);
      response = this.#renderError(exchange, error);
    }
    const { access } = exchange;
    if (access.origin !== undefined) response = await this.#forOrigin(exchange, access.origin, response);
    try {
      await this.#send(exchange, response);
    } catch (error) {
      this.#failWhileSending(exchange, error);
    }
    gate.leave(exchange);
  }

  async #answer(exchange: HttpExchange): Promise<S3Response> {
    const { authenticator, clock, gate } = this.#options;
    const services = this.#options.services();
    if (services === undefined) {
      throw new S3Error('ServiceUnavailable', { headers: { 'retry-after': NOT_READY_RETRY_SECONDS } });
    }
    const { access } = exchange;
    gate.arrive(exchange);
    const raw = this.#parse(exchange);
    access.bucket = raw.bucket;
    access.key = raw.key;
    const origin = raw.headers.get('origin');
    if (origin !== undefined) access.origin = origin;
    if (isControlRequest(raw)) return await this.#answerControl(exchange, raw, clock.nowMs(), services);
    let operation = matchOperation(raw);
    access.operation = operation.name;
    const nowMs = clock.nowMs();
    if (operation.authorizes === 'nothing') {
      return await this.#perform(exchange, operation, anonymous(raw, NO_PAYLOAD), nowMs, services);
    }
    const authenticated = authenticator.authenticate(raw, nowMs);
    if (authenticated.headers !== raw.headers) {
      // Presigned parameters became headers: a copy source among them makes it another operation.
      operation = matchOperation({ ...raw, query: authenticated.query, headers: authenticated.headers });
      access.operation = operation.name;
    }
    if (operation.body === 'form') return await this.#answerForm(exchange, operation, authenticated, nowMs, services);
    return await this.#perform(exchange, operation, authenticated, nowMs, services);
  }

  /** S3 Control has paths of its own, and no buckets in them. */
  async #answerControl(
    exchange: HttpExchange,
    raw: RawRequest,
    nowMs: number,
    services: S3Services,
  ): Promise<S3Response> {
    const { access } = exchange;
    access.bucket = access.key = '';
    const operation = matchControlOperation(raw);
    access.operation = operation.name;
    const authenticated = this.#options.authenticator.authenticate({ ...raw, bucket: '', key: '' }, nowMs);
    return await this.#perform(exchange, operation, authenticated, nowMs, services);
  }

  /** The fields of a form are the request: they are read first, within narrow bounds. */
  async #answerForm(
    exchange: HttpExchange,
    operation: OperationRow,
    asSent: AuthenticatedRequest,
    nowMs: number,
    services: S3Services,
  ): Promise<S3Response> {
    const body = this.#openBody(exchange, operation, asSent);
    exchange.access.body = body;
    const form = await openPostForm({ raw: asSent.raw, body, nowMs }, this.#options.authenticator);
    exchange.access.key = form.authenticated.raw.key;
    try {
      return await this.#perform(exchange, operation, form.authenticated, nowMs, services, form.body);
    } finally {
      await form.abandon();
    }
  }

  async #perform(
    exchange: HttpExchange,
    operation: OperationRow,
    authenticated: AuthenticatedRequest,
    nowMs: number,
    services: S3Services,
    formBody?: RequestBody,
  ): Promise<S3Response> {
    const { authorizer, gate, log, region } = this.#options;
    const { access } = exchange;
    const turn = gate.enter(exchange, authenticated.principal);
    if (turn !== undefined) await turn;
    if (operation.handler === 'not-implemented') {
      throw new S3Error('NotImplemented', { message: `${operation.name} is not implemented` });
    }
    const facts = { authenticated, remoteAddress: exchange.remoteAddress, nowMs, region };
    const requestAccess = new RequestAccess(
      authorizer,
      facts,
      this.#options.isAudited ? noteDecision(access) : undefined,
    );
    await authorizeRequest(operation, authenticated, requestAccess);
    refuseUnimplementedInputs(operation, authenticated.headers, authenticated.query);
    const body = formBody ?? (access.body = this.#openBody(exchange, operation, authenticated));
    if (namesExpectedOwner(authenticated)) await checkExpectedOwners(operation, authenticated, services.buckets);
    try {
      return await operation.handler(
        new PipelineRequest({ exchange, operation, authenticated, body, nowMs, access: requestAccess, log }),
        services,
      );
    } catch (error) {
      throw await hideAbsence(error, authenticated, requestAccess);
    }
  }

  #forOrigin({ request, access }: HttpExchange, origin: string, response: S3Response): Promise<S3Response> {
    const question = { origin, method: request.method ?? '', bucket: access.bucket };
    return addCorsHeaders(response, question, this.#options.services());
  }

  #parse({ request, isSecure }: HttpExchange): RawRequest {
    return parseRawRequest(
      { method: request.method ?? '', rawTarget: request.url ?? '', rawHeaders: request.rawHeaders, isSecure },
      this.#options.domains,
    );
  }

  #openBody(
    { request, response, runtime }: HttpExchange,
    operation: OperationRow,
    { headers, payload }: AuthenticatedRequest,
  ): HttpRequestBody {
    return createRequestBody({
      readable: request,
      headers,
      payload,
      watchdog: runtime.watchdog,
      requiresLength: operation.body === 'stream' || operation.body === 'form',
      // There the header is the finished object's checksum, not that of the XML.
      checksumHeadersDescribeBody: operation.name !== 'CompleteMultipartUpload',
      sendContinue: () => response.writeContinue(),
    });
  }

  async #send(exchange: HttpExchange, { status, headers = NO_HEADERS, body }: S3Response): Promise<void> {
    const commonHeaders = this.#commonHeaders;
    if (body === undefined || typeof body === 'string' || Buffer.isBuffer(body)) {
      sendBuffer(exchange, { status, headers, commonHeaders, body });
      return;
    }
    await sendBody(exchange, { status, headers, commonHeaders, pieces: body });
  }

  #renderError(exchange: HttpExchange, error: unknown): RenderedError {
    const s3Error = toS3Error(error);
    this.#note(exchange, s3Error);
    const { request, requestId } = exchange;
    return renderError(s3Error, {
      method: request.method ?? '',
      resource: pathOf(request.url ?? ''),
      requestId,
      hostId: this.#hostId,
    });
  }

  /** Nothing sent yet: an S3 error still can be. Else only the connection can tell the client, and it is broken off. */
  #failWhileSending(exchange: HttpExchange, error: unknown): void {
    const { response } = exchange;
    if (response.headersSent || response.destroyed) {
      this.#note(exchange, toS3Error(error));
      response.destroy();
      return;
    }
    const { status, headers, body } = this.#renderError(exchange, error);
    sendBuffer(exchange, { status, headers, commonHeaders: this.#commonHeaders, body });
  }

  #note(exchange: HttpExchange, error: S3Error): void {
    const { access, requestId } = exchange;
    access.code = error.code;
    access.hint = error.hint ?? '';
    const fields = { requestId, operation: access.operation, code: error.code };
    if (isStoreError(error.cause)) {
      this.#options.log.warn(
        { ...fields, storeCode: error.cause.code, err: error.cause },
        'the store failed a request',
      );
    } else if (error.code === 'InternalError') {
      this.#options.log.error({ ...fields, err: error.cause ?? error }, 'a request met a bug');
    }
  }
}

function namesExpectedOwner({ headers }: AuthenticatedRequest): boolean {
  return headers.has('x-amz-expected-bucket-owner') || headers.has('x-amz-source-expected-bucket-owner');
}

/** The path as sent, for `Resource`; without the query, which may carry a signature. */
function pathOf(target: string): string {
  const end = target.indexOf('?');
  return end === -1 ? target : target.slice(0, end);
}
