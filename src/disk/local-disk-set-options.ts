import type { Clock, Randomness } from '../model/clock.ts';
import type { Log } from '../observability/log.ts';
import type { HealthLimits } from './disk-health.ts';
import type { DiskLock } from './disk-lock.ts';
import type { MakeDiskFs } from './scan-directory.ts';

export interface LocalDiskSetOptions {
  /** Absolute, in any order; some may not exist. */
  paths: readonly string[];
  /** What the state directory remembers; disks of any other cluster are refused. */
  expectedClusterId?: string | undefined;
  /** Disk id → where it was seen last, as the state directory remembers it. */
  lastPaths?: ReadonlyMap<string, string>;
  clock: Clock;
  log: Log;
  random: Randomness;
  /** Free bytes on each disk that object data may not take; at most a tenth of the disk. */
  reserveBytes: number;
  /** Of one file call. Default 10 s. */
  deadlineMs?: number;
  /** Every directory is waited for until the deadline, also when the others are enough for a start. */
  isPatient?: boolean;
  /** Calls of one disk that the system has at once. Default: `callsPerDisk` of a thread pool of 128. */
  maxCallsPerDisk?: number;
  /** Between looks at each directory. Default 250 ms. */
  watchIntervalMs?: number;
  health?: Partial<HealthLimits>;
  /** Default `RealDiskFs`. */
  makeFs?: MakeDiskFs;
  /** Default `lockDisk`. A reader that changes nothing may pass one that locks nothing. */
  acquireLock?: (path: string) => DiskLock;
}
