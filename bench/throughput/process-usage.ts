import { readFileSync, readdirSync, readlinkSync } from 'node:fs';

/** Linux counts processor time for `/proc` in hundredths of a second on every architecture Node runs on. */
const TICKS_PER_SECOND = 100;
const SAMPLE_INTERVAL_MS = 100;

export interface ProcessUsage {
  cpuSeconds: number;
  residentBytes: number;
}

/** Undefined when there is no such process, or no `/proc`. */
export function readProcessUsage(processId: number): ProcessUsage | undefined {
  try {
    const stat = readFileSync(`/proc/${processId}/stat`, 'latin1');
    // The command in parentheses may hold spaces; fields are counted after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ticks = Number(fields[11]) + Number(fields[12]);
    const resident = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${processId}/status`, 'latin1'))?.[1];
    return { cpuSeconds: ticks / TICKS_PER_SECOND, residentBytes: Number(resident ?? 0) * 1024 };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The process on this machine that listens on a TCP port; undefined when it is elsewhere or belongs to someone else. */
export function processListeningOn(portNumber: number): number | undefined {
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readLines(table)) {
      const fields = line.trim().split(/\s+/);
      const port = Number.parseInt(fields[1]?.split(':').at(-1) ?? '', 16);
      if (fields[3] === '0A' && port === portNumber && fields[9] !== undefined) inodes.add(`socket:[${fields[9]}]`);
    }
  }
  if (inodes.size === 0) return undefined;
  for (const entry of readdirSync('/proc')) {
    if (/^\d+$/.test(entry) && holdsOne(entry, inodes)) return Number(entry);
  }
  return undefined;
}

function holdsOne(processId: string, inodes: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${processId}/fd`).some((descriptor) => {
      try {
        return inodes.has(readlinkSync(`/proc/${processId}/fd/${descriptor}`));
      } catch (error) {
        if (isGone(error)) return false;
        throw error;
      }
    });
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'latin1').split('\n').slice(1);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '');
}

export interface UsageDelta {
  serverCpuSeconds: number;
  clientCpuSeconds: number;
  /** Highest seen while watching. */
  peakResidentBytes: number;
}

/** Watches a server's process, and the bench's own processor time, from its making to `stop`. */
export class UsageWatch {
  readonly #processId: number | undefined;
  readonly #before: ProcessUsage | undefined;
  readonly #clientBefore = process.cpuUsage();
  readonly #timer: NodeJS.Timeout;
  #peakBytes = 0;

  constructor(processId: number | undefined) {
    this.#processId = processId;
    this.#before = this.#read();
    this.#timer = setInterval(() => this.#read(), SAMPLE_INTERVAL_MS);
  }

  stop(): UsageDelta {
    clearInterval(this.#timer);
    const after = this.#read();
    const client = process.cpuUsage(this.#clientBefore);
    return {
      serverCpuSeconds: (after?.cpuSeconds ?? NaN) - (this.#before?.cpuSeconds ?? NaN),
      clientCpuSeconds: (client.user + client.system) / 1e6,
      peakResidentBytes: this.#peakBytes === 0 ? NaN : this.#peakBytes,
    };
  }

  #read(): ProcessUsage | undefined {
    const usage = this.#processId === undefined ? undefined : readProcessUsage(this.#processId);
    if (usage !== undefined) this.#peakBytes = Math.max(this.#peakBytes, usage.residentBytes);
    return usage;
  }
}
