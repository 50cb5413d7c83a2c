import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CliContext, TextOutput } from './cli/command.ts';
import { loadComposition } from './cli/load-composition.ts';
import { runCli } from './cli/run-cli.ts';
import { SystemClock, SystemRandomness } from './observability/system-clock.ts';

/** The only place that reads the environment, listens to signals and exits. `bin/holdfast.cjs` imports it. */
const packageDirectory = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { version } = JSON.parse(readFileSync(path.join(packageDirectory, 'package.json'), 'utf8')) as {
  version: string;
};

// Index, socket and whatever else is made: nobody else reads keys and names.
process.umask(0o077);

const context: CliContext = {
  env: process.env,
  workingDirectory: process.cwd(),
  packageDirectory,
  version,
  stdout: textOutput(process.stdout),
  stderr: textOutput(process.stderr),
  clock: new SystemClock(),
  randomness: new SystemRandomness(),
  loadComposition: () => loadComposition(() => import('./server.ts')),
  onSignal: (signal, callback) => {
    process.on(signal, callback);
    return () => process.off(signal, callback);
  },
  // `process.exit` would wait for file calls that never return.
  killSelf: () => {
    process.kill(process.pid, 'SIGKILL');
    // Only process 1 of a container gets here: the kernel ignores its signals to itself, but not a crash.
    process.abort();
  },
};

const exitCode = await runCli(process.argv.slice(2), context);
// Writes to pipes are asynchronous: an exit right away would cut them off.
await Promise.all([drained(process.stdout), drained(process.stderr)]);
process.exit(exitCode);

function textOutput(stream: NodeJS.WriteStream): TextOutput {
  // A reader that went away (`holdfast status | head`) is no error of ours.
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  return {
    write: (text) => void stream.write(text),
    get isTerminal() {
      return stream.isTTY;
    },
  };
}

async function drained(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.destroyed || stream.writableEnded) return;
  await new Promise<void>((resolve) => stream.write('', () => resolve()));
}
