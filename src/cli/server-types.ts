import type { ExplainedAddress, ExplainReport } from '../admin/explain-report.ts';
import type { RootKey } from '../access/credential-store.ts';
import type { MasterKey } from '../access/master-key.ts';
import type { Finding, ReadinessReport, StatusReport } from '../admin/status-report.ts';
import type { FileKind, InspectReport } from '../composition/inspect/inspection.ts';
import type { Candidate } from '../composition/recover/recovery-plan.ts';
import type { Config } from '../config/config-schema.ts';
import type { MakeDiskFs } from '../disk/scan-directory.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { Clock, Randomness } from '../model/clock.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { Log } from '../observability/log.ts';

/**
 * What the command line asks of the composition root. `server.ts` implements it; commands get it injected by `main.ts`,
 * so that a test can run every command without a store.
 */
export interface Composition {
  /** Opens nothing yet. */
  createServer(options: ServerOptions): Server;
  /**
   * Writes identity files and first journal records. Resumable: directories of the same, unfinished formatting are
   * finished; any other non-empty directory is refused. All directories exist.
   * @throws StoreError FormatRefused with a hint
   */
  formatStorage(options: FormatOptions): Promise<FormatFacts>;
  /** Reads identities, journal and index without writing anything and without taking the lock. */
  readOfflineStatus(options: StorageOptions): Promise<StatusReport>;
  /** Where a version of an object lies, as the index of the last run says; `undefined`: there is none. Writes nothing. */
  explainOffline(options: StorageOptions, address: ExplainedAddress): Promise<ExplainReport | undefined>;
  /**
   * Decodes one file of a disk; `undefined`: it is none that is known. Writes nothing.
   * @throws Error with `code` ENOENT, EACCES …; StoreError DiskFailed when it cannot be read
   */
  inspectFile(
    path: string,
    options: { kind: FileKind | undefined; withRecords: boolean },
  ): Promise<InspectReport | undefined>;
  /**
   * Opens the metadata store alone, with the lock, for offline changes of credentials.
   * @throws StoreError FormatRefused | QuorumLost; NotReady when another server holds the lock.
   */
  openMetadata(options: StorageOptions): Promise<OpenedMetadata>;
  /**
   * Restores what the shards describe, when the journals are gone; see `holdfast recover`.
   * @throws StoreError FormatRefused: they are enough for a start, nothing was changed | NotReady: a server runs
   */
  recoverFromShards(options: RecoverOptions): Promise<RecoverySummary>;
}

export interface RecoverOptions extends StorageOptions {
  /** Nothing is changed. */
  isListing: boolean;
  /** Disks that are away are lost for good: without this, nothing is done while their return could make a start possible. */
  isWithoutMissing: boolean;
  /** 0 to 1 of the volumes read. */
  onProgress: (fraction: number) => void;
  /** Everything that the shards describe, by bucket and key, before anything is written. */
  onCandidate: (candidate: Candidate & { quarantineKey?: string }) => void;
}

export interface RecoverySummary {
  clusterId: string;
  code: ErasureCode;
  /** Where the disks are. */
  places: readonly { diskId: string; path: string }[];
  buckets: readonly { name: string; hasVersions: boolean }[];
  /** Where candidates lie that were not restored at their keys; `undefined`: there are none. */
  quarantineBucket: string | undefined;
  counts: Record<Candidate['fate'], number>;
  /** Large bodies of which a piece is missing, so that not even their names are known. */
  incompleteBlobCount: number;
  /** Bodies that are described in a way this version does not know. */
  unknownDescriptorCount: number;
  absentDiskCount: number;
  /** The key ring of SSE-S3 and of the local key service: no copy was found, or the master key at hand opens it or does not. */
  keyRing: 'none' | 'opened' | 'sealed';
  /** Files and stripes that could not be read, one line each. */
  problems: readonly string[];
}

export interface StorageOptions {
  version: string;
  config: Config;
  /** Absolute, expanded, in the order given. May name directories that do not exist (lost disks). */
  diskPaths: readonly string[];
  /** Disk id → where it was seen last, as the state directory remembers. */
  lastDiskPaths: ReadonlyMap<string, string>;
  /** See `RememberedCluster.listSequence`. */
  leastListSequence?: number | undefined;
  /** Default: the real file system. For a server whose disks are made to fail on purpose. */
  makeDiskFs?: MakeDiskFs;
  log: Log;
  clock: Clock;
  randomness: Randomness;
  secrets: Secrets;
  /** Absolute; exists. Index, lock and socket go below it. */
  stateDirectory: string;
  /** What the state directory remembers: disks of any other cluster are refused. `undefined`: nothing yet. */
  expectedClusterId: string | undefined;
}

/** Read from environment and files by the command line; never logged. */
export interface Secrets {
  /** `undefined`: the stored root key counts. */
  rootKey: RootKey | undefined;
  /** `undefined`: the key file is lost. */
  masterKey: MasterKey | undefined;
}

export interface ServerOptions extends StorageOptions {
  /** What the brief `doctor` at the start found; `status` shows them with its own. */
  findings: readonly Finding[];
  /** Called on every step of recovery, at most a few times a second. */
  onProgress: (readiness: ReadinessReport) => void;
}

/** One running server. `start` and `stop` are called once each. */
export interface Server {
  /**
   * Opens the listeners first, then recovers; resolves when S3 requests are served.
   * @throws StoreError; or an Error whose `code` is EADDRINUSE | EACCES with `address` and `port` of the listener.
   */
  start(): Promise<ServerFacts>;
  /**
   * Readiness goes off first; then listeners stop accepting, requests finish or are cut, stores close.
   * Resolves after `deadlineMs` at the latest; `isClean` is false when file calls were still stuck then.
   */
  stop(options: { deadlineMs: number }): Promise<{ isClean: boolean }>;
  status(): Promise<StatusReport>;
  /** Loads the certificates again; a bad pair keeps the old one and is logged. */
  reloadTls(): Promise<void>;
}

export interface ServerFacts {
  clusterId: string;
  /** `http://127.0.0.1:9000`, with the port that was really bound. */
  endpoints: string[];
  adminEndpoints: string[];
  region: string;
  code: ErasureCode;
  diskCount: number;
  usableDiskCount: number;
  /** Where the disks of the list are or were. */
  diskPlaces: readonly { diskId: string; path: string }[];
  /** `undefined`: not known. */
  listSequence: number | undefined;
  /** This start made the account and the root key. */
  isCreated: boolean;
  bucketCount: number;
  objectCount: number;
  root: RootKeyFacts;
  warnings: Finding[];
}

interface RootKeyFacts {
  accessKeyId: string;
  secretAccessKey: string;
  accountId: string;
  /** Where the key came from: configuration (environment, file) wins over the stored one. */
  source: 'configuration' | 'stored';
}

export interface FormatOptions extends Omit<StorageOptions, 'secrets' | 'expectedClusterId' | 'lastDiskPaths'> {
  code: ErasureCode;
}

export interface FormatFacts {
  clusterId: string;
  /** An earlier, unfinished formatting was finished. */
  isResumed: boolean;
}

interface OpenedMetadata {
  clusterId: string;
  store: MetadataStore;
  close(): Promise<void>;
}
