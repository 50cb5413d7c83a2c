import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import type { ExplainedAddress, ExplainReport } from '../admin/explain-report.ts';
import type { Finding, StatusReport } from '../admin/status-report.ts';
import { collectStatus } from '../cli/collect-status.ts';
import { configurationFindings } from '../cli/doctor/doctor.ts';
import type { StorageOptions } from '../cli/server-types.ts';
import { QUARANTINE_DIRECTORY, VOLUME_DIRECTORY } from '../data-store/volume/volume-file.ts';
import type { DiskFs } from '../disk/disk-fs.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import { StoreError } from '../errors/store-error.ts';
import { clusterTagOf } from '../metadata-store/journal/frame.ts';
import type { JournalPosition } from '../metadata-store/journal/journal.ts';
import type { JournalConfiguration } from '../metadata-store/journal/journal-configuration.ts';
import { scanJournal } from '../metadata-store/journal/journal-scan.ts';
import { JOURNAL_DIRECTORY, type JournalState, readState } from '../metadata-store/journal/journal-state.ts';
import type { MetadataStatus } from '../metadata-store/metadata-store.ts';
import { IndexQueries } from '../metadata-store/sqlite/index-queries.ts';
import { INDEX_SCHEMA_VERSION } from '../metadata-store/sqlite/index-schema.ts';
import { OwnerTable } from '../metadata-store/sqlite/owner-table.ts';
import type { VolumeRecord } from '../model/blob.ts';
import { storageClassesOf } from '../model/storage-class.ts';
import { VolumeGroups } from '../model/volume-groups.ts';
import { damageQueriesOf, explainObject, objectQueryOf } from './explain-object.ts';
import { INDEX_FILE, openDisks } from './open-metadata.ts';

/** The end of each journal is read; two segments at the least. */
const SCAN_BYTES = 0;

const INDEX_MISSING: Finding = {
  code: 'index-missing',
  severity: 'info',
  message: 'the index is missing: counts are not known',
  fix: 'Nothing to do: the next start rebuilds it from the disks.',
};

/** What lies on one disk, read without changing anything. */
interface DiskContent {
  diskId: string;
  state: JournalState | undefined;
  last: JournalPosition | undefined;
  configuration: JournalConfiguration | undefined;
  lastWrittenAtMs: number | undefined;
  journalBytes: number;
  volumeBytes: number;
  quarantinedBytes: number;
}

/** See `Composition.readOfflineStatus`. Counts come from the index as it was left; what only a recovery can know is not guessed. */
export async function readOfflineStatus(options: StorageOptions): Promise<StatusReport> {
  const disks = await openDisks(options, { acquireLock: () => ({ release: () => {} }) });
  try {
    return await report(options, disks);
  } finally {
    await disks.close();
  }
}

async function report(options: StorageOptions, disks: LocalDiskSet): Promise<StatusReport> {
  const { config, stateDirectory } = options;
  const contents = await Promise.all(
    disks.disks.filter(({ state }) => state === 'online').map(({ id, fs }) => inspect(id, fs, disks.clusterId)),
  );
  const configuration = newestConfiguration(contents);
  if (configuration !== undefined) disks.applyList(configuration.diskIds);
  const { k, m } = configuration ?? disks.cluster.code;
  const code = { k, m };
  const index = readIndex(path.join(stateDirectory, INDEX_FILE));
  return collectStatus({
    mode: 'offline',
    version: options.version,
    clusterId: disks.clusterId,
    accountId: index.accountId,
    region: config.s3.region,
    sync: config.durability.sync,
    readiness: { isReady: false, phase: 'offline', percent: 0, timeLeftMs: undefined, detail: undefined },
    code,
    storageClasses: storageClassesOf(code, config.storage.classes),
    writeCode: undefined,
    disks: disks.disks,
    unusedDirectories: disks.unusedPaths(),
    moves: undefined,
    metadata: { ...metadataStatus(contents), ...index.counts },
    volumeGroups: VolumeGroups.of(index.volumes).values(),
    diskUsage: new Map(
      contents.map(({ diskId, volumeBytes, quarantinedBytes }) => [
        diskId,
        { volumeBytes, preallocatedBytes: 0, quarantinedBytes },
      ]),
    ),
    reserveBytes: (disk) => Math.min(config.storage.reserve, Math.floor(disk.space.totalBytes / 10)),
    collector: undefined,
    healing: undefined,
    scrub: undefined,
    lastCensus: undefined,
    lifecycle: undefined,
    encryption: undefined,
    lastRecordAtMs: newestRecordAtMs(contents),
    clockJump: undefined,
    startedAtMs: undefined,
    endpoints: [],
    findings: [...configurationFindings(config), ...(index.isMissing ? [INDEX_MISSING] : [])],
  });
}

/** What the disk with the newest frames says of the list; identities may be older. */
function newestConfiguration(contents: readonly DiskContent[]): JournalConfiguration | undefined {
  const best = contents.reduce<DiskContent | undefined>((one, other) => {
    return other.last !== undefined && isAfter(other.last, one?.last) ? other : one;
  }, undefined);
  return best?.configuration ?? best?.state?.configuration;
}

function newestRecordAtMs(contents: readonly DiskContent[]): number | undefined {
  const times = contents.flatMap(({ lastWrittenAtMs }) => lastWrittenAtMs ?? []);
  return times.length === 0 ? undefined : Math.max(...times);
}

