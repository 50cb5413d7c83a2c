import { parseArgs, type ParseArgsConfig } from 'node:util';
import { CONFIG_ENTRIES } from '../config/config-schema.ts';
import { suggest } from '../config/suggest.ts';
import { type CliContext, type Command, type ExitCode, type Invocation, strayArgument, UsageError } from './command.ts';
import { censusCommand } from './census-command.ts';
import { clockCommand } from './clock-command.ts';
import { credentialsCommand } from './credentials-command.ts';
import { diskCommand } from './disk-command.ts';
import { doctorCommand } from './doctor-command.ts';
import { durabilityCommand } from './durability-command.ts';
import { explainCommand } from './explain-command.ts';
import { explainError } from './explain-error.ts';
import { formatCommand } from './format-command.ts';
import { commandHelp, overviewHelp } from './help.ts';
import { IDENTITY_COMMANDS } from './identity-commands.ts';
import { inspectCommand } from './inspect-command.ts';
import { printConfigCommand } from './print-config-command.ts';
import { recodeCommand } from './recode-command.ts';
import { recoverCommand } from './recover-command.ts';
import { scrubCommand } from './scrub-command.ts';
import { kmsCommand } from './kms-command.ts';
import { serveCommand, startCommand } from './serve-command.ts';
import { statusCommand } from './status-command.ts';
import { tlsCommand } from './tls-command.ts';
import { upgradeCommand } from './upgrade-command.ts';

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number];

export const COMMANDS: readonly Command[] = [
  startCommand,
  formatCommand,
  serveCommand,
  statusCommand,
  diskCommand,
  censusCommand,
  recodeCommand,
  scrubCommand,
  explainCommand,
  inspectCommand,
  credentialsCommand,
  ...IDENTITY_COMMANDS,
  kmsCommand,
  doctorCommand,
  durabilityCommand,
  tlsCommand,
  upgradeCommand,
  clockCommand,
  recoverCommand,
  printConfigCommand,
];

/** Runs one command line to its end and returns the exit code; prints every error as something to act on. */
export async function runCli(argv: readonly string[], context: CliContext): Promise<ExitCode> {
  try {
    return await dispatch(argv, context);
  } catch (error) {
    const { message, exitCode } = explainError(error);
    context.stderr.write(message);
    return exitCode;
  }
}

async function dispatch(argv: readonly string[], context: CliContext): Promise<ExitCode> {
  const [name, ...rest] = argv;
  if (name === '--version' || name === '-v') {
    if (rest[0] !== undefined) throw strayArgument({ name, usage: name }, rest[0]);
    context.stdout.write(`holdfast ${context.version} (Node ${process.versions.node})\n`);
    return 0;
  }
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const about = COMMANDS.find((command) => command.name === rest[0]);
    const stray = about === undefined ? rest[0] : rest[1];
    if (name !== undefined && stray !== undefined) throw strayArgument({ name, usage: 'help [COMMAND]' }, stray);
    const text = name === 'help' && about !== undefined ? commandHelp(about) : overviewHelp(COMMANDS);
    (name === undefined ? context.stderr : context.stdout).write(text);
    return name === undefined ? 2 : 0;
  }
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command === undefined) {
    const names = COMMANDS.map((candidate) => candidate.name);
    const hint = suggest(name, names);
    throw new UsageError(
      `there is no command "${name}"${hint === undefined ? '' : `; did you mean "${hint}"?`} See: holdfast --help`,
    );
  }
  const invocation = parseInvocation(command, rest);
  if (invocation === 'help') {
    context.stdout.write(commandHelp(command));
    return 0;
  }
  return await command.run(context, invocation);
}

/** @throws UsageError with every unknown flag named */
function parseInvocation(command: Command, args: readonly string[]): Invocation | 'help' {
  const configFlags = CONFIG_ENTRIES.flatMap(({ key }) => (key.flag === undefined ? [] : [key.flag]));
  const options: NonNullable<ParseArgsConfig['options']> = {
    help: { type: 'boolean', short: 'h' },
    config: { type: 'string' },
  };
  for (const flag of configFlags) options[flag] = { type: 'string', multiple: true };
  for (const [flag, { isSwitch }] of Object.entries(command.flags)) {
    options[flag] = { type: isSwitch ? 'boolean' : 'string' };
  }
  rejectUnknownFlags(command, args, Object.keys(options));
  let parsed: ReturnType<typeof parseArgs>;
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true, tokens: true });
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ', 1)[0]}. See: holdfast ${command.name} --help`);
  }
  if (parsed.values['help'] === true) return 'help';
  const stray = command.arguments === 'subcommand' ? undefined : findStray(command, parsed.tokens ?? []);
  if (stray !== undefined) throw strayArgument(command, stray);
  const own: Record<string, string | undefined> = {};
  for (const flag of ['config', ...Object.keys(command.flags)]) {
    const value = parsed.values[flag];
    if (value !== undefined) own[flag] = String(value);
  }
  const fromFlags: Record<string, string | string[]> = {};
  for (const flag of configFlags) {
    const value = parsed.values[flag];
    if (Array.isArray(value)) fromFlags[flag] = value.map(String);
  }
  return { own, configFlags: fromFlags, positionals: parsed.positionals };
}

/**
 * The first plain argument that is none. Where disks are meant, those right after `--disks` are more of them, as a shell
 * makes them of a pattern that was not quoted; with a path before it, only another path is.
 */
function findStray(command: Command, tokens: readonly Token[]): string | undefined {
  let pattern: string | undefined;
  for (const token of tokens) {
    if (token.kind !== 'positional') {
      pattern = token.kind === 'option' && token.name === 'disks' ? token.value : undefined;
    } else if (command.arguments !== 'disks' || pattern === undefined) {
      return token.value;
    } else if (pattern.includes('/') && !token.value.includes('/')) {
      return token.value;
    }
  }
  return undefined;
}

function rejectUnknownFlags(command: Command, args: readonly string[], known: readonly string[]): void {
  const end = args.indexOf('--');
  const problems = (end === -1 ? args : args.slice(0, end))
    .filter((arg) => arg.startsWith('--') && arg.length > 2)
    .map((arg) => arg.slice(2).split('=', 1)[0] ?? '')
    .filter((flag) => !known.includes(flag))
    .map((flag) => {
      const hint = suggest(flag, known);
      return `--${flag} is an unknown flag${hint === undefined ? '' : `; did you mean --${hint}?`}`;
    });
  if (problems.length > 0) {
    throw new UsageError(`${problems.join('\n')}\nSee: holdfast ${command.name} --help`);
  }
}
