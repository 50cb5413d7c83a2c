import { assert } from '../errors/assert.ts';

/** The path of the disk's own directory. */
export const ROOT_PATH = '';

/**
 * Refuses what could leave the disk's directory or name one file in two ways: absolute paths, empty segments, `.`, `..`
 * and NUL. Paths are made by our own code, so a bad one is a bug.
 */
export function assertRelativePath(path: string): void {
  assert(path.length > 0 && !path.includes('\0'), `bad path on a disk: ${JSON.stringify(path)}`);
  for (const segment of path.split('/')) {
    assert(segment !== '' && segment !== '.' && segment !== '..', `bad path on a disk: ${JSON.stringify(path)}`);
  }
}

/** `''` (the root) for a name at the top. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash === -1 ? ROOT_PATH : path.slice(0, slash);
}

export function baseNameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
