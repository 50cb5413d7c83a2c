import type { CensusProgress } from '../healing/census-runner.ts';
import type { CensusReport } from '../healing/census.ts';
import { askServer } from './admin-client.ts';
import { type CliContext, type Command, CommandFailure, type ExitCode, UsageError } from './command.ts';
import { STANDARD } from '../model/storage-class.ts';
import { formatBytes } from './render-table.ts';
import { loadSettings } from './settings.ts';

export const censusCommand: Command = {
  name: 'census',
  summary: 'read every shard and journal record, and say what is below full redundancy',
  usage: 'census [--json] [--wait [--timeout SECONDS]] [--state DIR]',
  details: `Lets the running server count what is really on its disks: every shard of every object is read and verified, every
journal copy too, and files that nothing knows are counted. Prints the smallest margin and everything that is below full
redundancy. With --wait it counts again until nothing is. Exit code 0 only when nothing is below full redundancy.`,
  flags: {
    json: { isSwitch: true, what: 'print the report as JSON; fields are only ever added' },
    wait: { isSwitch: true, what: 'count again until everything is at full redundancy' },
    timeout: { isSwitch: false, what: 'seconds after which --wait gives up (no limit)' },
  },
  arguments: 'none',
  run: async (context, invocation) => {
    const { stateDirectory } = await loadSettings(context, invocation);
    const deadlineMs = context.clock.monotonicMs() + readTimeoutMs(invocation.own['timeout']);
    const isWaiting = invocation.own['wait'] === 'true';
    for (;;) {
      const report = await takeOne(context, stateDirectory, deadlineMs);
      const isLast = report.isClean || !isWaiting || context.clock.monotonicMs() >= deadlineMs;
      if (isLast) return print(context, report, invocation.own['json'] === 'true');
      // Holds the answer back for a second: time for healing to go on.
      await ask(stateDirectory, 'GET /census/wait');
    }
  },
};

function readTimeoutMs(given: string | undefined): number {
  if (given === undefined) return Infinity;
  const seconds = Number(given);
  if (given === '' || !(seconds > 0)) throw new UsageError('--timeout must be a number of seconds');
  return seconds * 1000;
}

async function takeOne(context: CliContext, stateDirectory: string, deadlineMs: number): Promise<CensusReport> {
  const { number } = (await ask(stateDirectory, 'POST /census')) as { number: number };
  for (;;) {
    const { last } = (await ask(stateDirectory, 'GET /census/wait')) as CensusProgress;
    if (last !== undefined && last.number >= number) {
      if (last.report === undefined) throw new CommandFailure(`the census could not be taken: ${last.error}`);
      return last.report;
    }
    if (context.clock.monotonicMs() >= deadlineMs) throw new CommandFailure('no census ended in time');
  }
}

async function ask(stateDirectory: string, route: 'POST /census' | 'GET /census/wait'): Promise<unknown> {
  const [method, path] = route.split(' ') as ['GET' | 'POST', string];
  const answer = await askServer(stateDirectory, { method, path });
  if (answer !== undefined) return answer;
  throw new CommandFailure(`no server runs with the state directory ${stateDirectory}`, {
    hint: 'A census is taken by the running server: start it, or name its state directory: --state DIR',
  });
}

function print(context: CliContext, report: CensusReport, asJson: boolean): ExitCode {
  context.stdout.write(asJson ? `${JSON.stringify(report, null, 2)}\n` : renderCensus(report));
  return report.isClean ? 0 : 1;
}

export function renderCensus(report: CensusReport): string {
  const { shards, narrow, journal, classes, disks, findings } = report;
  const lines = [
    report.isClean ? 'CLEAN: everything is at full redundancy' : 'NOT CLEAN',
    `Worst margin  ${report.worstMargin === undefined ? 'nothing is stored' : `${report.worstMargin} disks may be lost`}`,
    `Shards        ${shards.goodCount} good of ${shards.expectedCount}; ${formatBytes(report.readBytes)} read in ${((report.endedAtMs - report.startedAtMs) / 1000).toFixed(1)} s`,
    `Journal       ${journal.levelCount} of ${journal.copyCount} copies whole and level, ${journal.checkpoints.length} checkpoints`,
  ];
  for (const { storageClass, margin, fullMargin, volumeCount, stripeCount, blobCount } of classes) {
    lines.push(
      `Margin ${margin} of ${fullMargin}   ${blobCount} blobs, ${stripeCount} stripes in ${volumeCount} volumes${storageClass === STANDARD ? '' : ` of ${storageClass}`}`,
    );
  }
  if (narrow.volumeCount > 0) {
    lines.push(
      `Narrow        ${narrow.volumeCount} volumes over fewer disks, ${formatBytes(narrow.liveBytes)}: rewritten in time`,
    );
  }
  for (const disk of disks) {
    const strays = [
      disk.unknownFileCount > 0 ? `${disk.unknownFileCount} unknown files` : '',
      disk.quarantinedFileCount > 0 ? `${disk.quarantinedFileCount} quarantined` : '',
      disk.leftoverFileCount > 0 ? `${disk.leftoverFileCount} unfinished` : '',
    ].filter((text) => text !== '');
    lines.push(
      `Disk ${String(disk.index).padEnd(8)} ${disk.state}, ${disk.goodCount} of ${disk.expectedCount} shards${strays.length > 0 ? `, ${strays.join(', ')}` : ''}  ${disk.path ?? ''}`.trimEnd(),
    );
  }
  return `${[...lines, ...findings.map((finding) => `! ${finding}`)].join('\n')}\n`;
}
