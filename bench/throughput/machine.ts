import { execFileSync } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { basename } from 'node:path';

/** Where and with what a run was made: enough to judge its numbers, nothing that names the machine. */
export interface RunDescription {
  date: string;
  command: string;
  commit: string;
  node: string;
  processor: string;
  processorCount: number;
  memoryGibibytes: number;
  kernel: string;
  fileSystem: string;
  others: string[];
}

/** `directory`: where the stores lie. `otherBinaries`: servers measured beside, asked for their versions. */
export function describeRun(options: {
  argv: readonly string[];
  directory: string;
  otherBinaries: readonly string[];
}): RunDescription {
  const processors = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    command: `npm run bench -- ${withoutSecrets(options.argv).join(' ')}`,
    commit: firstLine('git', ['rev-parse', '--short', 'HEAD']),
    node: process.version,
    processor: processors[0]?.model.trim() ?? 'unknown',
    processorCount: processors.length,
    memoryGibibytes: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    fileSystem: firstLine('findmnt', ['-no', 'FSTYPE', '-T', options.directory]),
    others: options.otherBinaries.map((binary) => firstLine(binary, ['--version'])),
  };
}

/** The command line without keys and without the folders of this machine. */
export function withoutSecrets(argv: readonly string[]): string[] {
  return argv.map((word, index) => {
    if (/^--(access|secret)-key$/.test(argv[index - 1] ?? '')) return '…';
    if (/^--(access|secret)-key=/.test(word)) return word.replace(/=.*/s, '=…');
    if (word.startsWith('/')) return basename(word);
    return word.replaceAll(/\/\/[^/@\s]+@/g, '//…@').replace(/=\/.*\//, '=');
  });
}

export function renderDescription(run: RunDescription): string {
  const others = run.others.map((other) => `\n- Beside it: ${other}`).join('');
  return `- Command: \`${run.command.trim()}\`
- ${run.date}, commit ${run.commit}, Node ${run.node}
- ${run.processorCount} × ${run.processor}, ${run.memoryGibibytes} GiB, Linux ${run.kernel}, ${run.fileSystem}${others}`;
}

/** What a program says first; `unknown` when it cannot be asked. */
function firstLine(program: string, args: readonly string[]): string {
  try {
    const output = execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return output.split('\n')[0]?.trim() ?? 'unknown';
  } catch {
    return 'unknown';
  }
}
