import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { totalmem } from 'node:os';
import { masterKeyFile } from '../../access/master-key.ts';
import type { Finding } from '../../admin/status-report.ts';
import type { Config } from '../../config/config-schema.ts';
import type { ListenAddress } from '../../config/value-types.ts';
import { shellQuote } from '../explain-error.ts';

const NODE_FLOOR = [20, 19] as const;
const BASE_DESCRIPTORS = 1024;
/** What the process needs beside the budget of buffers: V8, SQLite's cache, sockets. */
const BASE_MEMORY_BYTES = 256 * 2 ** 20;

export function checkNode(version: string): Finding[] {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > NODE_FLOOR[0] || (major === NODE_FLOOR[0] && minor >= NODE_FLOOR[1])) return [];
  const message = `Node ${version} is older than ${NODE_FLOOR.join('.')}`;
  return [{ code: 'node-version', severity: 'error', message, fix: 'Install the active LTS release of Node.' }];
}

/** Soft limit of open files against connections and shard files. */
export async function checkDescriptors(config: Config): Promise<Finding[]> {
  const limits = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  const needed = config.limits.connections + BASE_DESCRIPTORS;
  if (soft === undefined || Number(soft) >= needed) return [];
  const message = `only ${soft} files may be open; ${config.limits.connections} connections and the shard files need ${needed}`;
  return [
    {
      code: 'descriptors',
      severity: 'warning',
      message,
      fix: `ulimit -n ${needed}   # systemd: LimitNOFILE=${needed}`,
    },
  ];
}

/** The memory of the machine or, if smaller, of the cgroup. */
export async function checkMemory(config: Config): Promise<Finding[]> {
  const text = await readFile('/sys/fs/cgroup/memory.max', 'utf8').catch(() => 'max');
  const limit = Math.min(/^\d+$/.test(text.trim()) ? Number(text) : Infinity, totalmem());
  const needed = config.storage.bufferBudget + BASE_MEMORY_BYTES;
  if (limit >= needed) return [];
  const message = `the memory limit is ${Math.floor(limit / 2 ** 20)} MiB; buffers and process need ${Math.ceil(needed / 2 ** 20)} MiB`;
  return [{ code: 'memory', severity: 'warning', message, fix: 'Raise the limit, or lower storage.buffer_budget.' }];
}

/** The master key must be readable by its owner only. */
export async function checkSecretFiles(stateDirectory: string): Promise<Finding[]> {
  const file = masterKeyFile(stateDirectory);
  const facts = await stat(file).catch(() => undefined);
  if (facts === undefined || (facts.mode & 0o077) === 0) return [];
  const message = `${file} can be read by others`;
  return [{ code: 'secret-readable', severity: 'warning', message, fix: `chmod 600 ${shellQuote(file)}` }];
}

/** Can every listener be opened? Only sensible while no server of ours runs. */
export async function checkPorts(addresses: readonly { address: ListenAddress; flag: string }[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { address, flag } of addresses) {
    const errno = await tryListen(address);
    const shown = `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
    if (errno === 'EADDRINUSE') {
      const fix = `${flag} ${shown.replace(/\d+$/, String(address.port + 10))}`;
      findings.push({ code: 'port-in-use', severity: 'error', message: `${shown} is in use by another program`, fix });
    } else if (errno === 'EACCES') {
      const fix = `${flag} ${shown.replace(/\d+$/, '9000')}`;
      findings.push({ code: 'port-permission', severity: 'error', message: `${shown} needs more rights`, fix });
    } else if (errno !== undefined) {
      const message = `${shown} cannot be opened (${errno})`;
      findings.push({ code: 'port-unavailable', severity: 'warning', message, fix: 'See: ip address' });
    }
  }
  return findings;
}

async function tryListen({ host, port }: ListenAddress): Promise<string | undefined> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}

const CLOCK_TOLERANCE_MS = 60_000;

/** A clock behind the last record labels new objects as older than old ones, and refuses signed requests. */
export function checkClock(nowMs: number, lastRecordAtMs: number | undefined): Finding[] {
  if (lastRecordAtMs === undefined || nowMs >= lastRecordAtMs - CLOCK_TOLERANCE_MS) return [];
  const seconds = Math.round((lastRecordAtMs - nowMs) / 1000);
  const message = `the clock is ${seconds} s behind the last journal record`;
  return [
    {
      code: 'clock-behind',
      severity: 'warning',
      message,
      fix: 'sudo timedatectl set-ntp true   # then: timedatectl status',
    },
  ];
}
