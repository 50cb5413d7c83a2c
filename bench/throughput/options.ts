import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { CELLS, type Cell } from './cells.ts';

/** What is measured beside the cells, on servers of the bench's own. */
export const STAGES = {
  idle: 'resident memory of a server that has just started',
  space: 'disk bytes for an object byte',
  'slow-clients': 'memory while many clients upload slowly',
  large: 'a bucket of many keys: fill, listings, starts',
  flat: 'PUT and GET with --fill objects, 10,000 buckets, 10,000 overwrites of a key',
} as const;
export type StageName = keyof typeof STAGES;

export interface BenchOptions {
  cells: Cell[];
  stages: StageName[];
  largeKeyCount: number;
  slowClientCount: number;
  /** Instead of cells and stages; 0: none. */
  soakMinutes: number;
  soakConnectionCount: number;
  seconds: number;
  warmUpSeconds: number;
  workerCount: number;
  /** Keys in the bucket that cells of listings walk. */
  treeKeyCount: number;
  /** Folder for stores of servers that the bench starts. */
  directory: string;
  /** Measured instead of a server of its own. */
  endpoints: EndpointOptions[];
  /** No server of its own. */
  isEndpointOnly: boolean;
  compareMinio: string | undefined;
  outputFolder: string | undefined;
  isProfiled: boolean;
}

export interface EndpointOptions {
  url: string;
  accessKeyId: string;
  secretAccessKey: string;
  region: string;
}

export const USAGE = `npm run bench -- [flags]

  --only NAME,…           cells and stages to run (--list names them); without it all but flat
  --seconds N             measured time of each cell (5)
  --warm-up N             the same work before it, not measured (2); three times as long before a server's first cell
  --connections N         instead of the cell's own
  --size BYTES            instead of the cell's own; 4k, 1m are understood
  --workers N             threads of the client (1)
  --keys N                keys of the bucket that list cells walk (10000)
  --dir DIR               where servers that the bench starts keep their data (the temporary folder)
  --endpoint URL          measure this server; keys from --access-key and --secret-key or AWS_…
  --access-key, --secret-key, --region
  --compare 'URL …'       measure these as well, in turns; keys may be part of it: http://KEY:SECRET@host:port
  --compare-minio BINARY  start MinIO beside it (six directories, EC:2) and measure both in turns
  --out DIR               results.json, tables.md and chart.svg
  --profile               a CPU profile of Holdfast's main thread for each cell, and its functions by self time,
                          in --out (or bench-out)
  --fill N                only the stage of a bucket of N keys (1000000): fill, listings, starts
  --slow-clients N        only the stage of N (256) slow uploads of 1 GiB
  --flat                  only PUT and GET on an empty store and with --fill N objects, 10,000 buckets, 10,000
                          overwrites of one key
  --soak MINUTES          only mixed work with overwrites and deletes for so long (--connections, 16):
                          soak.json, soak.svg and whether memory, latency and space stay flat
  --list                  names cells and stages
`;

export class UsageProblem extends Error {}

