import { expect, test } from 'vitest';
import { codeFor, placementGroups, placeVolume, type PlacementDisk } from '../../../src/data-store/placement.ts';

const disksOf = (count: number, change: Record<number, Partial<PlacementDisk>> = {}): PlacementDisk[] =>
  Array.from({ length: count }, (_, i) => ({ id: `d${i}`, isUsable: true, freeBytes: 1000, ...change[i] }));

const CODE = { k: 4, m: 2 };

test('a code narrows with the usable disks down to m + 1, then writes are refused', () => {
  expect([6, 5, 4, 3, 2].map((usable) => codeFor(CODE, usable))).toEqual([
    { k: 4, m: 2 },
    { k: 3, m: 2 },
    { k: 2, m: 2 },
    { k: 1, m: 2 },
    undefined,
  ]);
  expect(codeFor({ k: 1, m: 0 }, 1)).toEqual({ k: 1, m: 0 });
  expect(codeFor({ k: 1, m: 0 }, 0)).toBeUndefined();
});

test('with exactly n usable disks all are taken, whatever the list holds besides', () => {
  const disks = disksOf(9, { 1: { isUsable: false }, 4: { isUsable: false }, 8: { isUsable: false } });
  const placement = placeVolume({ configured: CODE, disks, fraction: 0.3 });
  expect(placement).toEqual({ code: CODE, diskIds: ['d0', 'd2', 'd3', 'd5', 'd6', 'd7'] });
});

test('every placement has k + m different usable disks, whichever are away', () => {
  for (const count of [6, 7, 8, 12, 13, 30]) {
    for (let away = 0; away < count; away++) {
      const disks = disksOf(count, { [away]: { isUsable: false }, [(away * 7 + 3) % count]: { isUsable: false } });
      const usable = disks.filter((disk) => disk.isUsable);
      for (let step = 0; step < 20; step++) {
        const placement = placeVolume({ configured: CODE, disks, fraction: step / 20 });
        const expected = codeFor(CODE, usable.length);
        expect(placement?.code).toEqual(expected);
        expect(new Set(placement!.diskIds).size).toBe(expected!.k + expected!.m);
        for (const id of placement!.diskIds) expect(usable.some((disk) => disk.id === id)).toBe(true);
      }
    }
  }
});

test('every disk of a list of any length is in some group, and groups are few', () => {
  for (let count = 6; count <= 40; count++) {
    const groups = placementGroups(count, 6);
    expect(new Set(groups.flat()).size).toBe(count);
    for (const group of groups) expect(new Set(group).size).toBe(6);
    expect(groups.length).toBeLessThanOrEqual(count === 6 ? 1 : Math.max(11, 2 * Math.ceil(count / 6)));
  }
});

test('with 30 disks, three that fail together hold three shards of something in at most a tenth of cases', () => {
  const groups = placementGroups(30, 6).map((group) => new Set(group));
  let hit = 0;
  let total = 0;
  for (let a = 0; a < 30; a++) {
    for (let b = a + 1; b < 30; b++) {
      for (let c = b + 1; c < 30; c++) {
        total++;
        if (groups.some((group) => group.has(a) && group.has(b) && group.has(c))) hit++;
      }
    }
  }
  expect(hit / total).toBeLessThan(0.1);
});

test('fuller groups are chosen less often', () => {
  const disks = disksOf(12, Object.fromEntries(Array.from({ length: 6 }, (_, i) => [i, { freeBytes: 10 }])));
  let emptier = 0;
  for (let step = 0; step < 1000; step++) {
    const placement = placeVolume({ configured: CODE, disks, fraction: step / 1000 });
    if (placement!.diskIds.every((id) => Number(id.slice(1)) >= 6)) emptier++;
  }
  expect(emptier).toBeGreaterThan(900);
});
