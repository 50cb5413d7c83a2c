import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  annualLossProbability,
  annualLossWithLatentDamage,
  approximateAnnualLoss,
  nines,
} from '../../../src/healing/durability-model.ts';

/** Nines by the exact chain, parallel repair, as published: rows AFR, columns repair of 4 h, 1 d, 3 d, 6.5 d. */
const PUBLISHED: [k: number, m: number, afr: number, nines: [number, number, number, number]][] = [
  [4, 2, 0.00405, [12.1, 10.5, 9.6, 8.9]],
  [4, 2, 0.0136, [10.5, 8.9, 8.0, 7.3]],
  [4, 2, 0.05, [8.8, 7.3, 6.3, 5.6]],
  [8, 4, 0.00405, [21.7, 18.6, 16.7, 15.4]],
  [8, 4, 0.0136, [19.1, 16.0, 14.1, 12.7]],
  [8, 4, 0.05, [16.3, 13.2, 11.3, 9.9]],
  [17, 3, 0.00405, [15.3, 13.0, 11.5, 10.5]],
  [17, 3, 0.0136, [13.2, 10.9, 9.4, 8.4]],
  [17, 3, 0.05, [10.9, 8.6, 7.2, 6.2]],
];

describe('annualLossProbability', () => {
  it('gives the nines of the published table', () => {
    for (const [k, m, annualFailureRate, row] of PUBLISHED) {
      const got = [4 / 24, 1, 3, 6.5].map((repairDays) =>
        nines(annualLossProbability({ k, m }, { annualFailureRate, repairDays })),
      );
      for (const [column, expected] of row.entries()) expect(got[column]).toBeCloseTo(expected, 0.9);
    }
  });

  it('agrees with a simulation of disks that fail and are repaired', () => {
    // 2+1 disks that fail twice a year and take 30 days: losses are common enough to count.
    const [n, m, rate, repairs] = [3, 1, 2, 365 / 30];
    let seed = 7;
    const uniform = (): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return (seed + 0.5) / 2 ** 32;
    };
    let years = 0;
    let losses = 0;
    while (losses < 4000) {
      let down = 0;
      while (down <= m) {
        const up = (n - down) * rate;
        const total = up + down * repairs;
        years += -Math.log(uniform()) / total;
        down += uniform() < up / total ? 1 : -1;
      }
      losses++;
    }
    const simulated = -Math.expm1(-losses / years);
    const computed = annualLossProbability({ k: 2, m: 1 }, { annualFailureRate: 2, repairDays: 30 });
    expect(Math.abs(computed / simulated - 1)).toBeLessThan(0.06);
  });

  it('is close to the closed form where failures are rare, and is the failure of any disk without parity', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 4 }),
        fc.double({ min: 0.001, max: 0.03, noNaN: true }),
        (k, m, annualFailureRate) => {
          const assumptions = { annualFailureRate, repairDays: 0.5 };
          const ratio = annualLossProbability({ k, m }, assumptions) / approximateAnnualLoss({ k, m }, assumptions);
          expect(ratio).toBeGreaterThan(0.98);
          expect(ratio).toBeLessThan(1.02);
        },
      ),
    );
    expect(annualLossProbability({ k: 3, m: 0 }, { annualFailureRate: 0.01, repairDays: 1 })).toBeCloseTo(0.0296, 4);
  });

  it('is worse when repairs queue, when they take longer, and when damage waits for a scrub', () => {
    const code = { k: 4, m: 2 };
    const base = { annualFailureRate: 0.015, repairDays: 1 };
    const loss = annualLossProbability(code, base);
    expect(annualLossProbability(code, base, false)).toBeGreaterThan(loss * 1.9);
    expect(nines(loss) - nines(annualLossProbability(code, { ...base, repairDays: 10 }))).toBeCloseTo(2, 1);
    const scrubbed = (scrubDays: number): number =>
      annualLossWithLatentDamage(code, base, { corruptionsPerShardYear: 0.01, scrubDays });
    expect(scrubbed(30)).toBeGreaterThan(loss);
    expect(scrubbed(365)).toBeGreaterThan(scrubbed(30));
    expect(annualLossWithLatentDamage(code, base, { corruptionsPerShardYear: 0, scrubDays: 30 }) / loss).toBeCloseTo(
      1,
      1,
    );
  });
});
