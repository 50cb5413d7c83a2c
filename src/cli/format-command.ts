import type { Command } from './command.ts';
import { createLog } from './create-log.ts';
import { shellQuote } from './explain-error.ts';
import { formatStorage } from './format-storage.ts';
import { loadSettings } from './settings.ts';
import { requireStateDirectory } from './state-directory.ts';

export const formatCommand: Command = {
  name: 'format',
  summary: 'make a new cluster on empty directories',
  usage: `format --disks '/mnt/disk{1..6}' [--code 4+2] [--state DIR]`,
  details: `Writes an identity and the first journal records to every directory and the master key to the state directory.
Missing directories are created if their parent exists; directories that are not empty are refused. A formatting that
was cut off is finished by the same command. Nothing else ever formats, but the very first npm start and serve with
HOLDFAST_FORMAT=if-empty.`,
  flags: {},
  arguments: 'disks',
  run: async (context, invocation) => {
    const settings = await loadSettings(context, invocation);
    await requireStateDirectory(settings.stateDirectory);
    const { log, flush } = createLog({ ...settings.config.log, format: 'pretty' }, context.stderr.isTerminal);
    const { clusterId, code, isResumed } = await formatStorage(context, settings, log);
    flush();
    const disks = settings.diskPatterns.map((pattern) => shellQuote(pattern)).join(' ');
    context.stdout.write(
      `${isResumed ? 'Finished formatting' : 'Formatted'} ${settings.diskPaths.length} directories as ${code.k}+${code.m}, cluster ${clusterId}.
Any ${code.m} of them may be lost. Start it with:
  holdfast serve --disks ${disks} --state ${shellQuote(settings.stateDirectory)}
`,
    );
    return 0;
  },
};
