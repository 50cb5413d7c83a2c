import type { DiskFs } from './disk-fs.ts';

/** `online`: usable. `returning`: present but not level: no vote, no new data, counts as lost. `suspect`: misses deadlines or errors; not used for new data, read around. */
export type DiskState = 'online' | 'suspect' | 'failed' | 'missing' | 'foreign' | 'returning';

/** One directory. Its `fs` is guarded: calls in flight are capped and each has a deadline. */
export interface Disk {
  /** Random UUID from the identity file; for a directory that was never seen at this start the id from the disk list. */
  readonly id: string;
  /** Position in the cluster's disk list, 0-based; another one when the list changes. */
  readonly index: number;
  /** Where it is now; for messages only. `undefined` while no given path carries this id. */
  readonly path: string | undefined;
  readonly fs: DiskFs;
  readonly state: DiskState;
  /** `state === 'online'`, above the reserve line and not draining: may take object data. */
  readonly acceptsData: boolean;
  /** Its shards are being moved away; it is read, but takes no new ones. */
  readonly isDraining: boolean;
  readonly space: { totalBytes: number; freeBytes: number };
  /** Wall clock of the last change of state. */
  readonly stateSinceMs: number;
  readonly stateReason: string | undefined;
}

/** All disks of the cluster's list, present or not. Watches them (idle disks every 250 ms) and tells of changes. */
export interface DiskSet {
  readonly clusterId: string;
  /**
   * In the order of the disk list; `disks[i].index === i`. Another array when the list has changed. A disk that is being
   * added stands at the end, never online before it is in the list.
   */
  readonly disks: readonly Disk[];
  byId(diskId: string): Disk | undefined;
  /** A store saw an I/O error, a missed deadline or a file that is no longer there: the set decides the new state, at once. */
  reportFailure(diskId: string, failure: { operation: string; error: unknown }): void;
  /** The journal has levelled it: `returning` becomes `online`. */
  markLevel(diskId: string): void;
  /** The journal saw it miss a batch: it becomes `returning` until it is level. */
  markBehind(diskId: string, reason: string): void;
  /** Returns the function that unsubscribes. */
  onChange(listener: (disk: Disk, before: DiskState) => void): () => void;
}
