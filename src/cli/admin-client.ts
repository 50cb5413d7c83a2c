import { request } from 'node:http';
import { CommandFailure } from './command.ts';
import { socketPath } from '../admin/socket-path.ts';

const TIMEOUT_MS = 30_000;

/**
 * Asks the running server over its socket.
 * @returns `undefined` when no server listens there. @throws CommandFailure on any answer but 200
 */
export async function askServer(
  stateDirectory: string,
  route: { method: 'GET' | 'POST'; path: string },
): Promise<unknown> {
  const answer = await send(socketPath(stateDirectory), route);
  if (answer === undefined) return undefined;
  const body = JSON.parse(answer.body) as unknown;
  if (answer.status !== 200) {
    const { message, hint } = body as { message?: string; hint?: string };
    throw new CommandFailure(message ?? `the server answered ${answer.status}`, { hint });
  }
  return body;
}

async function send(
  socket: string,
  route: { method: string; path: string },
): Promise<{ status: number; body: string } | undefined> {
  return await new Promise((resolve, reject) => {
    const outgoing = request({ socketPath: socket, ...route, timeout: TIMEOUT_MS }, (incoming) => {
      let body = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => (body += chunk));
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, body }));
      incoming.on('error', reject);
    });
    outgoing.on('timeout', () =>
      outgoing.destroy(new CommandFailure(`the server did not answer in ${TIMEOUT_MS / 1000} s`)),
    );
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // Nobody listens: no file, or one that a killed server left behind.
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED' || error.code === 'ENOTSOCK') resolve(undefined);
      else reject(error);
    });
    outgoing.end();
  });
}
