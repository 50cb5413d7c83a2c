import type { DiskSet } from '../../disk/disk-set.ts';
import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';
import type { JournalConfiguration } from './journal-configuration.ts';

export interface DiskJournalOptions {
  disks: DiskSet;
  clock: Clock;
  log: Log;
  /** Default 16 MiB; a multiple of 4096. The largest payload is 128 bytes less. */
  segmentBytes?: number;
  /** Zeroed segments kept on each disk beside the current one: room for a full disk. Default 4. */
  reserveSegments?: number;
  /** A disk that is more frames behind is out until it is level again. Default 64. */
  maxQueuedFrames?: number;
  /** Likewise in bytes. Default 16 MiB. */
  maxQueuedBytes?: number;
  /** So much of the end of each disk's journal is read at a start. Default 32 MiB. */
  scanBytes?: number;
  /** With spare disks: a journal disk lost for so long is replaced by another. Default one hour. */
  replaceLostAfterMs?: number;
  /**
   * Told which disks there are: when a start or a reopening knows, and at the end of each change of the list. The disks
   * that left it may be let go then.
   */
  onConfiguration?: (configuration: JournalConfiguration) => void;
  /** A start or reopening that knows no list of disks as new as this is refused. See `DiskJournal.listSequence`. Default 0. */
  leastListSequence?: number;
}
