import type { DiskFs, DiskSpace, FileFacts } from './disk-fs.ts';

/** A directory that was found to carry this disk. */
export interface DiskLocation {
  path: string;
  /** Bound to that very directory. */
  fs: DiskFs;
  /** Of `disk.json`; when the path shows another one, the disk is gone. */
  identityFacts: FileFacts;
  space: DiskSpace;
}
