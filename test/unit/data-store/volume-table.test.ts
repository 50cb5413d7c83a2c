import { expect, test } from 'vitest';
import { VolumeTable } from '../../../src/data-store/volume/volume-table.ts';
import { StoreError } from '../../../src/errors/store-error.ts';
import type { VolumeLedger, VolumeRecord } from '../../../src/model/blob.ts';
import { DataStoreHarness } from '../../support/data-store-harness.ts';

const RECORD: VolumeRecord = {
  volumeId: 7,
  k: 1,
  m: 1,
  diskIds: ['a', 'b'],
  purpose: 'small',
  shardSizeBytes: 4096,
  state: 'sealed',
  lengthBytes: 8192,
  liveBytes: 1,
  storedBytes: 1,
  undroppedDiskIds: [],
};

test('a list of volumes that was asked for before a shard moved does not take the shard back', async () => {
  const asked: ((records: VolumeRecord[]) => void)[] = [];
  const listVolumes = (): Promise<VolumeRecord[]> => new Promise((resolve) => asked.push(resolve));
  const table = new VolumeTable({ listVolumes } as unknown as VolumeLedger);
  table.add(RECORD, 'sealed');
  const refreshing = table.refresh();
  const lookingUp = table.lookUp(7);
  table.moved({ volumeId: 7, shardIndex: 1, toDiskId: 'c' });
  for (const answer of asked) answer([RECORD]);
  await refreshing;
  await lookingUp;
  expect(table.get(7)?.diskIds).toEqual(['a', 'c']);
  const later = table.refresh();
  asked.at(-1)!([{ ...RECORD, diskIds: ['d', 'c'] }]);
  await later;
  expect(table.get(7)?.diskIds).toEqual(['d', 'c']);
});

test('a volume that is being opened is not sealed by whoever lists volumes at that moment', async () => {
  const harness = await DataStoreHarness.start({ code: { k: 2, m: 1 } });
  const { ledger, journal } = harness;
  const openVolume = ledger.openVolume.bind(ledger);
  // Acknowledged, and the answer has not arrived: what comes back with a disk looks at all volumes now.
  ledger.openVolume = async (volume) => {
    await openVolume(volume);
    harness.cluster.detach([2]);
    harness.cluster.attach([2]);
    harness.cluster.diskSet.markLevel(harness.cluster.diskIds[2]!);
    await harness.cluster.clock.advance(10_000);
  };
  await harness.withTime(harness.put(Buffer.from('a body')));
  const [volume] = [...journal.volumes.values()];
  expect(volume?.state).toBe('open');
});

test('a volume whose opening failed is not known', async () => {
  const harness = await DataStoreHarness.start({ code: { k: 2, m: 1 } });
  const opened: number[] = [];
  harness.ledger.openVolume = async ({ volumeId }) => {
    opened.push(volumeId);
    throw new StoreError('QuorumLost', 'too few');
  };
  await expect(harness.withTime(harness.put(Buffer.from('a body')))).rejects.toThrow('too few');
  expect(harness.store.pinnedVolumeIds().has(opened[0]!)).toBe(false);
});
