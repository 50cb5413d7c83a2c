import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { CELLS, type Cell } from './cells.ts';

export interface BenchOptions {
  cells: Cell[];
  seconds: number;
  warmUpSeconds: number;
  workerCount: number;
  /** Keys in the bucket that cells of listings walk. */
  treeKeyCount: number;
  /** Folder for stores of servers that the bench starts. */
  directory: string;
  /** Measured instead of a server of its own. */
  endpoints: EndpointOptions[];
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

  --only CELL,…           cells to run (--list names them)
  --seconds N             measured time of each cell (5)
  --warm-up N             the same work before it, not measured (2)
  --connections N         instead of the cell's own
  --size BYTES            instead of the cell's own; 4k, 1m are understood
  --workers N             threads of the client (1)
  --keys N                keys of the bucket that list cells walk (10000)
  --dir DIR               where servers that the bench starts keep their data (the temporary folder)
  --endpoint URL          measure this server; keys from --access-key and --secret-key or AWS_…
  --access-key, --secret-key, --region
  --compare 'URL …'       measure these as well, in turns; keys may be part of it: http://KEY:SECRET@host:port
  --compare-minio BINARY  start MinIO beside it (six directories, EC:2) and measure both in turns
  --out DIR               results.json and chart.svg
  --profile               a CPU profile of Holdfast's main thread for each cell, and its functions by self time,
                          in --out (or bench-out)
  --list                  names the cells
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
    cells: chooseCells(values),
    seconds: positive('seconds', values.seconds ?? '5'),
    warmUpSeconds: positive('warm-up', values['warm-up'] ?? '2'),
    workerCount: positive('workers', values.workers ?? '1'),
    treeKeyCount: positive('keys', values.keys ?? '10000'),
    directory: values.dir ?? tmpdir(),
    endpoints: urls.map((url) => endpointOf(url, credential)),
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
        dir: text,
        endpoint: text,
        'access-key': text,
        'secret-key': text,
        region: text,
        compare: text,
        'compare-minio': text,
        out: text,
        profile: flag,
        list: flag,
        help: flag,
      },
    }).values;
  } catch (error) {
    throw new UsageProblem((error as Error).message, { cause: error });
  }
}

function chooseCells(values: { only?: string; connections?: string; size?: string }): Cell[] {
  const names = values.only === undefined ? CELLS.map(({ name }) => name) : values.only.split(',');
  return names.map((name) => {
    const cell = CELLS.find((candidate) => candidate.name === name.trim());
    if (cell === undefined)
      throw new UsageProblem(`no cell ${name}; known are ${CELLS.map((each) => each.name).join(', ')}`);
    return {
      ...cell,
      ...(values.connections === undefined ? {} : { connectionCount: positive('connections', values.connections) }),
      ...(values.size === undefined ? {} : { sizeBytes: parseSize(values.size) }),
    };
  });
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
