import { stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { StatusReport } from '../admin/status-report.ts';
import { type CliContext, type Command, type Invocation, UsageError } from './command.ts';
import { plotDurability } from './durability-plot.ts';
import { type DurabilityInputs, renderDurability, reportDurability } from './durability-report.ts';
import { loadSettings } from './settings.ts';
import { fetchReport } from './status-command.ts';

/** What is assumed where neither the server nor a flag says: field averages of hard disks, and a person who comes by. */
const DEFAULTS = { 'failure-rate': 1.5, 'replace-hours': 24, 'rebuild-rate': 100, 'scrub-days': 30, corruptions: 1e-6 };

export const durabilityCommand: Command = {
  name: 'durability',
  summary: 'compute how likely this layout is to lose an object in a year, and from what',
  usage:
    'durability [--failure-rate PERCENT] [--replace-hours H] [--rebuild-rate MIB] [--scrub-days D] [--plot FILE] [--json]',
  details: `Takes code, disks, devices and used space from the running server, or from the disks when none runs, and computes the
chance of a loss by the exact Markov chain of disk failures and repairs, and by the closed form. Directories that share a
device are said to be simulated. The numbers speak of independent disk failures only.`,
  flags: {
    'failure-rate': { isSwitch: false, what: `disks that fail in a year, in percent (${DEFAULTS['failure-rate']})` },
    'replace-hours': { isSwitch: false, what: `until an empty disk is in place (${DEFAULTS['replace-hours']})` },
    'rebuild-rate': { isSwitch: false, what: `MiB/s at which a disk is rebuilt (${DEFAULTS['rebuild-rate']})` },
    'scrub-days': { isSwitch: false, what: `days in which every shard is read once (${DEFAULTS['scrub-days']})` },
    corruptions: { isSwitch: false, what: `corruptions per shard and year (${DEFAULTS.corruptions})` },
    plot: { isSwitch: false, what: 'write an SVG of nines against repair time and code to this file' },
    json: { isSwitch: true, what: 'print the report as JSON; fields are only ever added' },
  },
  arguments: 'disks',
  run: async (context, invocation) => {
    const assumed = readAssumptions(invocation);
    const status = await fetchReport(context, await loadSettings(context, invocation), undefined);
    const report = reportDurability({ ...assumed, ...(await readLayout(status)) });
    const plot = invocation.own['plot'];
    if (plot !== undefined) await writePlot(context, plot, plotDurability(report));
    context.stdout.write(
      invocation.own['json'] === 'true' ? `${JSON.stringify(report, null, 2)}\n` : renderDurability(report),
    );
    return 0;
  },
};

type Assumptions = Pick<
  DurabilityInputs,
  | 'annualFailureRate'
  | 'replaceHours'
  | 'rebuildBytesPerSecond'
  | 'rebuildRateSource'
  | 'scrubDays'
  | 'corruptionsPerShardYear'
>;

function readAssumptions(invocation: Invocation): Assumptions {
  const read = (flag: keyof typeof DEFAULTS, least: number, most: number): number => {
    const given = invocation.own[flag];
    const value = given === undefined ? DEFAULTS[flag] : Number(given);
    if (given === '' || !(value >= least && value <= most)) {
      throw new UsageError(`--${flag} must be a number from ${least} to ${most}`);
    }
    return value;
  };
  return {
    annualFailureRate: read('failure-rate', 0.001, 1000) / 100,
    replaceHours: read('replace-hours', 0, 24 * 365),
    rebuildBytesPerSecond: read('rebuild-rate', 0.01, 1_000_000) * 2 ** 20,
    rebuildRateSource: invocation.own['rebuild-rate'] === undefined ? 'assumed' : 'given',
    scrubDays: read('scrub-days', 0.01, 3650),
    corruptionsPerShardYear: read('corruptions', 0, 1000),
  };
}

async function readLayout(status: StatusReport): Promise<Omit<DurabilityInputs, keyof Assumptions>> {
  return {
    code: status.code,
    storageClasses: status.storageClasses
      .slice(1)
      .flatMap(({ name, code, marginDiskCount }) => (marginDiskCount === undefined ? [] : [{ name, code }])),
    diskCount: status.disks.length,
    marginDiskCount: status.marginDiskCount,
    objectCount: status.counts.objects,
    usedBytes: Math.max(0, ...status.disks.map(({ usedBytes }) => usedBytes)),
    devices: await devicesOf(status.disks.flatMap((disk) => disk.path ?? [])),
  };
}

/** Paths that are not there now belong to no device. */
async function devicesOf(paths: readonly string[]): Promise<string[][]> {
  const byDevice = new Map<number, string[]>();
  for (const directory of paths) {
    try {
      const { dev } = await stat(directory);
      byDevice.set(dev, [...(byDevice.get(dev) ?? []), directory]);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return [...byDevice.values()];
}

async function writePlot(context: CliContext, file: string, svg: string): Promise<void> {
  await writeFile(path.resolve(context.workingDirectory, file), svg);
}
