import type { Answer, HttpConnection } from './http-connection.ts';
import { type Failure, OPERATION_KINDS, type OperationKind, type PayloadMode } from './job.ts';
import { type KeySpace, keyOf, sizeOf } from './key-space.ts';
import type { PayloadChecker, PayloadPool } from './payload.ts';
import { type Signer, UNSIGNED_PAYLOAD, signedHead } from './sign-request.ts';

/** What one connection brings to its operations. */
export interface Lane {
  /** Among the lanes of its thread. */
  index: number;
  connection: HttpConnection;
  checker: PayloadChecker;
}

export interface Operation {
  kind: number;
  operationId: number;
  /** Body bytes it moves. */
  sizeBytes: number;
  /** Resolves with what was wrong. @throws when the connection ended. */
  run(lane: Lane): Promise<Failure | undefined>;
}

export interface Scope {
  signer: Signer;
  bucket: string;
  pool: PayloadPool;
}

export function kindNumber(kind: OperationKind): number {
  return OPERATION_KINDS.indexOf(kind);
}

/** An answer that is not the expected status. */
export function failureOf(answer: Answer, what: string): Failure {
  const code = /<Code>([^<]+)<\/Code>/.exec(answer.text)?.[1] ?? '';
  return {
    label: `${answer.status}${code === '' ? '' : ` ${code}`}`,
    isWrong: false,
    detail: `${what}: ${answer.status} ${answer.text.slice(0, 300)}`,
  };
}

export function wrong(label: string, detail: string): Failure {
  return { label, isWrong: true, detail };
}

/** What each request of one object needs. */
export interface ObjectRequest {
  key: string;
  head: string;
  operationId: number;
  sizeBytes: number;
}

export async function sendPut(
  { connection }: Lane,
  { key, head, operationId, sizeBytes }: ObjectRequest,
  pool: PayloadPool,
): Promise<Failure | undefined> {
  const answer = await connection.send({ head, body: pool.pieces(operationId, sizeBytes) });
  return answer.status === 200 ? undefined : failureOf(answer, `PUT ${key}`);
}

/** GET of an object that was acknowledged: every byte is compared, and a 404 is a lost write. */
export async function sendGet(lane: Lane, request: ObjectRequest): Promise<Failure | undefined> {
  const { key, head, operationId, sizeBytes } = request;
  lane.checker.begin(operationId, sizeBytes);
  const answer = await lane.connection.send({ head, sink: lane.checker });
  if (answer.status === 404) return wrong('lost write', `GET ${key}: 404 for an acknowledged object`);
  if (answer.status !== 200) return failureOf(answer, `GET ${key}`);
  const problem = lane.checker.finish();
  return problem === undefined ? undefined : wrong('wrong bytes', `GET ${key}: ${problem}`);
}

export async function sendHead({ connection }: Lane, request: ObjectRequest): Promise<Failure | undefined> {
  const { key, head, sizeBytes } = request;
  const answer = await connection.send({ head, isHead: true });
  if (answer.status === 404) return wrong('lost write', `HEAD ${key}: 404 for an acknowledged object`);
  if (answer.status !== 200) return failureOf(answer, `HEAD ${key}`);
  const length = /\r\ncontent-length: *(\d+)/i.exec(answer.head)?.[1];
  if (Number(length) === sizeBytes) return undefined;
  return wrong('wrong size', `HEAD ${key}: Content-Length ${length} instead of ${sizeBytes}`);
}

export async function sendDelete({ connection }: Lane, request: ObjectRequest): Promise<Failure | undefined> {
  const answer = await connection.send({ head: request.head });
  return answer.status === 204 ? undefined : failureOf(answer, `DELETE ${request.key}`);
}

export function putOperation(
  scope: Scope,
  { space, operationId, payload }: { space: KeySpace; operationId: number; payload: PayloadMode },
): Operation {
  const key = keyOf(space, operationId);
  const sizeBytes = sizeOf(space, operationId);
  const head = signedHead(scope.signer, {
    method: 'PUT',
    path: `/${scope.bucket}/${key}`,
    payloadHash: payload === 'signed' ? scope.pool.sha256(operationId, sizeBytes) : UNSIGNED_PAYLOAD,
    contentLengthBytes: sizeBytes,
  });
  const request = { key, head, operationId, sizeBytes };
  return { kind: kindNumber('PUT'), operationId, sizeBytes, run: async (lane) => sendPut(lane, request, scope.pool) };
}

const STORED = {
  get: { kind: 'GET', send: sendGet },
  head: { kind: 'HEAD', send: sendHead },
  delete: { kind: 'DELETE', send: sendDelete },
} as const;

/** GET, HEAD or DELETE of an object that was acknowledged. */
export function storedOperation(
  scope: Scope,
  verb: keyof typeof STORED,
  { space, operationId }: { space: KeySpace; operationId: number },
): Operation {
  const { kind, send } = STORED[verb];
  const key = keyOf(space, operationId);
  const sizeBytes = sizeOf(space, operationId);
  const head = signedHead(scope.signer, { method: kind, path: `/${scope.bucket}/${key}` });
  const request = { key, head, operationId, sizeBytes };
  return {
    kind: kindNumber(kind),
    operationId,
    sizeBytes: verb === 'get' ? sizeBytes : 0,
    run: async (lane) => send(lane, request),
  };
}
