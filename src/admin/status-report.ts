import type { ErasureCode } from '../model/erasure-code.ts';
import type { CollectorReport, HealingReport, MovesReport, ScrubReport } from '../model/healing-report.ts';

/** What `holdfast status --json` prints and `/status` of the admin listener answers. Fields are only ever added. */
export interface StatusReport {
  formatVersion: 1;
  /** `offline`: read from the disks by a command while no server runs. */
  mode: 'online' | 'offline';
  version: string;
  cluster: { id: string; accountId: string | undefined; region: string };
  readiness: ReadinessReport;
  /** `relaxed`: writes are acknowledged before they are synced, and a power cut loses them. */
  durability: { sync: 'strict' | 'relaxed' };
  /** The code the disks were formatted for, and the one of volumes opened now; undefined: writes are refused. */
  code: ErasureCode;
  /** STANDARD first. `marginDiskCount` is undefined while nothing lies in the class; else as that of the whole report. */
  storageClasses: { name: string; code: ErasureCode; liveBytes: number; marginDiskCount: number | undefined }[];
  writeCode: ErasureCode | undefined;
  /** How many more disks may be lost now without losing an acknowledged byte; -1: some bytes cannot be read now. */
  marginDiskCount: number;
  counts: { buckets: number; objects: number; uploads: number };
  disks: DiskReport[];
  unusedDirectories: UnusedDirectory[];
  /** Shard files on disks that are no longer in the list: they are rebuilt on others. */
  homelessShardCount: number;
  /** `undefined` offline. */
  moves: MovesReport | undefined;
  volumes: {
    open: number;
    sealed: number;
    /** Dropped, but some disk has not confirmed that its file is gone. */
    dropping: number;
    /** Payload bytes ever committed to volumes not dropped, and those of them that something still names. */
    storedBytes: number;
    liveBytes: number;
  };
  journal: {
    epoch: number;
    sequence: number;
    /** Wall clock of the newest record, where it is known. */ lastRecordAtMs: number | undefined;
  };
  checkpoints: { epoch: number; sequence: number; sizeBytes: number; createdAtMs: number; holders: string[] }[];
  /** `jump`: the clock is not believed, and nothing expires, until it is accepted. Always `undefined` offline. */
  clock: { jump: { expectedAtMs: number; foundAtMs: number } | undefined };
  /** What is written on the disks now, and what this version can write: see `holdfast upgrade`. */
  onDiskFormat: { active: number; newest: number };
  indexBytes: number;
  /** Damaged shards waiting for repair. */
  damagedShardCount: number;
  collector: CollectorReport | undefined;
  /**
   * Volumes of which a disk is away, and shard files that are known or thought to be missing or bad. Nothing here while
   * all disks are online and nothing is known: only a census looks at every shard.
   */
  degraded: { volumeCount: number; suspectFileCount: number; sinceMs: number | undefined };
  healing: HealingReport | undefined;
  scrub: ScrubReport | undefined;
  /** The last census of this run of the server. */
  lastCensus: LastCensus | undefined;
  lifecycle: LifecycleReport | undefined;
  /** `undefined` offline. */
  encryption: EncryptionReport | undefined;
  startedAtMs: number | undefined;
  endpoints: string[];
  warnings: Finding[];
}

export interface ReadinessReport {
  isReady: boolean;
  /** `starting`, a recovery phase, `ready` or `stopping`. */
  phase: string;
  /** 0 to 100. */
  percent: number;
  /** Estimated; undefined while nothing can be said. */
  timeLeftMs: number | undefined;
  detail: string | undefined;
}

export interface DiskReport {
  index: number;
  id: string;
  path: string | undefined;
  /** Where it was seen last. */
  lastPath: string | undefined;
  /**
   * `online`, `suspect`, `failed`, `missing`, `foreign` or `returning`; `draining`: online, and its shards are moved away;
   * `replacing`: being added, not in the list yet.
   */
  state: string;
  stateSinceMs: number;
  stateReason: string | undefined;
  totalBytes: number;
  freeBytes: number;
  reserveBytes: number;
  acceptsData: boolean;
  /** Bytes of Holdfast's own files: shard files, journal, checkpoints. */
  usedBytes: number;
  /** Estimated share of this disk of the live payload, parity included; dead is what the volumes hold beyond it. */
  liveBytes: number;
  deadBytes: number;
  /** Dead bytes in sealed volumes: the collector can return them now. */
  reclaimableBytes: number;
  preallocatedBytes: number;
  quarantinedBytes: number;
  journalBytes: number;
  checkpointBytes: number;
  isLevel: boolean;
  /** Volumes that have a shard file there, or should. */
  shardCount: number;
  /** How often it has come into each state since the server started; empty offline. */
  stateChanges: Readonly<Record<string, number>>;
}

/** A directory that is looked at and carries no disk in use. */
export interface UnusedDirectory {
  path: string;
  diskId: string | undefined;
  reason: string;
  /** It is there and is no disk: what an unmounted or a new disk looks like. */
  isEmpty: boolean;
}

/** Which keys there are for encryption at rest, and where it happens by itself. */
export interface EncryptionReport {
  keyService: 'local' | 'vault';
  /** Of buckets without a default of their own. */
  byDefault: 'none' | 'AES256';
  /** Why nothing can be opened or sealed with the server's own keys; `undefined`: they are at hand. */
  keyRingProblem: { message: string; fix: string | undefined } | undefined;
  /** With a default of their own; `keyId` as it was put, `undefined` is the default key. */
  buckets: { name: string; algorithm: 'AES256' | 'aws:kms'; keyId: string | undefined }[];
}

/** What the buckets' lifecycle rules bring about. */
export interface LifecycleReport {
  /** Another length than 24 hours is a test clock. */
  dayMs: number;
  isRunning: boolean;
  /** The clock has jumped and nobody has said that it is right: nothing ends meanwhile. */
  isFrozen: boolean;
  /** Of the pass through all buckets with rules that is under way, or of the last one. */
  startedAtMs: number | undefined;
  lastFinishedAtMs: number | undefined;
  /** For how long a pass has been due or under way; 0 when none is. */
  lagMs: number;
  /** Since the start of the server. Skipped: changed between the look and the deed. Locked: kept by Object Lock. */
  counts: {
    lookedAt: number;
    expired: number;
    deleted: number;
    aborted: number;
    transitioned: number;
    skipped: number;
    locked: number;
    /** Could not be moved into another class: `lastError` tells of the last one. */
    failed: number;
  };
  /** Since the start of the server: written into other storage classes. */
  movedBytes: number;
  lastError: string | undefined;
}

export interface LastCensus {
  endedAtMs: number;
  isClean: boolean;
  worstMargin: number | undefined;
}

/** Something the operator should know, with the line that repairs it. */
export interface Finding {
  /** Stable, kebab-case. */
  code: string;
  severity: 'info' | 'warning' | 'error';
  message: string;
  /** The command or the change that fixes it. */
  fix: string | undefined;
}
