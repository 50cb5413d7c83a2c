import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const STOP_WITHIN_MS = 30_000;

/** A server process with its output in a file, as a service manager would keep it. */
export class ChildServer {
  readonly child: ChildProcess;
  readonly #outputFile: string;
  readonly #name: string;

  constructor(options: {
    name: string;
    program: string;
    args: readonly string[];
    environment: NodeJS.ProcessEnv;
    outputFile: string;
    hasChannel?: boolean;
  }) {
    this.#outputFile = options.outputFile;
    this.#name = options.name;
    const output = openSync(options.outputFile, 'w');
    this.child = spawn(options.program, options.args, {
      env: options.environment,
      stdio: options.hasChannel === true ? ['ignore', output, output, 'ipc'] : ['ignore', output, output],
    });
    closeSync(output);
  }

  get processId(): number {
    return this.child.pid ?? -1;
  }

  get output(): string {
    return readFileSync(this.#outputFile, 'utf8');
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null || this.child.pid === undefined;
  }

  /** Polls `isReady` until it returns something. @throws with the output when the process ends or time runs out. */
  async waitFor<Value>(isReady: () => Promise<Value | undefined>, withinMs: number, everyMs = 10): Promise<Value> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      if (this.hasEnded) throw new Error(`${this.#name} ended: ${this.output.slice(-2000)}`);
      const value = await isReady();
      if (value !== undefined) return value;
      if (performance.now() > deadline) {
        await this.stop();
        throw new Error(`${this.#name} is not ready after ${withinMs} ms: ${this.output.slice(-2000)}`);
      }
      await delay(everyMs);
    }
  }

  /** The signal, and SIGKILL when that does not end it in time. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (this.hasEnded) return;
    const gone = once(this.child, 'exit');
    this.child.kill(signal);
    const killer = setTimeout(() => this.child.kill('SIGKILL'), STOP_WITHIN_MS);
    await gone;
    clearTimeout(killer);
  }
}

/** The status of a GET, or undefined when nobody answers. */
export async function statusOf(url: string): Promise<number | undefined> {
  try {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    return answer.status;
  } catch {
    return undefined;
  }
}