/** @throws UsageProblem */
export function parseOptions(argv: readonly string[], environment: NodeJS.ProcessEnv): BenchOptions | 'help' | 'list' {
  const values = parseFlags(argv);
  if (values.help === true) return 'help';
  if (values.list === true) return 'list';
  const credential = {
    accessKeyId: values['access-key'] ?? environment['AWS_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: values['secret-key'] ?? environment['AWS_SECRET_ACCESS_KEY'] ?? '',
    region: values.region ?? 'us-east-1',
  };
  const urls = [values.endpoint, ...(values.compare ?? '').split(/\s+/)].filter(
    (url): url is string => url !== undefined && url !== '',
  );
  return {
    ...chooseWork(values),
    largeKeyCount: positive('fill', values.fill ?? '1000000'),
    soakMinutes: values.soak === undefined ? 0 : positive('soak', values.soak),
    soakConnectionCount: positive('connections', values.connections ?? '16'),
    slowClientCount: positive('slow-clients', values['slow-clients'] ?? '256'),
    seconds: positive('seconds', values.seconds ?? '5'),
    warmUpSeconds: positive('warm-up', values['warm-up'] ?? '2'),
    workerCount: positive('workers', values.workers ?? '1'),
    treeKeyCount: positive('keys', values.keys ?? '10000'),
    directory: values.dir ?? tmpdir(),
    endpoints: urls.map((url) => endpointOf(url, credential)),
    isEndpointOnly: values.endpoint !== undefined,
    compareMinio: values['compare-minio'],
    outputFolder: values.out,
    isProfiled: values.profile === true,
  };
}

function parseFlags(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...argv],
      options: {
        only: text,
        seconds: text,
        'warm-up': text,
        connections: text,
        size: text,
        workers: text,
        keys: text,
        fill: text,
        'slow-clients': text,
        soak: text,
        dir: text,
        endpoint: text,
        'access-key': text,
        'secret-key': text,
        region: text,
        compare: text,
        'compare-minio': text,
        out: text,
        profile: flag,
        flat: flag,
        list: flag,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw new UsageProblem((error as Error).message, { cause: error });
  }
}

interface Choice {
  only?: string;
  connections?: string;
  size?: string;
  fill?: string;
  'slow-clients'?: string;
  soak?: string;
  flat?: boolean;
  endpoint?: string;
}

function chooseWork(values: Choice): { cells: Cell[]; stages: StageName[] } {
  const names = chosenNames(values);
  const stages = names.filter((name): name is StageName => name in STAGES);
  if (stages.length > 0 && values.endpoint !== undefined) {
    throw new UsageProblem(`${stages.join(', ')}: only for servers that the bench starts itself`);
  }
  const cells = names.filter((name) => !(name in STAGES)).map((name) => chooseCell(name, values));
  return { cells, stages };
}

function chosenNames(values: Choice): string[] {
  if (values.only !== undefined) return values.only.split(',').map((name) => name.trim());
  if (values.soak !== undefined) return [];
  if (values.flat === true) return ['flat'];
  if (values.fill !== undefined) return ['large'];
  if (values['slow-clients'] !== undefined) return ['slow-clients'];
  const cells = CELLS.map(({ name }) => name);
  const stages = Object.keys(STAGES).filter((name) => name !== 'flat');
  return values.endpoint === undefined ? [...cells, ...stages] : cells;
}

function chooseCell(name: string, values: Choice): Cell {
  const cell = CELLS.find((candidate) => candidate.name === name);
  if (cell === undefined) throw new UsageProblem(`no cell or stage ${name}; --list names them`);
  return {
    ...cell,
    ...(values.connections === undefined ? {} : { connectionCount: positive('connections', values.connections) }),
    ...(values.size === undefined ? {} : { sizeBytes: parseSize(values.size) }),
  };
}

function endpointOf(url: string, fallback: Omit<EndpointOptions, 'url'>): EndpointOptions {
  const { protocol, host, username, password } = new URL(url);
  const keys =
    username === ''
      ? fallback
      : { ...fallback, accessKeyId: decodeURIComponent(username), secretAccessKey: decodeURIComponent(password) };
  if (keys.accessKeyId === '' || keys.secretAccessKey === '') {
    throw new UsageProblem(`no keys for ${host}: give --access-key and --secret-key, or AWS_…, or as part of the URL`);
  }
  return { ...keys, url: `${protocol}//${host}` };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) throw new UsageProblem(`--${name} ${text}: a positive number is wanted`);
  return value;
}

/** `4096`, `4k`, `128KiB`, `1m`, `1g`. */
export function parseSize(text: string): number {
  const match = /^(\d+)\s*([kmg]?)(i?b)?$/i.exec(text.trim());
  if (match === null) throw new UsageProblem(`--size ${text}: a size like 4096, 4k or 1m is wanted`);
  const power = ['', 'k', 'm', 'g'].indexOf((match[2] ?? '').toLowerCase());
  return Number(match[1]) * 1024 ** power;
}
