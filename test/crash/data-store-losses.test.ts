import { expect, test } from 'vitest';
import { Collector } from '../../src/healing/collector.ts';
import { isStoreError } from '../../src/errors/store-error.ts';
import { silentLog } from '../../src/observability/log.ts';
import { bodyOf, DataStoreHarness } from '../support/data-store-harness.ts';
import { settle } from '../support/simulated-clock.ts';

const SEED = Number(process.env['HOLDFAST_TEST_SEED'] ?? 1);
const ROUNDS = Number(process.env['HOLDFAST_CRASH_ROUNDS'] ?? 5);

/**
 * Disks vanish (noticed by the watcher or not), come back, are emptied of un-synced bytes by power cuts; at the end of
 * each round all that was acknowledged must read with any m disks gone, whichever were gone while it was written.
 */
for (const code of [
  { k: 4, m: 2 },
  { k: 2, m: 2 },
  { k: 1, m: 1 },
]) {
  for (let seed = SEED; seed < SEED + 2; seed++) {
    test(`${code.k}+${code.m}: disks that come and go under load lose nothing (seed ${seed})`, async () => {
      const harness = await DataStoreHarness.start({ code, seed });
      const { random } = harness.cluster;
      const all = harness.cluster.diskIds.map((_, index) => index);
      const identities = new Map<number, string>();
      for (let round = 0; round < ROUNDS; round++) {
        const flags = { isOver: false };
        const workers = Array.from({ length: 5 }, async (_, worker) => {
          for (let i = 0; !flags.isOver; i++) {
            const identity = `${seed}/${round}/${worker}/${i}`;
            const size = random.below(3) === 0 ? 17_000 + random.below(150_000) : random.below(16_000);
            try {
              const blob = await harness.put(bodyOf(identity, size));
              identities.set(blob.blobId, identity);
              if (random.below(3) === 0) await harness.ledger.removeBlob(random.pick([...identities.keys()]));
            } catch (error) {
              // Too few disks at some moment: refused, not acknowledged.
              if (!isStoreError(error)) throw error;
              await settle();
            }
          }
        });
        const gone = random.shuffle(all).slice(0, 1 + random.below(code.m));
        for (const index of gone) {
          for (let turn = random.below(15); turn > 0; turn--) await settle();
          harness.cluster.detach([index], { isNoticed: random.below(2) === 0 });
        }
        for (let turn = 10 + random.below(20); turn > 0; turn--) await settle();
        flags.isOver = true;
        await harness.withTime(Promise.all(workers));
        const ending = random.below(3);
        if (ending === 0) {
          harness.crash(random.pick(['random', 'drop-all', 'torn']));
          await harness.restart();
        } else if (ending === 1) {
          await harness.withTime(harness.store.stop());
          harness.cluster.restart();
          await harness.restart();
        }
        harness.cluster.noticeDetached();
        for (const disk of harness.cluster.disks) disk.attach();
        harness.cluster.attach(all);
        for (const { id, state } of harness.cluster.diskSet.disks) {
          if (state !== 'online') harness.cluster.diskSet.setState(id, 'online');
        }
        const collector = new Collector({
          dataStore: harness.store,
          retireVolume: (volumeId) => harness.store.retireVolume(volumeId),
          metadataStore: harness.ledger,
          clock: harness.cluster.clock,
          log: silentLog,
          rateBytesPerSecond: 2 ** 40,
        });
        await harness.withTime(collector.collectOnce());
        expect(collector.report().lastError).toBeUndefined();
        const lost = random.shuffle(all).slice(0, code.m);
        harness.cluster.detach(lost);
        for (const blob of harness.journal.blobs.values()) {
          const identity = identities.get(blob.blobId);
          // Committed by a put whose answer the round did not wait for: not acknowledged, but whole.
          if (identity === undefined) continue;
          const isRight = (await harness.get(blob)).equals(bodyOf(identity, blob.sizeBytes));
          expect(isRight, `round ${round}, gone ${gone.join()}, then ${lost.join()}: ${identity}`).toBe(true);
        }
        harness.cluster.attach(lost);
        for (const index of lost) harness.cluster.diskSet.markLevel(harness.cluster.diskIds[index]!);
      }
      expect(harness.journal.blobs.size).toBeGreaterThan(10);
    });
  }
}
