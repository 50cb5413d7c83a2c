import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { AuthorizationRequest } from '../access/principal.ts';
import { IamError } from '../errors/iam-error.ts';
import { S3Error } from '../errors/s3-error.ts';
import { isStoreError } from '../errors/store-error.ts';
import type { HttpExchange } from '../http/http-exchange.ts';
import { sendBuffer } from '../http/send-buffer.ts';
import type { Clock } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';
import type { CallerGate } from '../s3/caller-gate.ts';
import { noteDecision } from '../s3/note-decision.ts';
import { requestConditions } from '../s3/request-conditions.ts';
import { parseRawRequest, type RawRequest, virtualHostedBucket } from '../s3/sigv4/raw-request.ts';
import type { RequestAuthenticator } from '../s3/sigv4/request-authenticator.ts';
import { createRequestBody } from '../streams/http-request-body.ts';
import type { IamServices } from './iam-services.ts';
import { findOperation } from './operation-table.ts';
import { readParameters } from './parameter.ts';
import type { QueryOperationRow, QueryRequest, QueryService, QueryTarget } from './query-operation.ts';
import { parseQueryParameters } from './query-parameters.ts';
import { renderAnswer, renderIamError } from './render-answer.ts';
import { principalNames } from './principal-names.ts';
import { toIamError } from './to-iam-error.ts';

export interface QueryRequestHandlerOptions {
  readonly authenticator: Pick<RequestAuthenticator, 'authenticateForm'>;
  /** What `aws:RequestedRegion` of a condition is. */
  readonly region: string;
  /** `undefined` until recovery is over: every request is answered 503 meanwhile. */
  readonly services: () => IamServices | undefined;
  readonly gate: CallerGate;
  /** Decisions are noted for an audit log. */
  readonly isAudited?: boolean;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly log: Log;
}

/** Read before anything is known of the caller. Policies of 10 KiB, every byte percent-encoded, and a web identity token fit. */
export const QUERY_BODY_LIMIT_BYTES = 128 * 1024;

const CONTENT_TYPE = 'text/xml';
const FORM = /^application\/x-www-form-urlencoded\s*(;|$)/i;
const COMMON_HEADERS = ['server', 'Holdfast'];
/** Which namespace an error stands in until the request has said which API it means. */
const DEFAULT_SERVICE: QueryService = 'iam';

/**
 * Is the request one to IAM's or STS's query API? They share the endpoint with S3, which has no POST to the service, and
 * whose GET of it lists buckets and knows no Action. On a bucket's own host both are S3's.
 */
export function isQueryRequest({ method, url = '', headers }: IncomingMessage, domains: readonly string[]): boolean {
  if (url !== '/' && !url.startsWith('/?')) return false;
  if (method !== 'POST' && !(method === 'GET' && /[?&]Action=/.test(url))) return false;
  return virtualHostedBucket(headers.host ?? '', domains) === undefined;
}

/**
 * The pipeline of every request to IAM and STS, the same way as S3's: parse once, read the bounded body, match one row,
 * authenticate, parse what the row declares, authorize, run the handler, answer. Every error leaves through one renderer.
 */
export class QueryRequestHandler {
  readonly #options: QueryRequestHandlerOptions;

  constructor(options: QueryRequestHandlerOptions) {
    this.#options = options;
  }

  /** Answers one request. Nothing a client or a store does makes it reject. */
  async handle(exchange: HttpExchange): Promise<void> {
    const { gate } = this.#options;
    const { requestId } = exchange;
    let service = DEFAULT_SERVICE;
    try {
      const { row, result } = await this.#answer(exchange, (matched) => (service = matched));
      const body = renderAnswer(row, result, requestId);
      this.#send(exchange, { status: 200, headers: {}, body });
    } catch (thrown) {
      const error = toIamError(thrown);
      await gate.holdBack(exchange, error.code);
      this.#note(exchange, error);
      const { status, headers } = error;
      this.#send(exchange, { status, headers, body: renderIamError(error, service, requestId) });
    }
    gate.leave(exchange);
  }

