import { expect, test } from 'vitest';
import type { BlobRecord } from '../../src/model/blob.ts';
import { Collector } from '../../src/healing/collector.ts';
import { silentLog } from '../../src/observability/log.ts';
import { bodyOf, DataStoreHarness } from '../support/data-store-harness.ts';
import { settle } from '../support/simulated-clock.ts';

const SEED = Number(process.env['HOLDFAST_TEST_SEED'] ?? 1);
const ROUNDS = Number(process.env['HOLDFAST_CRASH_ROUNDS'] ?? 6);

interface Expected {
  blob: BlobRecord;
  identity: string;
}

/** A process at work: puts, deletes and a collector, until it dies. Acknowledged puts are in `expected`. */
function work(harness: DataStoreHarness, expected: Map<number, Expected>, round: number): () => Promise<void> {
  const { ledger, cluster } = harness;
  const { random } = cluster;
  const workers: Promise<void>[] = [];
  const isDead = { value: false };
  for (let worker = 0; worker < 6; worker++) {
    workers.push(
      (async () => {
        for (let i = 0; !isDead.value; i++) {
          const identity = `${round}/${worker}/${i}`;
          const size = random.below(4) === 0 ? 20_000 + random.below(200_000) : random.below(16_000);
          try {
            const blob = await harness.put(bodyOf(identity, size));
            if (!isDead.value) expected.set(blob.blobId, { blob, identity });
            if (random.below(2) === 0) {
              const victim = random.pick([...expected.keys()]);
              expected.delete(victim);
              await ledger.removeBlob(victim);
            }
          } catch (error) {
            if (!isDead.value) throw error;
          }
        }
      })(),
    );
  }
  const collector = new Collector({
    dataStore: harness.store,
    retireVolume: (volumeId) => harness.store.retireVolume(volumeId),
    metadataStore: ledger,
    clock: cluster.clock,
    log: silentLog,
    rateBytesPerSecond: 2 ** 40,
  });
  workers.push(
    (async () => {
      while (!isDead.value) {
        try {
          await collector.collectOnce();
        } catch (error) {
          if (!isDead.value) throw error;
        }
        await settle();
      }
    })(),
  );
  return async () => {
    isDead.value = true;
    await harness.withTime(Promise.all(workers));
  };
}

for (const code of [
  { k: 2, m: 1 },
  { k: 4, m: 2 },
]) {
  for (let seed = SEED; seed < SEED + 2; seed++) {
    test(`${code.k}+${code.m}: power cuts under load keep every acknowledged blob (seed ${seed})`, async () => {
      const harness = await DataStoreHarness.start({ code, seed, tunables: { smallVolumeLimitBytes: 600_000 } });
      const { random } = harness.cluster;
      const expected = new Map<number, Expected>();
      for (let round = 0; round < ROUNDS; round++) {
        const end = work(harness, expected, round);
        for (let turn = 5 + random.below(60); turn > 0; turn--) await settle();
        harness.crash(random.pick(['random', 'random', 'torn', 'drop-all', 'keep-all']));
        await end();
        await harness.restart();
        // The journal decides what lives: moves and deletes whose acknowledgement was lost included.
        for (const [blobId, { identity }] of expected) {
          const blob = harness.journal.blobs.get(blobId);
          if (blob === undefined) {
            expected.delete(blobId);
            continue;
          }
          const body = await harness.get(blob);
          expect(body.equals(bodyOf(identity, blob.sizeBytes)), `round ${round}: ${identity}`).toBe(true);
        }
      }
      const lost = random.shuffle(harness.cluster.disks.map((_, i) => i)).slice(0, code.m);
      harness.cluster.detach(lost);
      for (const [blobId, { identity }] of expected) {
        const blob = harness.journal.blobs.get(blobId)!;
        const body = await harness.get(blob);
        expect(body.equals(bodyOf(identity, blob.sizeBytes)), `without ${lost.join()}: ${identity}`).toBe(true);
      }
      expect(expected.size).toBeGreaterThan(0);
    });
  }
}
