import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { loadConfig } from '../../src/config/load-config.ts';
import { FaultDiskFs, type FaultEffect } from '../../src/disk/fault-disk-fs.ts';
import { RealDiskFs } from '../../src/disk/real-disk-fs.ts';
import { type Log, silentLog } from '../../src/observability/log.ts';
import { SystemClock, SystemRandomness } from '../../src/observability/system-clock.ts';
import { composition } from '../../src/server.ts';
import { HttpConnection } from '../throughput/http-connection.ts';
import { EMPTY_SHA256, signedHead, UNSIGNED_PAYLOAD } from '../throughput/sign-request.ts';

/**
 * What one bad disk of six costs the others' clients: a disk at 100 ms a call, one that hangs, one whose directory
 * vanishes; what reads give with m directories gone; what work feels while a disk is made again; and how long a start
 * takes that meets a bad disk. Server and client
 * share this process, so figures are to be compared with the healthy line, not with others.
 *
 *     npx tsx bench/faults/main.ts [--seconds 6] [--connections 8] [--size 16384] [--only slow,hung,…]
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '6' },
    connections: { type: 'string', default: '8' },
    size: { type: 'string', default: '16384' },
    only: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const connectionCount = Number(values.connections);
const sizeBytes = Number(values.size);

const credential = { accessKeyId: 'BENCHKEY000000000001', secretAccessKey: 'bench-secret-access-key-00000000' };
const clock = new SystemClock();
const randomness = new SystemRandomness();

/** A server on six directories of its own; `strike` makes one of them bad. */
class FaultyServer {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'holdfast-faults-'));
  readonly diskPaths = Array.from({ length: 6 }, (_, index) => path.join(this.folder, `disk${index + 1}`));
  readonly #faults = new Map<string, FaultDiskFs[]>();
  readonly #effects = new Map<string, FaultEffect>();
  readonly #options: Parameters<typeof composition.createServer>[0];
  #server: ReturnType<typeof composition.createServer>;
  endpoint = '';
  /** When the log said that a disk is missing: asking the server would be a use of the disk. */
  missingAtMs: number | undefined;
  readonly #log: Log = {
    ...silentLog,
    warn: (_fields, message) => {
      if (message === 'disk is missing') this.missingAtMs ??= performance.now();
    },
    child: () => this.#log,
  };

  constructor() {
    const stateDirectory = path.join(this.folder, 'state');
    mkdirSync(stateDirectory);
    for (const disk of this.diskPaths) mkdirSync(disk);
    const env = {
      HOLDFAST_STATE_RESERVE: '1 MiB',
      HOLDFAST_JOURNAL_RESERVE: '32 MiB',
      HOLDFAST_LISTEN: '127.0.0.1:0',
      HOLDFAST_ADMIN_LISTEN: '127.0.0.1:0',
    };
    this.#options = {
      version: 'bench',
      config: loadConfig({ env, flags: { disks: this.diskPaths, state: stateDirectory }, defaults: {} }),
      diskPaths: this.diskPaths,
      lastDiskPaths: new Map(),
      makeDiskFs: (root, bound) => this.#makeFs(root, new RealDiskFs(root, bound)),
      log: this.#log,
      clock,
      randomness,
      secrets: { rootKey: credential, masterKey: randomness.bytes(32) },
      stateDirectory,
      expectedClusterId: undefined,
      findings: [],
      onProgress: () => {},
    };
    this.#server = composition.createServer(this.#options);
  }

  #makeFs(root: string, inner: RealDiskFs): FaultDiskFs {
    const faulty = new FaultDiskFs(inner, clock);
    const effect = this.#effects.get(root);
    if (effect !== undefined) faulty.addFault({ operation: 'any', times: Infinity, effect });
    this.#faults.set(root, [...(this.#faults.get(root) ?? []), faulty]);
    return faulty;
  }

  async start(): Promise<void> {
    await composition.formatStorage({ ...this.#options, code: { k: 4, m: 2 } });
    const facts = await this.#server.start();
    this.endpoint = facts.endpoints[0] ?? '';
  }

  strike(disk: string, effect: FaultEffect): void {
    this.#effects.set(disk, effect);
    for (const fault of this.#faults.get(disk) ?? []) fault.addFault({ operation: 'any', times: Infinity, effect });
  }

  cure(disk: string): void {
    this.#effects.delete(disk);
    for (const fault of this.#faults.get(disk) ?? []) {
      fault.clearFaults();
      fault.releaseHung();
    }
  }

  /** Ends it and starts another server on what is there, without the index. @returns how long until it served, in milliseconds */
  async startAgain(): Promise<number> {
    await this.#server.stop({ deadlineMs: 20_000 });
    const index = path.join(this.#options.stateDirectory, 'index.sqlite');
    for (const suffix of ['', '-wal', '-shm']) rmSync(index + suffix, { force: true });
    this.#server = composition.createServer(this.#options);
    const beganMs = performance.now();
    this.endpoint = (await this.#server.start()).endpoints[0] ?? '';
    return performance.now() - beganMs;
  }

  async stateOf(index: number): Promise<string> {
    return (await this.#server.status()).disks[index]?.state ?? '';
  }

  async isHealing(): Promise<boolean> {
    return (await this.#server.status()).healing?.isRunning === true;
  }

  async stop(): Promise<number> {
    for (const faults of this.#faults.values()) for (const fault of faults) fault.clearFaults();
    const beganMs = performance.now();
    await this.#server.stop({ deadlineMs: 20_000 });
    const tookMs = performance.now() - beganMs;
    for (const faults of this.#faults.values()) for (const fault of faults) fault.releaseHung();
    rmSync(this.folder, { recursive: true, force: true });
    return tookMs;
  }
}

interface Sample {
  kind: 'PUT' | 'GET';
  atMs: number;
  tookMs: number;
  status: number;
}

interface LoadOptions {
  connectionCount?: number;
  sizeBytes?: number;
  /** Nothing is written: these are read, in turn. */
  onlyRead?: readonly string[];
}

/** Half the connections write new keys, half read what was written, until told to stop. */
class Load {
  readonly samples: Sample[] = [];
  readonly #url: URL;
  readonly #options: Required<Omit<LoadOptions, 'onlyRead'>> & Pick<LoadOptions, 'onlyRead'>;
  readonly #body: Buffer;
  readonly #keys: string[];
  #isOver = false;
  readonly #work: Promise<void>[];

  constructor(endpoint: string, options: LoadOptions = {}) {
    this.#url = new URL(endpoint);
    this.#options = { connectionCount, sizeBytes, ...options };
    this.#body = randomness.bytes(this.#options.sizeBytes);
    this.#keys = [...(options.onlyRead ?? [])];
    this.#work = Array.from({ length: this.#options.connectionCount }, (_, index) => this.#run(index));
  }

  get keys(): readonly string[] {
    return this.#keys;
  }

  async #run(index: number): Promise<void> {
    const { onlyRead } = this.#options;
    const connection = new HttpConnection({ host: this.#url.hostname, port: Number(this.#url.port) }, 64 * 1024);
    for (let n = 0; !this.#isOver; n++) {
      const isPut = onlyRead === undefined && (index % 2 === 0 || this.#keys.length === 0);
      const key = isPut ? `/bucket/${index}-${n}` : (this.#keys[(n * 7919) % this.#keys.length] ?? '');
      const beganMs = performance.now();
      const status = await this.#send(connection, isPut, key);
      const endMs = performance.now();
      this.samples.push({ kind: isPut ? 'PUT' : 'GET', atMs: beganMs, tookMs: endMs - beganMs, status });
      if (isPut && status === 200) this.#keys.push(key);
    }
    connection.close();
  }

  async #send(connection: HttpConnection, isPut: boolean, key: string): Promise<number> {
    const signer = { host: this.#url.host, region: 'us-east-1', credential };
    const head = isPut
      ? { method: 'PUT', path: key, payloadHash: UNSIGNED_PAYLOAD, contentLengthBytes: this.#body.length }
      : { method: 'GET', path: key, payloadHash: EMPTY_SHA256 };
    const answer = await connection.send({ head: signedHead(signer, head), ...(isPut ? { body: [this.#body] } : {}) });
    return answer.status;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#work);
  }
}

async function makeBucket(endpoint: string): Promise<void> {
  const url = new URL(endpoint);
  const connection = new HttpConnection({ host: url.hostname, port: Number(url.port) }, 4096);
  const signer = { host: url.host, region: 'us-east-1', credential };
  await connection.send({ head: signedHead(signer, { method: 'PUT', path: '/bucket', contentLengthBytes: 0 }) });
  connection.close();
}

function line(name: string, samples: readonly Sample[]): void {
  const cells = (['PUT', 'GET'] as const).map((kind) => {
    const taken = samples.filter((sample) => sample.kind === kind);
    const sorted = taken.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
    const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(1).padStart(7);
    const failed = taken.filter(({ status }) => status !== 200).length;
    return `${kind} ${String(taken.length).padStart(6)}  p50 ${at(0.5)}  p99 ${at(0.99)}  max ${at(1)}  failed ${failed}`;
  });
  process.stdout.write(`${name.padEnd(34)} ${cells.join('   ')}\n`);
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => void clock.schedule(ms, resolve));

/** @throws Error when it never happens */
async function within(limitMs: number, isSo: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error('what the scene waits for did not happen');
    await pause(20);
  }
}

async function withServer(work: (server: FaultyServer, load: Load) => Promise<void>): Promise<void> {
  const server = new FaultyServer();
  await server.start();
  await makeBucket(server.endpoint);
  const load = new Load(server.endpoint);
  await pause(1500);
  await work(server, load);
  await load.stop();
  process.stdout.write(`  stopped in ${Math.round(await server.stop())} ms\n`);
}

/** Healthy, then the fault: its first five seconds and what comes after them. */
async function oneBadDisk(name: string, effect: FaultEffect): Promise<void> {
  await withServer(async (server, load) => {
    const from = performance.now();
    await pause(seconds * 1000);
    const struckMs = performance.now();
    server.strike(server.diskPaths[2] ?? '', effect);
    let suspectMs: number | undefined;
    while (performance.now() < struckMs + 5000) {
      await pause(50);
      if (suspectMs === undefined && (await server.stateOf(2)) !== 'online') suspectMs = performance.now() - struckMs;
    }
    const afterMs = performance.now();
    await pause(seconds * 1000);
    const { samples } = load;
    line(
      `${name}: healthy`,
      samples.filter(({ atMs }) => atMs >= from && atMs < struckMs),
    );
    line(
      `${name}: first five seconds`,
      samples.filter(({ atMs }) => atMs >= struckMs && atMs < afterMs),
    );
    line(
      `${name}: after five seconds`,
      samples.filter(({ atMs }) => atMs >= afterMs),
    );
    process.stdout.write(
      `  no longer online after ${suspectMs === undefined ? 'more than 5 s' : `${Math.round(suspectMs)} ms`}\n`,
    );
  });
}

async function vanishing(isIdle: boolean): Promise<void> {
  await withServer(async (server, load) => {
    if (isIdle) await load.stop();
    const disk = server.diskPaths[4] ?? '';
    const beganMs = performance.now();
    renameSync(disk, `${disk}.gone`);
    while (server.missingAtMs === undefined) await pause(5);
    const tookMs = Math.round(server.missingAtMs - beganMs);
    process.stdout.write(`directory vanished, ${isIdle ? 'idle' : 'in use'}: missing after ${tookMs} ms\n`);
  });
}

const ratesOf = (samples: readonly Sample[], bytes: number, ms: number): string =>
  `${((samples.filter(({ status }) => status === 200).length * bytes) / 2 ** 20 / (ms / 1000)).toFixed(0)} MiB/s`;

/** Objects of one size, written by a load of their own. */
async function fill(server: FaultyServer, objectBytes: number, totalBytes: number): Promise<readonly string[]> {
  const load = new Load(server.endpoint, { sizeBytes: objectBytes, connectionCount: 16 });
  while (load.keys.length * objectBytes < totalBytes) await pause(20);
  await load.stop();
  return load.keys;
}

/** The same objects read with all disks, and with m directories gone. */
async function readsWithLosses(name: string, objectBytes: number): Promise<void> {
  const server = new FaultyServer();
  await server.start();
  await makeBucket(server.endpoint);
  const keys = await fill(server, objectBytes, Math.min(256, objectBytes / 512) * 2 ** 20);
  const rates: number[] = [];
  for (const lost of [[], [0, 3]]) {
    for (const index of lost) renameSync(server.diskPaths[index] ?? '', `${server.diskPaths[index]}.gone`);
    const load = new Load(server.endpoint, { onlyRead: keys, connectionCount: 4 });
    await pause(2000);
    const beganMs = performance.now();
    await pause(seconds * 1000);
    await load.stop();
    const samples = load.samples.filter(({ atMs }) => atMs >= beganMs);
    const failed = samples.filter(({ status }) => status !== 200).length;
    const ms = performance.now() - beganMs;
    rates.push((samples.length - failed) / ms);
    process.stdout.write(
      `reads of ${name}, ${lost.length} of 6 disks lost: ${ratesOf(samples, objectBytes, ms)}, failed ${failed}\n`,
    );
  }
  process.stdout.write(`  with m lost: ${((100 * (rates[1] ?? 0)) / (rates[0] ?? 1)).toFixed(0)} % of healthy\n`);
  await server.stop();
}

/** Mixed work while the shard files of one disk, which came back without them, are made again. */
async function rebuilding(): Promise<void> {
  const server = new FaultyServer();
  await server.start();
  await makeBucket(server.endpoint);
  await fill(server, 2 ** 20, 256 * 2 ** 20);
  const load = new Load(server.endpoint);
  await pause(1500);
  const from = performance.now();
  await pause(seconds * 1000);
  const struckMs = performance.now();
  // Away and back without its shard files.
  const disk = server.diskPaths[1] ?? '';
  renameSync(disk, `${disk}.gone`);
  await within(10_000, async () => (await server.stateOf(1)) !== 'online');
  for (const name of readdirSync(`${disk}.gone/volumes`)) rmSync(`${disk}.gone/volumes/${name}`, { force: true });
  renameSync(`${disk}.gone`, disk);
  await within(30_000, () => server.isHealing());
  const beganMs = performance.now();
  while ((await server.isHealing()) && performance.now() < beganMs + 60_000) await pause(20);
  const endMs = performance.now();
  await load.stop();
  const samplesOf = (first: number, last: number) => load.samples.filter(({ atMs }) => atMs >= first && atMs < last);
  line('rebuild: healthy', samplesOf(from, struckMs));
  line('rebuild: while a disk is made again', samplesOf(beganMs, endMs));
  process.stdout.write(`  made again in ${((endMs - beganMs) / 1000).toFixed(1)} s beside the work\n`);
  await server.stop();
}

/** Starts that have to read every journal and to make the index anew, with one disk that was bad before they began. */
async function startingWithBadDisk(): Promise<void> {
  const server = new FaultyServer();
  await server.start();
  await makeBucket(server.endpoint);
  const load = new Load(server.endpoint);
  await pause(seconds * 1000);
  await load.stop();
  const disk = server.diskPaths[0] ?? '';
  const scenes: [string, FaultEffect | undefined][] = [
    ['all disks healthy', undefined],
    ['one disk at 100 ms a call', { kind: 'delay', delayMs: 100 }],
    ['one disk hung', { kind: 'hang' }],
  ];
  for (const [name, effect] of scenes) {
    if (effect !== undefined) server.strike(disk, effect);
    const tookMs = Math.round(await server.startAgain());
    process.stdout.write(
      `start without an index, ${load.keys.length} objects, ${name}: ${tookMs} ms, disk 0 is ${await server.stateOf(0)}\n`,
    );
    server.cure(disk);
    await within(60_000, async () => (await server.stateOf(0)) === 'online');
  }
  await server.stop();
}

// Calls that hang keep no timer: without one the process would end in the middle.
const alive = setInterval(() => {}, 1000);
const SCENES: Record<string, () => Promise<void>> = {
  slow: () => oneBadDisk('100 ms a call', { kind: 'delay', delayMs: 100 }),
  hung: () => oneBadDisk('hung', { kind: 'hang' }),
  vanished: () => vanishing(false),
  'vanished-idle': () => vanishing(true),
  'reads-small': () => readsWithLosses('16 KiB', 16_384),
  'reads-large': () => readsWithLosses('8 MiB', 8 * 2 ** 20),
  rebuild: rebuilding,
  start: startingWithBadDisk,
};
const chosen = values.only?.split(',') ?? Object.keys(SCENES);
for (const name of chosen) {
  const scene = SCENES[name];
  if (scene === undefined) throw new Error(`--only: there is no "${name}", but ${Object.keys(SCENES).join(', ')}`);
  await scene();
}
clearInterval(alive);
process.exit(0);
