import { CELLS, type Cell } from './cells.ts';
import type { Figure } from './figure.ts';
import { HoldfastServer } from './holdfast-server.ts';
import { HttpConnection } from './http-connection.ts';
import { makeBucket } from './make-bucket.ts';
import { failureOf } from './operations.ts';
import { PayloadPool } from './payload.ts';
import { CellRunner, type RunSettings } from './run-cell.ts';
import { signedHead } from './sign-request.ts';
import { type StageResult, type StageTools, figure } from './stages.ts';

const MEASURED = ['put-4k', 'get-4k'];
const OVERWRITTEN_BYTES = 4096;
/** Requests under way at once while a condition is made. */
const CONNECTIONS = 16;

interface Condition {
  name: string;
  make: (server: HoldfastServer, tools: StageTools) => Promise<void>;
}

function conditionsOf(settings: RunSettings): Condition[] {
  return [
    { name: 'empty', make: async () => undefined },
    { name: 'objects', make: async (server, { load }) => fillTree(server, load, settings) },
    { name: 'buckets', make: async (server) => makeBuckets(server) },
    { name: 'overwrites', make: async (server) => overwrite(server, settings.seed) },
  ];
}

const BUCKETS = 10_000;
const OVERWRITES = 10_000;

/**
 * The same PUT and GET figures on an empty store and with many objects, with 10,000 buckets, and after 10,000 overwrites
 * of one key, each on top of the ones before: what they cost must not depend on what else is there.
 */
export async function flatCost(tools: StageTools, settings: RunSettings): Promise<StageResult> {
  const server = await HoldfastServer.create(tools.directory);
  const figures: Figure[] = [];
  const problems: string[] = [];
  try {
    await makeBucket(server, settings.bucket);
    await makeBucket(server, settings.treeBucket);
    for (const { name, make } of conditionsOf(settings)) {
      tools.say(`flat: ${name}`);
      await make(server, tools);
      // A new runner reads what it wrote itself, not what an earlier condition left in the caches.
      const runner = new CellRunner({ server, load: tools.load, settings });
      for (const cell of CELLS.filter((each): each is Cell => MEASURED.includes(each.name))) {
        const { summary, errors, wrongExamples, serverCpuSeconds } = await runner.run({
          ...cell,
          name: `${cell.name}-${name}`,
        });
        const id = `flat.${name}.${cell.name}`;
        const cpu = (serverCpuSeconds * 1e6) / summary.operationCount;
        const how = `p99 ${summary.p99Ms.toFixed(1)} ms, ${cpu.toFixed(0)} µs of the server's processor time each`;
        figures.push(figure(id, summary.operationsPerSecond, '/s', how));
        for (const [label, count] of Object.entries(errors)) problems.push(`${id}: ${count} × ${label}`);
        for (const example of wrongExamples) problems.push(`${id}: WRONG ${example}`);
      }
    }
    return { figures, problems };
  } finally {
    await server.stop();
  }
}

async function fillTree(server: HoldfastServer, load: StageTools['load'], settings: RunSettings): Promise<void> {
  const filled = await new CellRunner({ server, load, settings }).fillTree();
  const stored = filled?.acknowledged.length ?? 0;
  if (stored !== settings.treeKeyCount) throw new Error(`${stored} of ${settings.treeKeyCount} objects were stored`);
}

async function makeBuckets(server: HoldfastServer): Promise<void> {
  await inParallel(BUCKETS, server, (index) => ({
    head: signedHead(server.signer, { method: 'PUT', path: `/flat-${index}`, contentLengthBytes: 0 }),
  }));
}

async function overwrite(server: HoldfastServer, seed: number): Promise<void> {
  const bucket = 'flat-overwritten';
  await makeBucket(server, bucket);
  const pool = new PayloadPool(seed);
  await inParallel(OVERWRITES, server, (index) => ({
    head: signedHead(server.signer, {
      method: 'PUT',
      path: `/${bucket}/key`,
      payloadHash: pool.sha256(index, OVERWRITTEN_BYTES),
      contentLengthBytes: OVERWRITTEN_BYTES,
    }),
    body: pool.pieces(index, OVERWRITTEN_BYTES),
  }));
}

/** Sends `count` requests over a few connections. @throws when one is not answered 200. */
async function inParallel(
  count: number,
  server: HoldfastServer,
  requestOf: (index: number) => { head: string; body?: Buffer[] },
): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const connection = new HttpConnection(server.address, 16 * 1024);
      while (next < count) {
        const index = next;
        next += 1;
        const answer = await connection.send(requestOf(index));
        if (answer.status !== 200) throw new Error(failureOf(answer, `request ${index}`).detail);
      }
      connection.close();
    }),
  );
}
