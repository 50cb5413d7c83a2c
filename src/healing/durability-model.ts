import { assert } from '../errors/assert.ts';
import type { ErasureCode } from '../model/erasure-code.ts';

/** What the formula needs to know of the disks. Failures are taken as independent: nothing else is. */
export interface FailureAssumptions {
  /** Failures of one disk in a year: 0.015 is 1.5 %. Greater than 0. */
  annualFailureRate: number;
  /** From the failure to full redundancy: noticing, replacing, copying. Greater than 0. */
  repairDays: number;
}

const DAYS_PER_YEAR = 365;

/**
 * The chance in a year that one set of k + m disks loses more than m at once, by the exact birth-death chain: state i is
 * "i disks down", it grows at (n - i) times the failure rate and shrinks at i repairs in `repairDays` (each disk is
 * repaired on its own), or at one repair when they queue (`parallelRepair` false). With h_i the mean time from i to i + 1,
 * the mean time to loss is the sum of h_0 to h_m.
 */
export function annualLossProbability(
  { k, m }: ErasureCode,
  { annualFailureRate, repairDays }: FailureAssumptions,
  parallelRepair = true,
): number {
  assert(annualFailureRate > 0 && repairDays > 0, 'rates and times are positive');
  const repairsPerYear = DAYS_PER_YEAR / repairDays;
  let stepYears = 0;
  let yearsToLoss = 0;
  for (let down = 0; down <= m; down++) {
    const repairs = (parallelRepair ? down : Math.min(down, 1)) * repairsPerYear;
    stepYears = (1 + repairs * stepYears) / ((k + m - down) * annualFailureRate);
    yearsToLoss += stepYears;
  }
  return -Math.expm1(-1 / yearsToLoss);
}

/** The closed form for rare failures and parallel repair: (m + 1) C(n, m + 1) AFR^(m + 1) R^m. May exceed 1 where it does not apply. */
export function approximateAnnualLoss(
  { k, m }: ErasureCode,
  { annualFailureRate, repairDays }: FailureAssumptions,
): number {
  const repairYears = repairDays / DAYS_PER_YEAR;
  return (m + 1) * binomial(k + m, m + 1) * annualFailureRate ** (m + 1) * repairYears ** m;
}

/**
 * The same with damage that nobody has read yet: a shard is also gone while a latent corruption waits for the scrub,
 * on average half a period, and while it is repaired.
 */
export function annualLossWithLatentDamage(
  code: ErasureCode,
  assumptions: FailureAssumptions,
  latent: { corruptionsPerShardYear: number; scrubDays: number },
): number {
  const { k, m } = code;
  const { annualFailureRate, repairDays } = assumptions;
  const rate = latent.corruptionsPerShardYear;
  const unavailable = (annualFailureRate * repairDays + rate * (latent.scrubDays / 2 + repairDays)) / DAYS_PER_YEAR;
  const loss = (k + m) * binomial(k + m - 1, m) * unavailable ** m * (annualFailureRate + rate);
  return Math.min(1, loss);
}

/** 0.999 is 3. Infinity for a loss too small for a double. */
export function nines(lossProbability: number): number {
  return -Math.log10(lossProbability);
}

function binomial(n: number, r: number): number {
  let product = 1;
  for (let i = 1; i <= r; i++) product = (product * (n - r + i)) / i;
  return product;
}