async function inspect(diskId: string, fs: DiskFs, clusterId: string): Promise<DiskContent> {
  const [read, journalBytes, volumeBytes, quarantinedBytes] = await Promise.all([
    readState(fs),
    directoryBytes(fs, JOURNAL_DIRECTORY),
    directoryBytes(fs, VOLUME_DIRECTORY),
    directoryBytes(fs, QUARANTINE_DIRECTORY),
  ]);
  const state = typeof read === 'object' ? read : undefined;
  const scan = state === undefined ? undefined : await scanJournal(fs, state, clusterTagOf(clusterId), SCAN_BYTES);
  const { last, lastWrittenAtMs } = scan ?? {};
  const configuration = scan?.configurations.at(-1)?.configuration;
  return { diskId, state, last, configuration, lastWrittenAtMs, journalBytes, volumeBytes, quarantinedBytes };
}

async function directoryBytes(fs: DiskFs, directory: string): Promise<number> {
  if ((await fs.stat(directory)) === undefined) return 0;
  const files = await Promise.all((await fs.list(directory)).map((name) => fs.stat(`${directory}/${name}`)));
  return files.reduce((sum, facts) => sum + (facts?.sizeBytes ?? 0), 0);
}

type Counts = Pick<MetadataStatus, 'bucketCount' | 'objectCount' | 'uploadCount' | 'damageCount' | 'indexBytes'>;

/** A disk is called level when no other present one holds later frames; only a start decides what was acknowledged. */
function metadataStatus(contents: readonly DiskContent[]): Omit<MetadataStatus, keyof Counts> {
  let newest: JournalPosition | undefined;
  for (const { last } of contents) if (last !== undefined && isAfter(last, newest)) newest = last;
  const checkpoints = new Map<string, MetadataStatus['checkpoints'][number]>();
  for (const { diskId, state } of contents) {
    for (const { position, sizeBytes, createdAtMs } of state?.checkpoints ?? []) {
      const name = position.hash.toString('hex');
      const { epoch, sequence } = position;
      const facts = checkpoints.get(name) ?? { epoch, sequence, holders: [], sizeBytes, createdAtMs };
      facts.holders.push(diskId);
      checkpoints.set(name, facts);
    }
  }
  return {
    epoch: newest?.epoch ?? 0,
    sequence: newest?.sequence ?? 0,
    disks: contents.map(({ diskId, state, last, journalBytes }) => ({
      diskId,
      carriesJournal: state !== undefined,
      wasBehindAtStart: false,
      isLevel: last !== undefined && newest !== undefined && last.hash.equals(newest.hash),
      journalBytes,
      checkpointBytes: 0,
    })),
    checkpoints: [...checkpoints.values()].sort((a, b) => b.epoch - a.epoch || b.sequence - a.sequence),
    formatVersion: Math.max(1, ...contents.map(({ state }) => state?.format ?? 1)),
  };
}

function isAfter(position: JournalPosition, other: JournalPosition | undefined): boolean {
  if (other === undefined) return true;
  return position.epoch > other.epoch || (position.epoch === other.epoch && position.sequence > other.sequence);
}

interface IndexFacts {
  isMissing: boolean;
  accountId: string | undefined;
  counts: Counts;
  volumes: VolumeRecord[];
}

function readIndex(file: string): IndexFacts {
  const indexBytes = existsSync(file) ? statSync(file).size : 0;
  const nothing: IndexFacts = {
    isMissing: true,
    accountId: undefined,
    counts: { bucketCount: 0, objectCount: 0, uploadCount: 0, damageCount: 0, indexBytes },
    volumes: [],
  };
  if (indexBytes === 0) return nothing;
  const db = new Database(file, { readonly: true, fileMustExist: true });
  try {
    const queries = new IndexQueries(db, new OwnerTable(db));
    const owner = queries.document({ collection: 'cluster', id: 'owner' });
    const accountId =
      owner === undefined ? undefined : (JSON.parse(owner.toString('utf8')) as { accountId: string }).accountId;
    return { isMissing: false, accountId, counts: { ...queries.counts(), indexBytes }, volumes: queries.volumes() };
  } catch (error) {
    // Damaged or of another version: the next start rebuilds it.
    if (error instanceof Database.SqliteError) return nothing;
    throw error;
  } finally {
    db.close();
  }
}

/** See `Composition.explainOffline`. */
export async function explainOffline(
  options: StorageOptions,
  address: ExplainedAddress,
): Promise<ExplainReport | undefined> {
  const file = path.join(options.stateDirectory, INDEX_FILE);
  if (!existsSync(file)) {
    throw new StoreError('IndexFailed', 'the index is missing: only a start can say where objects lie', {
      hint: 'Start the server: it rebuilds the index from the disks.',
    });
  }
  const disks = await openDisks(options, { acquireLock: () => ({ release: () => {} }) });
  const db = new Database(file, { readonly: true, fileMustExist: true });
  try {
    if (db.pragma('user_version', { simple: true }) !== INDEX_SCHEMA_VERSION) {
      throw new StoreError(
        'IndexFailed',
        'the index is one of another release: only a start can say where objects lie',
        {
          hint: 'Start the server: it brings the index up to date.',
        },
      );
    }
    const { bucketName } = address;
    const queries = new IndexQueries(db, new OwnerTable(db));
    const bucket = queries.bucket(bucketName);
    const object = bucket && queries.object(objectQueryOf(bucket.bucketId, address));
    if (object === undefined || object.isDeleteMarker) return undefined;
    const volumes = queries.volumes();
    const damage = damageQueriesOf(object).flatMap((query) => queries.damage(query));
    return explainObject({ mode: 'offline', bucketName, object, volumes, damage, disks: disks.disks });
  } finally {
    db.close();
    await disks.close();
  }
}
