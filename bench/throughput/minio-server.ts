import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ChildServer, statusOf } from './child-server.ts';
import { endWithBench } from './end-with-bench.ts';
import type { ServerUnderTest } from './server-under-test.ts';

const READY_WITHIN_MS = 60_000;
const CREDENTIAL = { accessKeyId: 'benchaccesskey', secretAccessKey: 'bench-secret-access-key' };

/** MinIO on six new directories of one file system with the same code, 4+2; it syncs data and metadata by default. */
export class MinioServer implements ServerUnderTest {
  readonly name = 'minio';
  readonly address: { host: string; port: number };
  /** Its directories are not taken away: the cell with a lost disk is held against the healthy one of the same server. */
  readonly own = undefined;
  readonly #server: ChildServer;
  readonly #folder: string;
  readonly #forget: () => void;

  private constructor(options: { server: ChildServer; port: number; folder: string }) {
    this.#server = options.server;
    this.#folder = options.folder;
    this.#forget = endWithBench(this);
    this.address = { host: '127.0.0.1', port: options.port };
  }

  static async create(options: { binary: string; parentFolder: string }): Promise<MinioServer> {
    const folder = mkdtempSync(join(options.parentFolder, 'minio-bench-'));
    const diskPaths = Array.from({ length: 6 }, (_, index) => join(folder, `d${index + 1}`));
    for (const path of diskPaths) mkdirSync(path);
    const port = await freePort();
    const server = new ChildServer({
      name: 'minio',
      program: options.binary,
      args: ['server', '--quiet', '--address', `127.0.0.1:${port}`, join(folder, 'd{1...6}')],
      environment: {
        PATH: process.env['PATH'],
        HOME: folder,
        // Six directories on one disk are accepted with it.
        MINIO_CI_CD: '1',
        MINIO_STORAGE_CLASS_STANDARD: 'EC:2',
        MINIO_ROOT_USER: CREDENTIAL.accessKeyId,
        MINIO_ROOT_PASSWORD: CREDENTIAL.secretAccessKey,
        MINIO_BROWSER: 'off',
        MINIO_UPDATE: 'off',
      },
      outputFile: join(folder, 'output.log'),
    });
    await server.waitFor(
      async () => ((await statusOf(`http://127.0.0.1:${port}/minio/health/cluster`)) === 200 ? true : undefined),
      READY_WITHIN_MS,
      100,
    );
    return new MinioServer({ server, port, folder });
  }

  get processId(): number {
    return this.#server.processId;
  }

  get signer(): ServerUnderTest['signer'] {
    return { host: `127.0.0.1:${this.address.port}`, region: 'us-east-1', credential: CREDENTIAL };
  }

  async stop(): Promise<void> {
    await this.#server.stop();
    this.#forget();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve, reject) => {
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', resolve);
  });
  const address = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
