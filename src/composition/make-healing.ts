import type { ServerOptions } from '../cli/server-types.ts';
import { placementGroups } from '../data-store/placement.ts';
import type { StripedDataStore } from '../data-store/striped-data-store.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import { CensusRunner } from '../healing/census-runner.ts';
import { Collector } from '../healing/collector.ts';
import { DiskMover } from '../healing/disk-mover.ts';
import { DamageRecorder } from '../healing/damage-recorder.ts';
import { Healer } from '../healing/healer.ts';
import type { MovableDisk } from '../healing/plan-shard-moves.ts';
import { Recoder } from '../healing/recoder.ts';
import { Scrubber } from '../healing/scrubber.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { DiskManager } from './disk-manager.ts';

/** What works in the background on the stores. */
export interface Healing {
  collector: Collector;
  recoder: Recoder;
  damageRecorder: DamageRecorder;
  healer: Healer;
  census: CensusRunner;
  mover: DiskMover;
  scrubber: Scrubber;
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
    diskManager: DiskManager;
    requestsInFlight: () => number;
  },
): Healing {
  const { disks, metadataStore, dataStore, diskManager, requestsInFlight } = parts;
  const common = {
    volumeKeeper: dataStore,
    metadataStore,
    disks: () => disks.disks,
    clock,
    rateBytesPerSecond: config.storage.healRate,
    requestsInFlight,
  };
  const recoder = new Recoder({ metadataStore, dataStore, clock, log: log.child({ part: 'recoder' }) });
  const collector = new Collector({
    dataStore,
    recoder,
    retireVolume: (volumeId) => dataStore.retireVolume(volumeId),
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
  const census = new CensusRunner({
    ...common,
    storageClasses: () => dataStore.storageClasses(),
    log: log.child({ part: 'census' }),
  });
  const mover = new DiskMover({
    mover: healer,
    metadataStore,
    clock,
    log: log.child({ part: 'mover' }),
    disks: () => movableDisks(disks, config.storage.reserve),
    groupsOf: (width) => groupsOfStaying(disks, width),
    onDrained: (diskId) => diskManager.drained(diskId),
    balanceRateBytesPerSecond: config.storage.balanceRate,
  });
  const scrubber = new Scrubber({
    ...common,
    periodMs: config.storage.scrubPeriod,
    log: log.child({ part: 'scrubber' }),
  });
  return {
    collector,
    recoder,
    damageRecorder,
    healer,
    census,
    mover,
    scrubber,
    start: () => {
      collector.start();
      damageRecorder.start();
      healer.start();
      mover.start();
      scrubber.start();
    },
    stop: async () => {
      const all = [collector, damageRecorder, healer, census, scrubber, mover];
      await Promise.all(all.map((each) => each.stop()));
    },
  };
}

/** The disks of the list as the mover sees them. */
export function movableDisks({ disks }: LocalDiskSet, reserveBytes: number): MovableDisk[] {
  return disks
    .filter(({ isListed }) => isListed)
    .map(({ id, acceptsData, isDraining, state, space }) => ({
      id,
      acceptsData,
      isDraining,
      isOnline: state === 'online',
      roomBytes: space.freeBytes - Math.min(reserveBytes, space.totalBytes / 10),
    }));
}

/** Placement groups without the disks that are being emptied. */
function groupsOfStaying({ disks }: LocalDiskSet, width: number): string[][] {
  const staying = disks.filter(({ isListed, isDraining }) => isListed && !isDraining);
  if (staying.length < width) return [];
  return placementGroups(staying.length, width).map((group) =>
    group.flatMap((position) => staying[position]?.id ?? []),
  );
}
