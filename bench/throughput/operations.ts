import type { Answer, HttpConnection } from './http-connection.ts';
import { type Failure, OPERATION_KINDS, type OperationKind, type PayloadMode } from './job.ts';
import { type PayloadChecker, type PayloadPool, mix } from './payload.ts';
import { type Signer, UNSIGNED_PAYLOAD, signedHead } from './sign-request.ts';

/** What one connection brings to its operations. */
export interface Lane {
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

/** Keys follow from prefix and operation id, spread over 256 prefixes as an application's are. */
export function keyOf(prefix: string, operationId: number): string {
  return `${prefix}${(mix(operationId, 7) & 255).toString(16).padStart(2, '0')}/${operationId.toString(36)}`;
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

export interface PutOptions {
  prefix: string;
  operationId: number;
  sizeBytes: number;
  payload: PayloadMode;
}

export function putOperation(scope: Scope, { prefix, operationId, sizeBytes, payload }: PutOptions): Operation {
  const key = keyOf(prefix, operationId);
  const head = signedHead(scope.signer, {
    method: 'PUT',
    path: `/${scope.bucket}/${key}`,
    payloadHash: payload === 'signed' ? scope.pool.sha256(operationId, sizeBytes) : UNSIGNED_PAYLOAD,
    contentLengthBytes: sizeBytes,
  });
  return {
    kind: kindNumber('PUT'),
    operationId,
    sizeBytes,
    run: async ({ connection }) => {
      const answer = await connection.send({ head, body: scope.pool.pieces(operationId, sizeBytes) });
      return answer.status === 200 ? undefined : failureOf(answer, `PUT ${key}`);
    },
  };
}

interface ObjectOptions {
  prefix: string;
  operationId: number;
  sizeBytes: number;
}

/** GET of an object that was acknowledged: every byte is compared, and a 404 is a lost write. */
export function getOperation(scope: Scope, { prefix, operationId, sizeBytes }: ObjectOptions): Operation {
  const key = keyOf(prefix, operationId);
  const head = signedHead(scope.signer, { method: 'GET', path: `/${scope.bucket}/${key}` });
  return {
    kind: kindNumber('GET'),
    operationId,
    sizeBytes,
    run: async ({ connection, checker }) => {
      checker.begin(operationId, sizeBytes);
      const answer = await connection.send({ head, sink: checker });
      if (answer.status === 404) return wrong('lost write', `GET ${key}: 404 for an acknowledged object`);
      if (answer.status !== 200) return failureOf(answer, `GET ${key}`);
      const problem = checker.finish();
      return problem === undefined ? undefined : wrong('wrong bytes', `GET ${key}: ${problem}`);
    },
  };
}

export function headOperation(scope: Scope, { prefix, operationId, sizeBytes }: ObjectOptions): Operation {
  const key = keyOf(prefix, operationId);
  const head = signedHead(scope.signer, { method: 'HEAD', path: `/${scope.bucket}/${key}` });
  return {
    kind: kindNumber('HEAD'),
    operationId,
    sizeBytes: 0,
    run: async ({ connection }) => {
      const answer = await connection.send({ head, isHead: true });
      if (answer.status === 404) return wrong('lost write', `HEAD ${key}: 404 for an acknowledged object`);
      if (answer.status !== 200) return failureOf(answer, `HEAD ${key}`);
      const length = /\r\ncontent-length: *(\d+)/i.exec(answer.head)?.[1];
      if (Number(length) === sizeBytes) return undefined;
      return wrong('wrong size', `HEAD ${key}: Content-Length ${length} instead of ${sizeBytes}`);
    },
  };
}

export function deleteOperation(scope: Scope, { prefix, operationId }: ObjectOptions): Operation {
  const key = keyOf(prefix, operationId);
  const head = signedHead(scope.signer, { method: 'DELETE', path: `/${scope.bucket}/${key}` });
  return {
    kind: kindNumber('DELETE'),
    operationId,
    sizeBytes: 0,
    run: async ({ connection }) => {
      const answer = await connection.send({ head });
      return answer.status === 204 ? undefined : failureOf(answer, `DELETE ${key}`);
    },
  };
}
