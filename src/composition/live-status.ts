import type { KeyRing } from '../keys/key-ring.ts';
import { encryptionReport } from './encryption-report.ts';
import type { Finding, ReadinessReport, StatusReport } from '../admin/status-report.ts';
import { collectStatus } from '../cli/collect-status.ts';
import type { ServerOptions } from '../cli/server-types.ts';
import type { DataStore } from '../data-store/data-store.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import type { Healing } from './make-healing.ts';
import type { Lifecycle } from './make-lifecycle.ts';
import { codeOf, type Metadata } from './open-metadata.ts';
import type { VolumeFollower } from './volume-follower.ts';

/** What a running server tells about itself. */
export interface LiveSources {
  disks: LocalDiskSet;
  metadata: Metadata;
  volumes: VolumeFollower;
  dataStore: DataStore;
  healing: Healing;
  lifecycle: Lifecycle;
  accountId: string | undefined;
  ring: KeyRing;
  clockJump: StatusReport['clock']['jump'];
  readiness: ReadinessReport;
  startedAtMs: number;
  endpoints: readonly string[];
  findings: readonly Finding[];
}

/** @throws StoreError IndexFailed | NotReady while the index is rebuilt */
export async function readLiveStatus(options: ServerOptions, sources: LiveSources): Promise<StatusReport> {
  const { disks, metadata, volumes, dataStore, healing, lifecycle, ring, ...rest } = sources;
  const [facts, volumeGroups, diskUsage] = await Promise.all([
    metadata.store.status(),
    volumes.groups(),
    dataStore.diskUsage(),
  ]);
  const { config, version } = options;
  return collectStatus({
    ...rest,
    mode: 'online',
    version,
    clusterId: disks.clusterId,
    region: config.s3.region,
    sync: config.durability.sync,
    code: codeOf(metadata.journal, disks),
    storageClasses: dataStore.storageClasses(),
    writeCode: dataStore.writeCode(),
    disks: disks.disks,
    unusedDirectories: disks.unusedPaths(),
    moves: healing.mover.report(),
    metadata: facts,
    volumeGroups,
    diskUsage,
    reserveBytes: (disk) => Math.min(config.storage.reserve, Math.floor(disk.space.totalBytes / 10)),
    collector: healing.collector.report(),
    healing: healing.healer.report(),
    scrub: healing.scrubber.report(),
    lastCensus: healing.census.progress().last?.report,
    lifecycle: lifecycle.report(),
    encryption: await encryptionReport(config, { ring, store: metadata.store }),
    lastRecordAtMs: metadata.journal.lastRecordAtMs,
  });
}
