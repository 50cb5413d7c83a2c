import type { RecodeReport } from '../model/healing-report.ts';
import { askServer } from './admin-client.ts';
import { type Command, CommandFailure, strayArgument, UsageError } from './command.ts';
import { formatBytes } from './render-table.ts';
import { loadSettings } from './settings.ts';

const ACTIONS: Readonly<Record<string, 'POST' | 'GET'>> = { start: 'POST', stop: 'POST', status: 'GET' };

export const recodeCommand: Command = {
  name: 'recode',
  summary: 'change the erasure code, and rewrite what was written with another one',
  usage: 'recode start|stop|status [--new-code K+M] [--only-new] [--wait] [--json] [--state DIR]',
  details: `start    rewrites every volume whose storage class has another code now, at the rate of the collector, until none is left;
         goes on after a restart. --new-code first gives STANDARD (and the cluster) another code, at once for all new objects;
         with --only-new nothing that is there is rewritten.
stop     what was rewritten stays so, the rest as it was.
status   what is left, the rate and the time.

--wait prints progress until nothing is left. Then: holdfast census --wait proves it. k + m disks must be usable for a new
code. With another m the journal, too, survives the loss of that many disks from then on.`,
  flags: {
    'new-code': { isSwitch: false, what: 'start: the new code of the cluster, like 4+2' },
    'only-new': { isSwitch: true, what: 'start: change the code, rewrite nothing' },
    wait: { isSwitch: true, what: 'wait until nothing is left' },
    json: { isSwitch: true, what: 'print the report as JSON; fields are only ever added' },
  },
  arguments: 'subcommand',
  run: async (context, invocation) => {
    const [action = '', ...rest] = invocation.positionals;
    const method = ACTIONS[action];
    if (method === undefined) throw new UsageError('say what to do: holdfast recode start|stop|status');
    if (rest[0] !== undefined) throw strayArgument(recodeCommand, rest[0]);
    const { stateDirectory } = await loadSettings(context, { ...invocation, positionals: [] });
    const code = invocation.own['new-code'];
    const onlyNew = invocation.own['only-new'] === 'true';
    if (action !== 'start' && (code !== undefined || onlyNew)) throw new UsageError('a code goes with start');
    if (onlyNew && code === undefined) throw new UsageError('--only-new needs --new-code');
    const body = action === 'start' ? { ...(code === undefined ? {} : { code: readCode(code) }), onlyNew } : undefined;
    const path = action === 'stop' ? '/recode/stop' : '/recode';
    let report = await ask(stateDirectory, {
      method,
      path,
      ...(body === undefined ? {} : { body }),
      timeoutMs: 600_000,
    });
    const isJson = invocation.own['json'] === 'true';
    while (invocation.own['wait'] === 'true' && report.isRunning) {
      if (!isJson) context.stdout.write(`${describeRecoding(report)}\n`);
      // Holds the answer back for a second.
      report = await ask(stateDirectory, { method: 'GET', path: '/recode/wait' });
    }
    context.stdout.write(isJson ? `${JSON.stringify(report, null, 2)}\n` : `${describeRecoding(report)}\n`);
    return 0;
  },
};

async function ask(stateDirectory: string, request: Parameters<typeof askServer>[1]): Promise<RecodeReport> {
  const answer = await askServer(stateDirectory, request);
  if (answer !== undefined) return answer as RecodeReport;
  throw new CommandFailure(`no server runs with the state directory ${stateDirectory}`, {
    hint: 'Volumes are rewritten by the running server: start it, or name its state directory: --state DIR',
  });
}

function readCode(text: string): { k: number; m: number } {
  const match = /^(\d{1,2})\+(\d)$/.exec(text);
  if (match === null) throw new UsageError('--new-code must be k+m, like 4+2');
  return { k: Number(match[1]), m: Number(match[2]) };
}

/** One line. */
export function describeRecoding(report: RecodeReport): string {
  const { isRunning, classes, leftVolumeCount, leftBytes, rateBytesPerSecond, timeLeftMs, finishedAtMs } = report;
  const codes = classes.map(({ name, code }) => `${name} ${code.k}+${code.m}`).join(', ');
  const rate = rateBytesPerSecond === undefined ? '' : ` at ${formatBytes(rateBytesPerSecond)}/s`;
  const time = timeLeftMs === undefined ? '' : `, about ${Math.ceil(timeLeftMs / 1000)} s`;
  const left = `${leftVolumeCount} volumes, ${formatBytes(leftBytes)} of other codes`;
  if (isRunning) return `recoding: ${left} left${rate}${time} (${codes})`;
  if (leftVolumeCount > 0) return `idle: ${left} (${codes})`;
  const ended = finishedAtMs === undefined ? '' : `; ended ${new Date(finishedAtMs).toISOString()}`;
  return `idle: everything has the code of its class (${codes})${ended}`;
}
