import type { DiskFile, DiskFs } from './disk-fs.ts';

/** The name of a call of `DiskFs` or `DiskFile`. */
export type DiskOperation = keyof DiskFs | Exclude<keyof DiskFile, 'path' | 'device' | 'inode'>;

/** Calls after which the medium may differ. */
export const MUTATING_OPERATIONS: ReadonlySet<DiskOperation> = new Set<DiskOperation>([
  'createDurable',
  'createDirectoryDurable',
  'publish',
  'unlink',
  'write',
  'datasync',
  'truncate',
]);
