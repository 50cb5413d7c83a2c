import { mkdirSync } from 'node:fs';
import { CELLS } from './cells.ts';
import { flatCost } from './flat-cost.ts';
import { HoldfastServer } from './holdfast-server.ts';
import { largeBucket } from './large-bucket.ts';
import { LoadGenerator } from './load-generator.ts';
import { describeRun } from './machine.ts';
import { makeBucket } from './make-bucket.ts';
import { MinioServer } from './minio-server.ts';
import { type BenchOptions, type EndpointOptions, STAGES, USAGE, UsageProblem, parseOptions } from './options.ts';
import { processListeningOn } from './process-usage.ts';
import { type Findings, isFailed, renderReport, writeReport } from './report.ts';
import { CellRunner, type RunSettings } from './run-cell.ts';
import { type ServerUnderTest, parseEndpoint } from './server-under-test.ts';
import { soak } from './soak.ts';
import { type StageTools, diskSpace, idleMemory, slowClients } from './stages.ts';

const SLOW_CLIENTS_SECONDS = 15;
/** The last two beside the same cells on a small store tell what a large one costs. */
const LARGE_CELLS = ['list', 'list-end', 'list-delimiter', 'list-delimiter-end', 'put-4k', 'get-4k'];

async function main(): Promise<number> {
  const argv = process.argv.slice(2);
  const options = parseOptions(argv, process.env);
  if (options === 'help') return say(USAGE);
  if (options === 'list') return say(renderNames());
  const { compareMinio, directory, outputFolder } = options;
  if (outputFolder !== undefined) mkdirSync(outputFolder, { recursive: true });
  if (options.soakMinutes > 0) return await runSoak(options);
  const otherBinaries = compareMinio === undefined ? [] : [compareMinio];
  const run = describeRun({ argv, directory, otherBinaries });
  const findings = await measure(options);
  say(`\n${renderReport(run, findings)}`);
  if (outputFolder !== undefined) writeReport(outputFolder, run, findings);
  return isFailed(findings) ? 1 : 0;
}

function renderNames(): string {
  const cells = CELLS.map(({ name, title, connectionCount }) => [name, `${title}, ${connectionCount} connections`]);
  return [...cells, ...Object.entries(STAGES)].map(([name = '', what]) => `${name.padEnd(20)} ${what}`).join('\n');
}

async function measure(options: BenchOptions): Promise<Findings> {
  const seed = (Math.random() * 2 ** 32) >>> 0;
  const load = new LoadGenerator({ seed, workerCount: options.workerCount });
  const findings: Findings = { cells: [], largeCells: [], figures: [], problems: [] };
  const settings = settingsOf(options, seed);
  try {
    if (options.cells.length > 0) findings.cells = await runCells(options, { load, settings });
    await runStages(options, { load, settings, findings });
    return findings;
  } finally {
    await load.close();
  }
}

async function runSoak(options: BenchOptions): Promise<number> {
  const { directory, outputFolder, soakMinutes, soakConnectionCount } = options;
  const load = new LoadGenerator({ seed: (Math.random() * 2 ** 32) >>> 0, workerCount: options.workerCount });
  try {
    const { text, problems, isFlat } = await soak({
      directory,
      load,
      minutes: soakMinutes,
      connectionCount: soakConnectionCount,
      outputFolder,
      say: progress,
    });
    say([text, ...problems].join('\n'));
    return isFlat && !problems.some((problem) => problem.includes('WRONG')) ? 0 : 1;
  } finally {
    await load.close();
  }
}

function settingsOf(options: BenchOptions, seed: number): RunSettings {
  const { seconds, warmUpSeconds, treeKeyCount, isProfiled, outputFolder } = options;
  const profileFolder = isProfiled ? (outputFolder ?? 'bench-out') : undefined;
  if (profileFolder !== undefined) mkdirSync(profileFolder, { recursive: true });
  const bucket = `bench-${seed.toString(36)}`;
  return { bucket, treeBucket: `${bucket}-tree`, treeKeyCount, seconds, warmUpSeconds, profileFolder, seed };
}

async function runCells(
  options: BenchOptions,
  { load, settings }: { load: LoadGenerator; settings: RunSettings },
): Promise<Findings['cells']> {
  const servers: ServerUnderTest[] = [];
  const results: Findings['cells'] = [];
  try {
    await openServers(options, servers);
    const runners = new Map<ServerUnderTest, CellRunner>();
    for (const server of servers) {
      await makeBucket(server, settings.bucket);
      await makeBucket(server, settings.treeBucket);
      runners.set(server, new CellRunner({ server, load, settings }));
    }
    for (const cell of options.cells) {
      for (const [server, runner] of runners) {
        if (cell.isDegraded && server.own === undefined) continue;
        progress(`${cell.name} ${server.name}`);
        results.push(await runner.run(cell));
      }
    }
    return results;
  } finally {
    for (const server of servers) await server.stop();
  }
}

async function openServers(options: BenchOptions, servers: ServerUnderTest[]): Promise<void> {
  if (!options.isEndpointOnly) servers.push(await HoldfastServer.create(options.directory));
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

async function runStages(
  options: BenchOptions,
  { load, settings, findings }: { load: LoadGenerator; settings: RunSettings; findings: Findings },
): Promise<void> {
  const tools: StageTools = { load, directory: options.directory, say: progress };
  for (const stage of options.stages) {
    progress(STAGES[stage]);
    if (stage === 'large') {
      const cells = CELLS.filter(({ name }) => LARGE_CELLS.includes(name));
      const large = await largeBucket(tools, { keyCount: options.largeKeyCount, cells, settings });
      findings.figures.push(...large.figures);
      findings.problems.push(...large.problems);
      findings.largeCells.push(...large.cells);
      continue;
    }
    const slow = { clientCount: options.slowClientCount, seconds: SLOW_CLIENTS_SECONDS };
    const flat = async () => flatCost(tools, { ...settings, treeKeyCount: options.largeKeyCount });
    const run = { idle: idleMemory, space: diskSpace, 'slow-clients': async () => slowClients(tools, slow), flat }[
      stage
    ];
    const { figures, problems } = await run(tools);
    findings.figures.push(...figures);
    findings.problems.push(...problems);
  }
}

function progress(text: string): void {
  process.stderr.write(`${text} …\n`);
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