  async #answer(exchange: HttpExchange, onService: (service: QueryService) => void) {
    const { authenticator, clock, gate, region } = this.#options;
    const services = this.#options.services();
    if (services === undefined)
      throw new IamError('ServiceUnavailable', undefined, { headers: { 'retry-after': '2' } });
    gate.arrive(exchange);
    const raw = parseTarget(exchange);
    const body = await readForm(exchange, raw);
    const parameters = parseQueryParameters(formPairs(raw), body);
    const row = findOperation(parameters.get('Action'), parameters.get('Version'));
    onService(row.service);
    exchange.access.operation = row.name;
    const nowMs = clock.nowMs();
    const bodySha256Hex = hash('sha256', body, 'hex');
    const authenticated = authenticator.authenticateForm(raw, { service: row.service, bodySha256Hex, nowMs });
    const { principal, isSigned } = authenticated;
    const turn = gate.enter(exchange, principal);
    if (turn !== undefined) await turn;
    if (!isSigned && row.isUnsigned !== true) throw new IamError('MissingAuthenticationToken');
    const facts = { authenticated, remoteAddress: exchange.remoteAddress, nowMs, region };
    const context = requestConditions(facts);
    const onDecision = this.#options.isAudited ? noteDecision(exchange.access) : undefined;
    const request: QueryRequest<never> = {
      parameters: readParameters(row.parameters, parameters, row.name) as never,
      principal,
      services,
      requestId: exchange.requestId,
      nowMs,
      context,
      signal: exchange.signal,
      log: this.#options.log,
      authorize: (action, target) => authorize(services, { principal, action, target, context, onDecision }),
    };
    await authorizeRow(row, request);
    return { row, result: await row.handler(request) };
  }

  #send(
    exchange: HttpExchange,
    answer: { status: number; headers: Readonly<Record<string, string>>; body: string },
  ): void {
    const headers = { 'content-type': CONTENT_TYPE, 'x-amzn-requestid': exchange.requestId, ...answer.headers };
    sendBuffer(exchange, { ...answer, headers, commonHeaders: COMMON_HEADERS });
  }

  #note({ access, requestId }: HttpExchange, error: IamError): void {
    access.code = error.code;
    access.hint = error.hint ?? '';
    const fields = { requestId, operation: access.operation, code: error.code };
    const { cause } = error;
    if (isStoreError(cause)) {
      this.#options.log.warn({ ...fields, storeCode: cause.code, err: cause }, 'the store failed a request');
    } else if (error.code === 'InternalFailure') {
      this.#options.log.error({ ...fields, err: cause ?? error }, 'a request met a bug');
    }
  }
}

function parseTarget({ request, isSecure }: HttpExchange): RawRequest {
  const { method = '', url = '', rawHeaders } = request;
  return parseRawRequest({ method, rawTarget: url, rawHeaders, isSecure }, []);
}

/** The parameters of the query, without those of a presigned signature. */
function formPairs({ queryPairs }: RawRequest): RawRequest['queryPairs'] {
  return queryPairs.filter(({ name }) => !name.toLowerCase().startsWith('x-amz-'));
}

/**
 * The whole body, whose digest is what is signed.
 * @throws IamError InvalidInput when it is no form
 * @throws S3Error EntityTooLarge before more than the bound is kept, and what the body itself throws
 */
async function readForm({ request, response, runtime, access }: HttpExchange, raw: RawRequest): Promise<Buffer> {
  const { headers } = raw;
  if (headers.has('content-encoding')) throw new IamError('InvalidInput', 'Content-Encoding is not supported.');
  const body = createRequestBody({
    readable: request,
    headers: new Map([...headers].filter(([name]) => FRAMING_HEADERS.has(name))),
    payload: { kind: 'unsigned' },
    watchdog: runtime.watchdog,
    limitBytes: QUERY_BODY_LIMIT_BYTES,
    sendContinue: () => response.writeContinue(),
  });
  access.body = body;
  const bytes = await body.readAll();
  if (bytes.length > 0 && !FORM.test(headers.get('content-type') ?? '')) {
    throw new IamError('InvalidInput', 'The body must be application/x-www-form-urlencoded.');
  }
  return bytes;
}

/** Checksums of S3 say nothing here: the signature is over the whole body. */
const FRAMING_HEADERS: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'expect']);

async function authorizeRow(row: QueryOperationRow, request: QueryRequest<never>): Promise<void> {
  if (row.target === 'nothing' || row.target === 'handler') return;
  await request.authorize(`${row.service}:${row.name}`, await row.target(request));
}

/** @throws IamError AccessDenied, in IAM's words */
async function authorize(
  { authorizer, identities }: IamServices,
  question: Pick<AuthorizationRequest, 'principal' | 'action' | 'context' | 'onDecision'> & { target: QueryTarget },
): Promise<void> {
  const { principal, action, target, context, onDecision } = question;
  const { resource, conditions } = target;
  try {
    await authorizer.authorize({
      principal,
      action,
      bucket: undefined,
      key: undefined,
      resource,
      context: (key) => conditions?.(key) ?? context(key),
      onDecision,
    });
  } catch (error) {
    if (!(error instanceof S3Error) || error.code !== 'AccessDenied') throw error;
    const { arn } = principalNames(principal, identities);
    const who = `User: ${arn} is not authorized to perform: ${action} on resource: ${resource.arn}`;
    throw new IamError('AccessDenied', who, {
      cause: error,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
}
