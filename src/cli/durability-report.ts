import {
  annualLossProbability,
  annualLossWithLatentDamage,
  approximateAnnualLoss,
  type FailureAssumptions,
  nines,
} from '../healing/durability-model.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { StorageClass } from '../model/storage-class.ts';

export interface DurabilityInputs {
  code: ErasureCode;
  /** Others than STANDARD, in which something lies. */
  storageClasses: readonly StorageClass[];
  /** How many disks the cluster has, and how many of them may be lost right now. */
  diskCount: number;
  marginDiskCount: number;
  objectCount: number;
  /** What the fullest disk holds: what a rebuild must write. */
  usedBytes: number;
  annualFailureRate: number;
  /** From a failure to an empty disk in its place: noticing and a person. */
  replaceHours: number;
  rebuildBytesPerSecond: number;
  rebuildRateSource: 'given' | 'assumed';
  scrubDays: number;
  corruptionsPerShardYear: number;
  /** Disk paths by the device (`st_dev`) they lie on; paths that are not there are left out. */
  devices: readonly (readonly string[])[];
}

export interface DurabilityReport extends DurabilityInputs {
  storageClasses: readonly (StorageClass & { nines: number })[];
  repairDays: number;
  rebuildHours: number;
  annualLoss: number;
  nines: number;
  closedFormAnnualLoss: number;
  ninesOneRepairAtATime: number;
  ninesWithLatentDamage: number;
  /** Objects with a corruption that no scrub has seen yet, found at the moment when m disks are lost. */
  objectsHitAtNoMargin: number;
  /** Several directories share a device: no statement about devices can be made. */
  isSimulated: boolean;
}

const SECONDS_PER_HOUR = 3600;
const HOURS_PER_DAY = 24;
const DAYS_PER_YEAR = 365;
/** Copying an empty disk takes a moment all the same. */
const LEAST_REBUILD_HOURS = 0.01;

/** Pure. @see docs/OPERATIONS.md, "How durable is it" */
export function reportDurability(inputs: DurabilityInputs): DurabilityReport {
  const rebuildHours = Math.max(
    LEAST_REBUILD_HOURS,
    inputs.usedBytes / inputs.rebuildBytesPerSecond / SECONDS_PER_HOUR,
  );
  const repairDays = (inputs.replaceHours + rebuildHours) / HOURS_PER_DAY;
  const assumptions: FailureAssumptions = { annualFailureRate: inputs.annualFailureRate, repairDays };
  const { code, scrubDays, corruptionsPerShardYear } = inputs;
  const annualLoss = annualLossProbability(code, assumptions);
  return {
    ...inputs,
    repairDays,
    rebuildHours,
    annualLoss,
    nines: nines(annualLoss),
    closedFormAnnualLoss: approximateAnnualLoss(code, assumptions),
    ninesOneRepairAtATime: nines(annualLossProbability(code, assumptions, false)),
    ninesWithLatentDamage: nines(annualLossWithLatentDamage(code, assumptions, { corruptionsPerShardYear, scrubDays })),
    objectsHitAtNoMargin: (inputs.objectCount * code.k * corruptionsPerShardYear * scrubDays) / 2 / DAYS_PER_YEAR,
    storageClasses: inputs.storageClasses.map((one) => {
      return { ...one, nines: nines(annualLossProbability(one.code, assumptions)) };
    }),
    isSimulated: inputs.devices.some((paths) => paths.length > 1),
  };
}

export function renderDurability(report: DurabilityReport): string {
  const { code } = report;
  const lines = [
    `Code        ${code.k}+${code.m}: any ${code.m} of ${code.k + code.m} disks may be lost; ${report.marginDiskCount < 0 ? 'some bytes cannot be read now' : `${report.marginDiskCount} more now`}`,
    `Assumed     ${percent(report.annualFailureRate)} of disks fail in a year, independently; ${report.corruptionsPerShardYear} unread corruptions per shard and year; scrub every ${report.scrubDays} days`,
    `Repair      ${duration(report.repairDays * HOURS_PER_DAY)}: ${duration(report.replaceHours)} until an empty disk is there, ${duration(report.rebuildHours)} to rebuild ${gibibytes(report.usedBytes)} at ${Math.round(report.rebuildBytesPerSecond / 2 ** 20)} MiB/s (${RATE_SOURCES[report.rebuildRateSource]})`,
    '',
    ...verdict(report),
    ...report.storageClasses.map(({ name, code: own, nines: ownNines }) => {
      return `  ${`storage class ${name}, ${own.k}+${own.m}`.padEnd(44)} ${chance(10 ** -ownNines)}`;
    }),
    '',
    `With ${code.m} disks lost, ${report.objectsHitAtNoMargin.toPrecision(2)} of ${report.objectCount} objects are expected to hold a corruption that no scrub has seen yet.`,
    'These are independent disk failures only. Fire, theft, a controller, rm -rf, ransomware and software errors are not in',
    'them: for one machine they are of the order of 1 in 1,000 to 1 in 10,000 a year. Beyond four nines the second copy',
    'must be elsewhere. With more objects nothing changes in how likely a loss is, only in how much is lost at once.',
  ];
  return `${lines.join('\n')}\n`;
}

const RATE_SOURCES: Record<DurabilityReport['rebuildRateSource'], string> = {
  given: 'as given',
  assumed: 'assumed; give the rate of your last rebuild with --rebuild-rate',
};

function verdict(report: DurabilityReport): string[] {
  const computed = [
    `  exact Markov chain, repairs in parallel      ${chance(report.annualLoss)}`,
    `  closed form (m+1) C(n,m+1) AFR^(m+1) R^m      ${chance(report.closedFormAnnualLoss)}`,
    `  exact, one repair at a time                  ${chance(10 ** -report.ninesOneRepairAtATime)}`,
    `  with damage that waits for a scrub           ${chance(10 ** -report.ninesWithLatentDamage)}`,
  ];
  if (!report.isSimulated) return ['Chance that any object is lost in a year:', ...computed];
  const shared = report.devices.filter((paths) => paths.length > 1);
  const directories = report.devices.flat().length;
  return [
    `Simulated: ${directories} directories on ${report.devices.length} device${report.devices.length === 1 ? '' : 's'}; no protection against the loss of`,
    ...shared.map((paths) => `  the device of ${paths.join(', ')}`),
    'If each directory had a device of its own, the chance that any object is lost in a year would be:',
    ...computed,
  ];
}

function chance(loss: number): string {
  return `${loss.toExponential(2)}  ${nines(loss).toFixed(1)} nines`;
}

function percent(fraction: number): string {
  return `${Number((fraction * 100).toPrecision(3))} %`;
}

function duration(hours: number): string {
  if (hours < 1) return `${Math.max(1, Math.round(hours * 60))} min`;
  return hours < 48 ? `${Number(hours.toPrecision(3))} h` : `${Number((hours / HOURS_PER_DAY).toPrecision(3))} days`;
}

function gibibytes(sizeBytes: number): string {
  return `${(sizeBytes / 2 ** 30).toFixed(sizeBytes < 2 ** 30 ? 3 : 1)} GiB`;
}
