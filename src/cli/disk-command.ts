import path from 'node:path';
import type { DiskCommandAnswer } from '../admin/admin-app.ts';
import type { StatusReport } from '../admin/status-report.ts';
import { askServer, ServerNotReady } from './admin-client.ts';
import {
  type CliContext,
  type Command,
  CommandFailure,
  type ExitCode,
  type Invocation,
  UsageError,
} from './command.ts';
import { renderDiskList } from './render-disk-list.ts';
import { loadSettings, type Settings } from './settings.ts';
import { requireStateDirectory } from './state-directory.ts';
import { fetchReport, readOffline } from './status-command.ts';

/** Levelling the journal of a new disk may take a while. */
const TIMEOUT_MS = 600_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Said before it is done: the model of the protocol shows that there is no more, and no less. */
const WHAT_IS_GIVEN_UP = `Declaring disks lost cannot be undone. The disks named never count again, wherever they turn up:
- shards on them are never read again: what is damaged on the disks left may then be lost, so if they might still be
  read, bring them back instead;
- a server that is ever started on them alone, without this state directory, shows the past: never do that, wipe them;
- writes that were refused or not answered while they alone were up may now be found to have happened.
No write that was acknowledged is lost by it.`;

const ACTIONS = ['list', 'add', 'replace', 'drain', 'remove'] as const;

export const diskCommand: Command = {
  name: 'disk',
  summary: 'list the disks; add, replace, drain or remove one while the server runs',
  usage: 'disk list|add|replace|drain|remove [PATH …] [--with NEW] [--declare-lost] [--cancel] [--json] [--state DIR]',
  details: `list            each disk: state and since when, space, shards, whether its journal is level; works offline too.
add PATH …      makes an empty directory a disk. New objects use it; any size, one at a time or several.
replace PATH    a new disk in the place of a lost one: PATH is an empty directory now, or --with names another one. Its
                shards are rebuilt. The old disk never counts again. A disk that works is replaced with --with only: it
                is drained first. PATH may be the id of a disk.
                With m disks gone and k no more than m, too few are left to agree to a new list, and nothing can be
                written: --declare-lost says that the disks named (one or more, --with NEW,NEW names a directory for
                each) are destroyed for good. What they hold is given up: see "Declaring disks lost" in OPERATIONS.md.
drain PATH      no new objects there, and its shards are moved away; --cancel takes that back.
remove PATH     takes a drained disk out of the list; refused when fewer than k + m would be left.

All but list ask the running server. Every change can be repeated after a crash. Nothing is ever removed from a directory.
Exit code of list: 1 when a disk is lost or failing.`,
  flags: {
    json: { isSwitch: true, what: 'list: print JSON; fields are only ever added' },
    with: { isSwitch: false, what: 'replace: the empty directory that takes the place' },
    'declare-lost': { isSwitch: true, what: 'replace: the disks named are destroyed for good and never come back' },
    yes: { isSwitch: true, what: '--declare-lost: you have read what is given up' },
    cancel: { isSwitch: true, what: 'drain: the disk takes new objects again' },
  },
  arguments: 'subcommand',
  run,
};

async function run(context: CliContext, invocation: Invocation): Promise<ExitCode> {
  const [action, ...names] = invocation.positionals;
  if (!ACTIONS.some((known) => known === action)) {
    throw new UsageError(`say what to do: holdfast disk ${ACTIONS.join('|')}`);
  }
  const settings = await loadSettings(context, { ...invocation, positionals: [] });
  await requireStateDirectory(settings.stateDirectory);
  if (action === 'list') return await list(context, settings, invocation);
  if (names.length === 0) throw new UsageError(`name the disk: holdfast disk ${action} PATH`);
  const isDeclaring = invocation.own['declare-lost'] === 'true';
  if (isDeclaring && action !== 'replace') throw new UsageError('--declare-lost belongs to holdfast disk replace');
  if (isDeclaring)
    return await declareLost(context, settings, {
      names,
      withPaths: invocation.own['with'],
      isConfirmed: invocation.own['yes'] === 'true',
    });
  if (names.length > 1 && action !== 'add') throw new UsageError(`holdfast disk ${action} takes one disk at a time`);
  const isCancelling = action === 'drain' && invocation.own['cancel'] === 'true';
  const route = `/disks/${isCancelling ? 'cancel-drain' : action}`;
  const newPath = invocation.own['with'];
  if (newPath !== undefined && action !== 'replace') throw new UsageError('--with belongs to holdfast disk replace');
  for (const name of names) {
    const body = {
      name: resolve(context, name),
      ...(newPath === undefined ? {} : { newPath: resolve(context, newPath) }),
    };
    const request = { method: 'POST', path: route, body, timeoutMs: TIMEOUT_MS } as const;
    await ask(context, settings, request);
  }
  return 0;
}

async function declareLost(
  context: CliContext,
  settings: Settings,
  { names, withPaths, isConfirmed }: { names: readonly string[]; withPaths: string | undefined; isConfirmed: boolean },
): Promise<ExitCode> {
  if (!isConfirmed) {
    throw new UsageError(`${WHAT_IS_GIVEN_UP}\nIf ${names.join(' and ')} can never be read again, add --yes.`);
  }
  const newPaths = withPaths?.split(',').map((place) => resolve(context, place)) ?? [];
  const body = { names: names.map((name) => resolve(context, name)), newPaths };
  await ask(context, settings, { method: 'POST', path: '/disks/declare-lost', body, timeoutMs: TIMEOUT_MS });
  return 0;
}

async function ask(context: CliContext, settings: Settings, request: Parameters<typeof askServer>[1]): Promise<void> {
  const answer = (await askServer(settings.stateDirectory, request)) as DiskCommandAnswer | undefined;
  if (answer === undefined) {
    throw new CommandFailure(`no server runs with the state directory ${settings.stateDirectory}`, {
      hint: 'The list of disks is changed by the running server: start it, or name its --state DIR.',
    });
  }
  context.stdout.write(`${answer.message}\n`);
}

async function list(context: CliContext, settings: Settings, invocation: Invocation): Promise<ExitCode> {
  const report = await fetchReport(context, settings, undefined).catch((error: unknown): Promise<StatusReport> => {
    // A server that waits for disks has not opened its stores: the disks themselves tell.
    if (error instanceof ServerNotReady) return readOffline(context, settings);
    throw error;
  });
  const { mode, disks, unusedDirectories, homelessShardCount, moves } = report;
  if (invocation.own['json'] === 'true') {
    context.stdout.write(`${JSON.stringify({ mode, disks, unusedDirectories, homelessShardCount, moves }, null, 2)}\n`);
  } else {
    context.stdout.write(renderDiskList(report, context.clock.nowMs()));
  }
  return disks.every(({ state }) => state === 'online' || state === 'draining') ? 0 : 1;
}

/** As the server sees it: absolute, or the id of a disk as it is. */
function resolve(context: CliContext, name: string): string {
  return UUID.test(name) ? name : path.resolve(context.workingDirectory, name);
}
