import { chmod, lstat, unlink } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { type AdminActions, buildAdminApp } from './admin-app.ts';
import { socketPath } from './socket-path.ts';
import type { Log } from '../observability/log.ts';

/** The kernel's limit of a socket's path. */
const LONGEST_SOCKET_PATH_BYTES = 107;

export interface AdminServerOptions {
  actions: AdminActions;
  /** TCP addresses; may be empty. The configuration has refused other addresses than loopback unless allowed. */
  listen: readonly { host: string; port: number }[];
  stateDirectory: string;
  log: Log;
}

/** The admin listeners: TCP for metrics, health and status, and the socket of the commands. */
export class AdminServer {
  readonly #options: AdminServerOptions;
  readonly #apps: FastifyInstance[] = [];

  constructor(options: AdminServerOptions) {
    this.#options = options;
  }

  /**
   * Opens everything. Call under the lock of the disks: a socket file of a killed server is removed.
   * @throws Error with `code`, `address` and `port` when an address cannot be opened; then nothing stays open
   */
  async start(): Promise<{ endpoints: string[] }> {
    const { actions, listen, log } = this.#options;
    const endpoints: string[] = [];
    try {
      for (const address of listen) {
        const app = buildAdminApp({ actions, isPrivileged: false, log });
        this.#apps.push(app);
        await app.listen({ ...address });
        endpoints.push(...app.addresses().map(endpointOf));
      }
      await this.#listenOnSocket();
    } catch (error) {
      await this.stop();
      throw error;
    }
    return { endpoints };
  }

  /** Closes listeners and idle connections; idempotent. Node removes the socket file. */
  async stop(): Promise<void> {
    await Promise.all(
      this.#apps.splice(0).map(async (app) => {
        app.server.closeAllConnections();
        await app.close();
      }),
    );
  }

  async #listenOnSocket(): Promise<void> {
    const { actions, log, stateDirectory } = this.#options;
    const file = socketPath(stateDirectory);
    if (Buffer.byteLength(file) > LONGEST_SOCKET_PATH_BYTES) {
      log.warn(
        { file },
        'the path of the socket is too long: commands cannot reach this server; use a shorter --state',
      );
      return;
    }
    await removeStaleSocket(file);
    const app = buildAdminApp({ actions, isPrivileged: true, log });
    this.#apps.push(app);
    // The state directory is 0700; between listen and chmod only its owner can reach the socket.
    await app.listen({ path: file });
    await chmod(file, 0o600);
  }
}

async function removeStaleSocket(file: string): Promise<void> {
  try {
    if ((await lstat(file)).isSocket()) await unlink(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** TCP listeners never report a path. */
function endpointOf(bound: string | AddressInfo): string {
  if (typeof bound === 'string') return bound;
  const { address, family, port } = bound;
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}
