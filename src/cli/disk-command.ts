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

const ACTIONS = ['list', 'add', 'replace', 'drain', 'remove'] as const;

export const diskCommand: Command = {
  name: 'disk',
  summary: 'list the disks; add, replace, drain or remove one while the server runs',
  usage: 'disk list|add|replace|drain|remove [PATH …] [--with NEW] [--cancel] [--json] [--state DIR]',
  details: `list            each disk: state and since when, space, shards, whether its journal is level; works offline too.
add PATH …      makes an empty directory a disk. New objects use it; any size, one at a time or several.
replace PATH    a new disk in the place of a lost one: PATH is an empty directory now, or --with names another one. Its
                shards are rebuilt. The old disk never counts again. A disk that works is replaced with --with only: it
                is drained first. PATH may be the id of a disk.
drain PATH      no new objects there, and its shards are moved away; --cancel takes that back.
remove PATH     takes a drained disk out of the list; refused when fewer than k + m would be left.

All but list ask the running server. Every change can be repeated after a crash. Nothing is ever removed from a directory.
Exit code of list: 1 when a disk is lost or failing.`,
  flags: {
    json: { isSwitch: true, what: 'list: print JSON; fields are only ever added' },
    with: { isSwitch: false, what: 'replace: the empty directory that takes the place' },
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
    const answer = (await askServer(settings.stateDirectory, request)) as DiskCommandAnswer | undefined;
    if (answer === undefined) {
      throw new CommandFailure(`no server runs with the state directory ${settings.stateDirectory}`, {
        hint: 'The list of disks is changed by the running server: start it, or name its --state DIR.',
      });
    }
    context.stdout.write(`${answer.message}\n`);
  }
  return 0;
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
