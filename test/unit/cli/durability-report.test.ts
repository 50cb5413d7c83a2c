import { describe, expect, it } from 'vitest';
import { plotDurability } from '../../../src/cli/durability-plot.ts';
import { type DurabilityInputs, renderDurability, reportDurability } from '../../../src/cli/durability-report.ts';

function inputs(change: Partial<DurabilityInputs> = {}): DurabilityInputs {
  return {
    code: { k: 4, m: 2 },
    diskCount: 6,
    marginDiskCount: 2,
    objectCount: 10,
    storageClasses: [{ name: 'REDUCED_REDUNDANCY', code: { k: 5, m: 1 } }],
    usedBytes: 100 * 2 ** 30,
    annualFailureRate: 0.0136,
    replaceHours: 23,
    rebuildBytesPerSecond: (100 * 2 ** 30) / 3600,
    rebuildRateSource: 'given',
    scrubDays: 30,
    corruptionsPerShardYear: 0.01,
    devices: [['/a'], ['/b'], ['/c'], ['/d'], ['/e'], ['/f']],
    ...change,
  };
}

describe('reportDurability', () => {
  it('adds the time of the rebuild to the time of the replacement', () => {
    const report = reportDurability(inputs());
    expect(report.repairDays).toBeCloseTo(1, 6);
    expect(report.nines).toBeCloseTo(8.95, 1);
    expect(report.isSimulated).toBe(false);
    expect(renderDurability(report)).toContain('Chance that any object is lost in a year:');
  });

  it('says simulated and names the directories when they share a device', () => {
    const report = reportDurability(inputs({ devices: [['/a', '/b', '/c'], ['/d']] }));
    const text = renderDurability(report);
    expect(text).toContain('Simulated: 4 directories on 2 devices; no protection against the loss of');
    expect(text).toContain('the device of /a, /b, /c');
    expect(text).not.toContain('the device of /d');
  });

  it('counts fewer nines when a disk holds more and when the code is narrower', () => {
    const nines = reportDurability(inputs()).nines;
    expect(reportDurability(inputs({ usedBytes: 1000 * 2 ** 30 })).nines).toBeLessThan(nines);
    expect(reportDurability(inputs({ code: { k: 2, m: 1 } })).nines).toBeLessThan(nines - 2);
  });
});

describe('plotDurability', () => {
  it('draws the own code, also one that is not among the usual ones', () => {
    const plot = plotDurability({ code: { k: 9, m: 5 }, repairDays: 1, annualFailureRate: 0.015 });
    expect(plot).toContain('9+5 (here)');
    expect(plot.match(/<polyline/g)).toHaveLength(8);
    expect(plot).not.toContain('NaN');
  });
});
