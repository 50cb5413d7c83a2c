import { statSync } from 'node:fs';
import path from 'node:path';
import {
  FILE_KINDS,
  type FileKind,
  type InspectedItem,
  type InspectReport,
} from '../composition/inspect/inspection.ts';
import { type Command, strayArgument, UsageError } from './command.ts';

export const inspectCommand: Command = {
  name: 'inspect',
  summary: 'decode one file of a disk and say what in it is bad, and where',
  usage: 'inspect FILE [--records] [--kind KIND] [--json]',
  details: `FILE is a disk.json, a journal/state, a segment of the journal, a checkpoint or a shard file; a copy outside of a disk will do.
It is recognized by its first bytes, or by its name when those are damaged; --kind says it otherwise. Nothing is written. Exit code
0 when everything in it is good, 1 when something is bad or of a newer version, 2 when it is no such file.`,
  flags: {
    records: { isSwitch: true, what: 'print the records in the frames of a segment' },
    kind: { isSwitch: false, what: `${FILE_KINDS.join(', ')}: take it for that` },
    json: { isSwitch: true, what: 'print the report as JSON; fields are only ever added' },
  },
  arguments: 'subcommand',
  run: async (context, invocation) => {
    const [name, stray] = invocation.positionals;
    if (stray !== undefined) throw strayArgument(inspectCommand, stray);
    if (name === undefined) throw new UsageError(`say which file: holdfast ${inspectCommand.usage}`);
    const file = path.resolve(context.workingDirectory, name);
    const facts = statSync(file, { throwIfNoEntry: false });
    if (facts === undefined) throw new UsageError(`${file} does not exist`);
    if (!facts.isFile()) throw new UsageError(`${file} is no file; say one of a disk, such as ${file}/disk.json`);
    const composition = await context.loadComposition();
    const report = await composition.inspectFile(file, {
      kind: kindOf(invocation.own['kind']),
      withRecords: invocation.own['records'] === 'true',
    });
    if (report === undefined) {
      throw new UsageError(
        `${file} is no file of a disk that is known here; if it is a damaged one, say which: --kind`,
      );
    }
    const isJson = invocation.own['json'] === 'true';
    context.stdout.write(isJson ? `${JSON.stringify(report, null, 2)}\n` : renderInspection(report));
    return report.problems.length === 0 ? 0 : 1;
  },
};

function kindOf(value: string | undefined): FileKind | undefined {
  if (value === undefined) return undefined;
  const kind = FILE_KINDS.find((each) => each === value);
  if (kind === undefined) throw new UsageError(`--kind is one of ${FILE_KINDS.join(', ')}, not "${value}"`);
  return kind;
}

function renderInspection({ path: file, kind, sizeBytes, facts, items, problems }: InspectReport): string {
  const lines = [`${file}: ${kind}, ${sizeBytes} bytes`];
  for (const [name, value] of Object.entries(facts))
    if (value !== undefined) lines.push(`  ${name}: ${printed(value)}`);
  for (const item of items) lines.push(renderItem(item));
  for (const { offset, lengthBytes, problem } of problems) {
    lines.push(`BAD at ${offset}${lengthBytes === 0 ? '' : ` (${lengthBytes} bytes)`}: ${problem}`);
  }
  lines.push(problems.length === 0 ? 'all good' : `${problems.length} bad`);
  return `${lines.join('\n')}\n`;
}

function renderItem({ offset, lengthBytes, what, state, facts: { records, ...facts } }: InspectedItem): string {
  const values = Object.entries(facts).filter(([, value]) => value !== undefined);
  const told = values.map(([name, value]) => `${name}=${printed(value)}`).join(' ');
  const head = `${String(offset).padStart(12)} +${lengthBytes} ${what} ${state.toUpperCase()} ${told}`.trimEnd();
  const each = Array.isArray(records) ? records.map((record) => `${' '.repeat(14)}${JSON.stringify(record)}`) : [];
  return [state === 'good' ? head.replace(' GOOD', ' good') : head, ...each].join('\n');
}

/** Text of others (keys, names) never reaches the terminal raw. */
function printed(value: unknown): string {
  return typeof value === 'string' && /^[\w./:+-]*$/.test(value) ? value : JSON.stringify(value);
}
