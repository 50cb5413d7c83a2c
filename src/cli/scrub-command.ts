import type { ScrubReport } from '../model/healing-report.ts';
import { askServer } from './admin-client.ts';
import { type Command, CommandFailure, strayArgument, UsageError } from './command.ts';
import { formatBytes } from './render-table.ts';
import { loadSettings } from './settings.ts';

export const scrubCommand: Command = {
  name: 'scrub',
  summary: 'read every shard and journal record now, or show how far that is',
  usage: 'scrub start|status [--json] [--state DIR]',
  details: `start   begins a pass over everything, at the rate of healing; what is found bad is repaired.
status  shows the pass under way, the last one, and when the next is due.

Without a command everything is read once in storage.scrub_period. Exit code 1 when the last pass, or the one under way,
has found damage.`,
  flags: { json: { isSwitch: true, what: 'print the report as JSON; fields are only ever added' } },
  arguments: 'subcommand',
  run: async (context, invocation) => {
    const [action, ...rest] = invocation.positionals;
    if (rest[0] !== undefined) throw strayArgument(scrubCommand, rest[0]);
    if (action === undefined) throw new UsageError('say what to do: holdfast scrub start|status');
    if (action !== 'start' && action !== 'status') throw strayArgument(scrubCommand, action);
    const { stateDirectory } = await loadSettings(context, { ...invocation, positionals: [] });
    const answer = await askServer(stateDirectory, { method: action === 'start' ? 'POST' : 'GET', path: '/scrub' });
    if (answer === undefined) {
      throw new CommandFailure(`no server runs with the state directory ${stateDirectory}`, {
        hint: 'Scrubbing is done by the running server: start it, or name its state directory: --state DIR',
      });
    }
    const report = answer as ScrubReport;
    const isJson = invocation.own['json'] === 'true';
    context.stdout.write(isJson ? `${JSON.stringify(report, null, 2)}\n` : `${describeScrub(report)}\n`);
    return action === 'status' && report.damagedFileCount > 0 ? 1 : 0;
  },
};

/** One line. */
export function describeScrub(report: ScrubReport): string {
  const { isRunning, isRequested, fraction, timeLeftMs, readBytes, damagedFileCount, lastFinishedAtMs, nextDueAtMs } =
    report;
  const left = timeLeftMs === undefined ? '' : `, about ${describeTime(timeLeftMs)} left`;
  const found = damagedFileCount === 0 ? 'no damage' : `${damagedFileCount} damaged files`;
  const last =
    lastFinishedAtMs === undefined ? 'never finished yet' : `last ${new Date(lastFinishedAtMs).toISOString()}`;
  if (isRunning) {
    const kind = isRequested ? 'on request' : 'in the background';
    return `${(fraction * 100).toFixed(1)} % read ${kind}${left}; ${formatBytes(readBytes)}, ${found}; ${last}`;
  }
  const next = nextDueAtMs === undefined ? '' : `; next ${new Date(nextDueAtMs).toISOString()}`;
  return `idle; ${last}, ${found}${next}`;
}

function describeTime(ms: number): string {
  const minutes = ms / 60_000;
  if (minutes < 2) return `${Math.ceil(ms / 1000)} s`;
  if (minutes < 120) return `${Math.round(minutes)} min`;
  return minutes < 2880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} d`;
}
