import { StoreError } from '../errors/store-error.ts';

/** The errno name (`ENOENT`, `EIO` …) of an error of the operating system, or of a StoreError that carries one as cause. */
export function errnoOf(error: unknown): string | undefined {
  for (let current = error, depth = 0; depth < 4 && current instanceof Error; current = current.cause, depth++) {
    const code: unknown = 'code' in current ? current.code : undefined;
    if (typeof code === 'string' && /^E[A-Z0-9]+$/.test(code)) return code;
  }
  return undefined;
}

/** An error as the operating system reports it, for implementations that do not call the system. */
export function makeErrno(code: string, operation: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${operation} '${path}'`), { code });
}

/**
 * Any failure of a disk call as a StoreError whose cause is the original: no space left is DiskFull, everything else
 * DiskFailed. A StoreError passes unchanged. Whether an ENOENT means that the whole disk is gone is for the caller to find out.
 */
export function toDiskError(error: unknown, operation: string, path: string): StoreError {
  if (error instanceof StoreError) return error;
  const errno = errnoOf(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    return new StoreError('DiskFull', `no space left: ${operation} ${path}`, {
      hint: 'free space on this disk or add another one',
      cause: error,
    });
  }
  return new StoreError('DiskFailed', `${operation} ${path} failed: ${errno ?? String(error)}`, { cause: error });
}

/** The directory that stands for the disk is not at its path. */
export function missingDiskError(root: string, cause: unknown): StoreError {
  return new StoreError('DiskMissing', `the disk directory ${root} is missing`, {
    hint: 'mount it again or put the directory back at this path; it is never created anew',
    cause,
  });
}
