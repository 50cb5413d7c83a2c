/**
 * The journal: the truth of the metadata. An ordered chain of frames on every journal disk; Flexible Paxos with one
 * proposer (design §5): write quorum m + 1, read quorum n − m, an epoch per start. It knows nothing of what a payload
 * means. `docs/decisions/` holds the protocol; `test/crash/journal-model.test.ts` checks it exhaustively for small n.
 */
export interface Journal {
  /**
   * Reads all present disks, takes the union along the newest epoch's chain, reserves and opens a new epoch, levels
   * what is cheap to level. Resolves when the base is acknowledged.
   * @throws StoreError QuorumLost (fewer than n − m readable journals) | JournalCorrupt | FormatRefused
   */
  start(progress: (fraction: number) => void): Promise<void>;
  stop(): Promise<void>;

  /** False: a start met enough disks to read but could not open an epoch, or a batch is undecided. `frames` gives the acknowledged prefix, `append` throws; call `reopen`. */
  readonly isWritable: boolean;
  readonly epoch: number;
  /** Last acknowledged frame. */
  readonly acknowledged: JournalPosition;
  /**
   * Appends one frame; one at a time. Resolves when m + 1 disks have synced it.
   * @throws StoreError Undecided: synced on fewer; nothing may be answered before `reopen` | QuorumLost: nothing was written anywhere.
   */
  append(payload: Buffer): Promise<JournalPosition>;
  /**
   * After Undecided: opens a new epoch over the disks that are usable now. Afterwards `acknowledged` tells whether the
   * undecided frame was adopted. @throws StoreError QuorumLost while it cannot; call again later.
   */
  reopen(): Promise<void>;
  /** Acknowledged frames strictly after `after`, in order. `undefined`: from the oldest kept. */
  frames(after: JournalPosition | undefined): AsyncIterable<JournalFrame>;
  /** Payload frames after the acknowledged prefix that may or may not be adopted later; only while not writable. Whatever touches their keys must get 503. */
  pendingFrames(): AsyncIterable<JournalFrame>;
  /**
   * Is this position on the chain and acknowledged, and are all later frames still kept? Then the index may be believed.
   * Sequence 0 (any hash) stands for the genesis: are all frames ever written still kept?
   */
  canReplayFrom(position: JournalPosition): Promise<boolean>;
  /**
   * The greatest on-disk format that any disk was told to expect; known after `start`. One greater than the active format
   * means that raising it was begun and has to be ended.
   */
  readonly promisedFormat: number;
  /**
   * Before the first frame of a newer format: tells m + 1 disks, so that a server which does not know it refuses every
   * start that could meet such a frame. Disks that come later are told as they come.
   * @throws StoreError QuorumLost: some disks may have been told | Undecided
   */
  promiseFormat(format: number): Promise<void>;

  /** Bytes of frames kept on one disk since the newest checkpoint. */
  readonly bytesSinceCheckpoint: number;

  /** Acknowledged checkpoints with at least one readable holder, newest first. */
  checkpoints(): readonly CheckpointFacts[];
  /** Copies `sourceFile` (a finished snapshot at `position`, outside the disks) to ≥ m + 1 disks, reads it back, keeps two, cuts the journal back to the older. */
  installCheckpoint(sourceFile: string, position: JournalPosition): Promise<void>;
  /** Verified copy of a checkpoint into a file outside the disks. Tries every holder. */
  restoreCheckpoint(
    checkpoint: CheckpointFacts,
    targetFile: string,
    progress: (fraction: number) => void,
  ): Promise<void>;

  /** Reads all frames and checkpoints on every level disk; what is bad is repaired from the others in the background. */
  scrub(): Promise<void>;

  status(): JournalDiskStatus[];
}

export interface JournalPosition {
  readonly epoch: number;
  readonly sequence: number;
  /** Of the frame; binds the whole chain before it. */
  readonly hash: Buffer;
}

export interface JournalFrame {
  readonly position: JournalPosition;
  readonly payload: Buffer;
}

export interface CheckpointFacts {
  readonly position: JournalPosition;
  readonly sizeBytes: number;
  readonly createdAtMs: number;
  readonly holderDiskIds: readonly string[];
}

export interface JournalDiskStatus {
  diskId: string;
  /** With more disks than a journal needs, some carry none. */
  carriesJournal: boolean;
  isLevel: boolean;
  /** It did not hold the newest frames when this run began: it missed them, or is of an earlier time. */
  wasBehindAtStart: boolean;
  journalBytes: number;
  checkpointBytes: number;
}
