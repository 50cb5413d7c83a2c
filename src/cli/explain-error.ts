import { dirname } from 'node:path';
import { NoRootKeyError } from '../access/credential-store.ts';
import { ConfigError } from '../config/load-config.ts';
import { isStoreError } from '../errors/store-error.ts';
import { CommandFailure, type ExitCode, UsageError } from './command.ts';

/** What to print for an error that ended a command, and with which code to end. Ends with a line break. */
export function explainError(error: unknown): { message: string; exitCode: ExitCode } {
  if (error instanceof UsageError) return { message: `holdfast: ${error.message}\n`, exitCode: 2 };
  if (error instanceof ConfigError) {
    const lines = error.problems.map(({ where, problem }) => `  ${where} ${problem}`);
    const count = lines.length === 1 ? 'a problem' : `${lines.length} problems`;
    return {
      message: `holdfast: the configuration has ${count}; nothing was touched:\n${lines.join('\n')}\n`,
      exitCode: 2,
    };
  }
  if (error instanceof CommandFailure || error instanceof NoRootKeyError || isStoreError(error)) {
    const hint = error.hint === undefined ? '' : `\n${error.hint}`;
    return { message: `holdfast: ${error.message}${hint}\n`, exitCode: 1 };
  }
  const system = explainSystemError(error as NodeJS.ErrnoException & { address?: string; port?: number });
  if (system !== undefined) return { message: `holdfast: ${system}\n`, exitCode: 1 };
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { message: `holdfast: unexpected error\n${text}\n`, exitCode: 1 };
}

function explainSystemError(error: NodeJS.ErrnoException & { address?: string; port?: number }): string | undefined {
  // A Unix socket comes with its path as the address and the port -1.
  if (error.address?.startsWith('/') === true && ['EACCES', 'EPERM', 'EROFS'].includes(error.code ?? '')) {
    const directory = dirname(error.address);
    return `no permission to write in ${directory}.\n${chownLine(directory)} && chmod u+rwx ${shellQuote(directory)}`;
  }
  const address = error.address?.includes(':') === true ? `[${error.address}]` : error.address;
  if (error.code === 'EADDRINUSE' && error.port !== undefined) {
    return `${address}:${error.port} is in use by another program.\nChoose another port: --listen ${address}:${error.port + 10} (or --admin-listen, if it is the admin port)`;
  }
  if (error.code === 'EADDRNOTAVAIL') {
    return `${address}:${error.port} is no address of this machine.\nSee: ip address`;
  }
  if ((error.code === 'EACCES' || error.code === 'EPERM') && error.port !== undefined) {
    return `${address}:${error.port} needs more rights.\nUse a port of 1024 or above: --listen ${address}:9000`;
  }
  if ((error.code === 'EACCES' || error.code === 'EPERM') && error.path !== undefined) {
    return `no permission for ${error.path}.\n${chownLine(error.path)}`;
  }
  if (error.code !== undefined && error.path !== undefined) return error.message;
  return undefined;
}

/** The line that gives a path to the user who runs this. */
export function chownLine(path: string): string {
  const user = process.getuid?.() ?? 0;
  const group = process.getgid?.() ?? 0;
  return `sudo chown -R ${user}:${group} ${shellQuote(path)}`;
}

/** Safe to paste into a shell. */
export function shellQuote(text: string): string {
  return /^[A-Za-z0-9_./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
