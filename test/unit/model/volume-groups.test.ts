import { expect, test } from 'vitest';
import type { VolumeRecord } from '../../../src/model/blob.ts';
import { VolumeGroups } from '../../../src/model/volume-groups.ts';
import { seededRandom } from '../../support/metadata-workload.ts';

test('sums that volumes came into and left are those of the volumes that stayed', () => {
  const random = seededRandom(11);
  const pick = <T>(values: readonly T[]): T => values[random(values.length)]!;
  const volumes = new Map<number, VolumeRecord>();
  const groups = new VolumeGroups();
  for (let step = 0; step < 2000; step += 1) {
    const volumeId = random(40);
    const before = volumes.get(volumeId);
    if (before !== undefined) groups.remove(before);
    volumes.delete(volumeId);
    if (random(3) === 0) continue;
    const state = pick(['open', 'sealed', 'dropped'] as const);
    const volume: VolumeRecord = {
      volumeId,
      k: pick([1, 2]),
      m: 1,
      diskIds: pick([
        ['a', 'b', 'c'],
        ['b', 'c', 'a'],
        ['d', 'e', 'f'],
      ]),
      purpose: 'small',
      shardSizeBytes: 4096,
      state,
      lengthBytes: state === 'open' ? 0 : random(10_000),
      liveBytes: random(2) * random(10_000),
      storedBytes: 10_000,
      undroppedDiskIds: state === 'dropped' ? pick([[], ['a']]) : [],
    };
    volumes.set(volumeId, volume);
    groups.add(volume);
  }
  const sorted = (of: VolumeGroups) =>
    of
      .values()
      .map((group) => ({ ...group, diskIds: group.diskIds.toSorted() }))
      .sort((a, b) => a.k - b.k || a.diskIds.join().localeCompare(b.diskIds.join()));
  expect(sorted(groups)).toEqual(sorted(VolumeGroups.of(volumes.values())));
  expect(groups.values().length).toBeGreaterThan(1);
  for (const volume of volumes.values()) groups.remove(volume);
  expect(groups.values()).toEqual([]);
});
