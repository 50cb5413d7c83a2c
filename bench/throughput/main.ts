import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CELLS } from './cells.ts';
import { HoldfastServer } from './holdfast-server.ts';
import { HttpConnection } from './http-connection.ts';
import { LoadGenerator } from './load-generator.ts';
import { MinioServer } from './minio-server.ts';
import { type BenchOptions, type EndpointOptions, USAGE, UsageProblem, parseOptions } from './options.ts';
import { processListeningOn } from './process-usage.ts';
import { renderProblems, renderRatios, renderTable } from './render-table.ts';
import { type CellResult, CellRunner } from './run-cell.ts';
import { type ServerUnderTest, parseEndpoint } from './server-under-test.ts';
import { signedHead } from './sign-request.ts';

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.env);
  if (options === 'help') return say(USAGE);
  if (options === 'list') return say(CELLS.map(({ name, title }) => `${name.padEnd(20)} ${title}`).join('\n'));
  const servers: ServerUnderTest[] = [];
  const seed = (Math.random() * 2 ** 32) >>> 0;
  const load = new LoadGenerator({ seed, workerCount: options.workerCount });
  endOnSignals(servers);
  try {
    await openServers(options, servers);
    const results = await runCells(options, { servers, load, seed });
    report(options, results);
    return results.some(isFailed) ? 1 : 0;
  } finally {
    await load.close();
    for (const server of servers) await server.stop();
  }
}

/** A bench that is stopped leaves neither servers nor their data behind. */
function endOnSignals(servers: readonly ServerUnderTest[]): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // Not once: a runner may pass a signal on that the whole group got already.
    process.on(signal, () => {
      void Promise.allSettled(servers.map(async (server) => server.stop())).finally(() => process.exit(1));
    });
  }
}

function isFailed({ wrongCount, summary }: CellResult): boolean {
  return wrongCount > 0 || summary.operationCount === 0;
}

async function openServers(options: BenchOptions, servers: ServerUnderTest[]): Promise<void> {
  if (options.endpoints.length === 0 || !process.argv.includes('--endpoint')) {
    servers.push(await HoldfastServer.create(options.directory));
  }
  for (const endpoint of options.endpoints) servers.push(remoteServer(endpoint));
  if (options.compareMinio !== undefined) {
    servers.push(await MinioServer.create({ binary: options.compareMinio, parentFolder: options.directory }));
  }
}

function remoteServer({ url, accessKeyId, secretAccessKey, region }: EndpointOptions): ServerUnderTest {
  const address = parseEndpoint(url);
  return {
    name: url.replace('http://', ''),
    address,
    signer: { host: new URL(url).host, region, credential: { accessKeyId, secretAccessKey } },
    processId: processListeningOn(address.port),
    own: undefined,
    stop: async () => undefined,
  };
}

async function runCells(
  options: BenchOptions,
  { servers, load, seed }: { servers: readonly ServerUnderTest[]; load: LoadGenerator; seed: number },
): Promise<CellResult[]> {
  const { cells, seconds, warmUpSeconds, treeKeyCount, isProfiled, outputFolder } = options;
  const profileFolder = isProfiled ? (outputFolder ?? 'bench-out') : undefined;
  if (profileFolder !== undefined) mkdirSync(profileFolder, { recursive: true });
  const bucket = `bench-${seed.toString(36)}`;
  const treeBucket = `${bucket}-tree`;
  const settings = { bucket, treeBucket, treeKeyCount, seconds, warmUpSeconds, profileFolder, seed };
  const runners = new Map<ServerUnderTest, CellRunner>();
  for (const server of servers) {
    await makeBucket(server, bucket);
    await makeBucket(server, treeBucket);
    runners.set(server, new CellRunner({ server, load, settings }));
  }
  const results: CellResult[] = [];
  for (const cell of cells) {
    for (const [server, runner] of runners) {
      if (cell.isDegraded && server.own === undefined) continue;
      process.stderr.write(`${cell.name} ${server.name} …\n`);
      results.push(await runner.run(cell));
    }
  }
  return results;
}

async function makeBucket(server: ServerUnderTest, bucket: string): Promise<void> {
  const connection = new HttpConnection(server.address, 16 * 1024);
  const head = signedHead(server.signer, { method: 'PUT', path: `/${bucket}`, contentLengthBytes: 0 });
  const answer = await connection.send({ head });
  connection.close();
  if (answer.status !== 200) throw new Error(`${server.name} made no bucket: ${answer.status} ${answer.text}`);
}

function report({ outputFolder }: BenchOptions, results: readonly CellResult[]): void {
  say(`\n${renderTable(results)}\n`);
  const [ratios, problems] = [renderRatios(results), renderProblems(results)];
  if (ratios !== '') say(`${ratios}\n`);
  if (problems !== '') say(`${problems}\n`);
  if (outputFolder === undefined) return;
  mkdirSync(outputFolder, { recursive: true });
  writeFileSync(join(outputFolder, 'results.json'), `${JSON.stringify(results, undefined, 1)}\n`);
}

function say(text: string): 0 {
  process.stdout.write(`${text}\n`);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`${error instanceof UsageProblem ? error.message : (error as Error).stack}\n`);
  process.exitCode = error instanceof UsageProblem ? 2 : 1;
}
