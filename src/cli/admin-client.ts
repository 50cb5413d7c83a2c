import { request } from 'node:http';
import type { ReadinessReport } from '../admin/status-report.ts';
import { CommandFailure } from './command.ts';
import { describeReadiness } from './progress.ts';
import { socketPath } from '../admin/socket-path.ts';

/** The server recovers, or stops: it answers, but its stores are not open. */
export class ServerNotReady extends CommandFailure {
  readonly readiness: ReadinessReport;

  constructor(readiness: ReadinessReport) {
    super(`the server does not serve requests now: ${describeReadiness(readiness)}`);
    this.readiness = readiness;
  }
}

/** For an answer other than 200. */
export function failureOf(status: number, body: unknown): CommandFailure {
  const { message, hint, readiness } = body as { message?: string; hint?: string; readiness?: ReadinessReport };
  if (status === 503 && readiness !== undefined) return new ServerNotReady(readiness);
  return new CommandFailure(message ?? `the server answered ${status}`, { hint });
}

const TIMEOUT_MS = 30_000;

/**
 * Asks the running server over its socket.
 * @returns `undefined` when no server listens there. @throws ServerNotReady; CommandFailure on any other answer but 200
 */
export async function askServer(
  stateDirectory: string,
  route: { method: 'GET' | 'POST'; path: string; body?: unknown; timeoutMs?: number },
): Promise<unknown> {
  const answer = await send(socketPath(stateDirectory), route);
  if (answer === undefined) return undefined;
  const body = JSON.parse(answer.body) as unknown;
  if (answer.status !== 200) throw failureOf(answer.status, body);
  return body;
}

async function send(
  socket: string,
  { method, path, body: content, timeoutMs = TIMEOUT_MS }: Parameters<typeof askServer>[1],
): Promise<{ status: number; body: string } | undefined> {
  return await new Promise((resolve, reject) => {
    const headers = content === undefined ? {} : { 'content-type': 'application/json' };
    const outgoing = request({ socketPath: socket, method, path, headers, timeout: timeoutMs }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => (body += chunk));
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body }));
      incoming.on('error', reject);
    });
    outgoing.on('timeout', () =>
      outgoing.destroy(new CommandFailure(`the server did not answer in ${timeoutMs / 1000} s`)),
    );
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // Nobody listens: no file, or one that a killed server left behind.
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ENOTSOCK') resolve(undefined);
      else reject(error);
    });
    outgoing.end(content === undefined ? undefined : JSON.stringify(content));
  });
}
