import type { StatusReport } from '../admin/status-report.ts';
import { askServer } from './admin-client.ts';
import { type Command, CommandFailure, strayArgument, UsageError } from './command.ts';
import { loadSettings } from './settings.ts';
import { requireStateDirectory } from './state-directory.ts';

export const clockCommand: Command = {
  name: 'clock',
  summary: 'accept a jump of the clock; until then nothing expires',
  usage: 'clock accept [--state DIR]',
  details: `When the clock of the machine jumps by more than an hour, or is found days away from where it was at the last start, it is
not believed: nothing expires and no retention ends, so that a wrong clock deletes nothing. Reads and writes go on, and
new objects are labelled with the time that the clock shows. "holdfast status" says so.

accept  says that the clock is right as it is now. A clock that is set back to where it should be needs no accepting.`,
  flags: {},
  arguments: 'subcommand',
  run: async (context, invocation) => {
    const [action, ...rest] = invocation.positionals;
    if (rest[0] !== undefined) throw strayArgument(clockCommand, rest[0]);
    if (action === undefined) throw new UsageError('say what to do: holdfast clock accept');
    if (action !== 'accept') throw strayArgument(clockCommand, action);
    const { stateDirectory } = await loadSettings(context, { ...invocation, positionals: [] });
    await requireStateDirectory(stateDirectory);
    const answer = await askServer(stateDirectory, { method: 'POST', path: '/clock/accept' });
    if (answer === undefined) {
      throw new CommandFailure(`no server runs with the state directory ${stateDirectory}`, {
        hint: 'The clock is watched by the running server: start it, or name its state directory: --state DIR',
      });
    }
    const { before } = answer as { before: StatusReport['clock'] };
    context.stdout.write(
      before.jump === undefined
        ? 'The clock had not jumped; nothing was changed.\n'
        : `Accepted: the clock is right at ${new Date(context.clock.nowMs()).toISOString()}. What is due expires again.\n`,
    );
    return 0;
  },
};
