import { expect, test } from 'vitest';
import { PlacedVolumes } from '../../../src/healing/placed-volumes.ts';
import type { VolumeRecord } from '../../../src/model/blob.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const DISKS = ['a', 'b', 'c', 'd', 'e'];

function facts(placed: PlacedVolumes) {
  const groups = [...placed.groups()].map(({ storageClass, k, diskIds, volumes, lengthBytes }) => ({
    key: `${storageClass ?? ''} ${k} ${diskIds.toSorted().join(' ')}`,
    volumes: volumes.map(({ volumeId }) => volumeId),
    lengthBytes,
  }));
  groups.sort((one, other) => (one.key < other.key ? -1 : 1));
  return { groups, held: DISKS.map((id) => placed.isHeldBy(id)), left: DISKS.map((id) => placed.hasLeftovers(id)) };
}

test('what was followed change by change is what would be read anew', () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandomness(seed);
    const pick = (count: number): number => Math.floor(random.fraction() * count);
    const volumes = new Map<number, VolumeRecord>();
    const followed = PlacedVolumes.of([]);
    for (let version = 1; version <= 200; version++) {
      const volumeId = pick(30);
      const isForgotten = pick(6) === 0;
      if (isForgotten) volumes.delete(volumeId);
      else {
        const from = pick(3);
        volumes.set(volumeId, {
          volumeId,
          k: 1,
          m: 1,
          // The same disks in other slots are the same group.
          diskIds: pick(2) === 0 ? [DISKS[from]!, DISKS[from + 1]!] : [DISKS[from + 1]!, DISKS[from]!],
          purpose: 'small',
          shardSizeBytes: 4096,
          state: (['open', 'sealed', 'sealed', 'dropped'] as const)[pick(4)]!,
          lengthBytes: 4096 * pick(5),
          liveBytes: pick(3),
          storedBytes: 3,
          undroppedDiskIds: pick(4) === 0 ? [DISKS[4]!] : [],
          ...(pick(3) === 0 ? { storageClass: 'ARCHIVE' } : {}),
        });
      }
      const changed = volumes.get(volumeId);
      followed.apply({
        version,
        isWhole: false,
        volumes: changed === undefined ? [] : [changed],
        forgottenVolumeIds: changed === undefined ? [volumeId] : [],
      });
      expect(facts(followed), `seed ${seed}, step ${version}`).toEqual(facts(PlacedVolumes.of([...volumes.values()])));
      expect(followed.version).toBe(version);
    }
  }
});
