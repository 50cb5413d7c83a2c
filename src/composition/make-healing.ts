import type { ServerOptions } from '../cli/server-types.ts';
import type { StripedDataStore } from '../data-store/striped-data-store.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import { CensusRunner } from '../healing/census-runner.ts';
import { Collector } from '../healing/collector.ts';
import { DamageRecorder } from '../healing/damage-recorder.ts';
import { Healer } from '../healing/healer.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';

/** What works in the background on the stores. */
export interface Healing {
  collector: Collector;
  damageRecorder: DamageRecorder;
  healer: Healer;
  census: CensusRunner;
  start(): void;
  /** Before the stores. */
  stop(): Promise<void>;
}

export function makeHealing(
  { clock, config, log }: ServerOptions,
  parts: {
    disks: LocalDiskSet;
    metadataStore: MetadataStore;
    dataStore: StripedDataStore;
    requestsInFlight: () => number;
  },
): Healing {
  const { disks, metadataStore, dataStore, requestsInFlight } = parts;
  const common = {
    volumeKeeper: dataStore,
    metadataStore,
    disks: () => disks.disks,
    clock,
    rateBytesPerSecond: config.storage.healRate,
    requestsInFlight,
  };
  const collector = new Collector({
    dataStore,
    metadataStore,
    clock,
    log: log.child({ part: 'collector' }),
    rateBytesPerSecond: config.storage.collectorRate,
  });
  const damageRecorder = new DamageRecorder({ dataStore, metadataStore, clock, log: log.child({ part: 'damage' }) });
  const healer = new Healer({
    ...common,
    log: log.child({ part: 'healer' }),
    onDiskChange: (listener) => disks.onChange(listener),
  });
  const census = new CensusRunner({ ...common, code: disks.cluster.code, log: log.child({ part: 'census' }) });
  return {
    collector,
    damageRecorder,
    healer,
    census,
    start: () => {
      collector.start();
      damageRecorder.start();
      healer.start();
    },
    stop: async () => {
      await Promise.all([collector.stop(), damageRecorder.stop(), healer.stop(), census.stop()]);
    },
  };
}
