import type { Clock, Randomness } from '../model/clock.ts';
import type { Composition } from './server-types.ts';

/** 0 fine or warnings only, 1 an error was found or the work failed, 2 wrong usage or configuration. */
export type ExitCode = 0 | 1 | 2;

/** Everything of the process that commands may touch; `main.ts` fills it, tests make their own. */
export interface CliContext {
  env: Readonly<Record<string, string | undefined>>;
  workingDirectory: string;
  /** The directory of `package.json`: `npm start` keeps its data there. */
  packageDirectory: string;
  version: string;
  stdout: TextOutput;
  stderr: TextOutput;
  clock: Clock;
  randomness: Randomness;
  /** Loads the stores and their native modules, which `--help` and `print-config` do without. */
  loadComposition(): Promise<Composition>;
  /** Calls back on every signal of that name; returns the function that stops it. */
  onSignal(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP', callback: () => void): () => void;
  /** Ends the process although file calls are stuck: nothing after it runs. */
  killSelf(): void;
}

export interface TextOutput {
  write(text: string): void;
  /** Secrets and progress lines only go to terminals. */
  readonly isTerminal: boolean;
}

export interface Command {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** After `holdfast`: `status [--json]`. */
  readonly usage: string;
  /** Longer text of `--help`. */
  readonly details: string;
  /** Flags of its own beside `--config` and the flags of the configuration keys. `true`: takes no value. */
  readonly flags: Readonly<Record<string, { isSwitch: boolean; what: string }>>;
  /** Do plain arguments mean disk patterns (only right after `--disks`), a subcommand, or nothing? */
  readonly arguments: 'disks' | 'subcommand' | 'none';
  run(context: CliContext, invocation: Invocation): Promise<ExitCode>;
}

export interface Invocation {
  /** Values of the command's own flags; a switch is `'true'`. */
  own: Readonly<Record<string, string | undefined>>;
  /** Values of configuration flags. */
  configFlags: Readonly<Record<string, string | readonly string[] | undefined>>;
  positionals: readonly string[];
}

/** Wrong usage: the message is printed and the process ends with 2. */
export class UsageError extends Error {}

/** For a plain argument that the command does not take: nothing is ignored silently. */
export function strayArgument(command: Pick<Command, 'name' | 'usage'>, argument: string): UsageError {
  return new UsageError(`holdfast ${command.name} takes no argument "${argument}"\nUsage: holdfast ${command.usage}`);
}

/** The work failed in a way the operator can repair: message and hint are printed, the process ends with 1. */
export class CommandFailure extends Error {
  readonly hint: string | undefined;

  constructor(message: string, options: { hint?: string | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'CommandFailure';
    this.hint = options.hint;
  }
}
