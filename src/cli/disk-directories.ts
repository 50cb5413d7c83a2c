import { readdir } from 'node:fs/promises';

/** What lies at a disk path before anything is opened. Whose a formatted directory is, the server finds out. */
export type DirectoryContent = 'missing' | 'empty' | 'used' | 'not-a-directory' | 'unreadable';

/** Names that a fresh file system or a mount tool leaves behind. */
const IGNORED_NAMES = new Set(['lost+found', '.Trash-0', '.DS_Store']);

export async function inspectDirectories(
  paths: readonly string[],
): Promise<{ path: string; content: DirectoryContent; errno?: string }[]> {
  return await Promise.all(
    paths.map(async (path) => {
      try {
        const names = (await readdir(path)).filter((name) => !IGNORED_NAMES.has(name));
        return { path, content: names.length === 0 ? 'empty' : 'used' };
      } catch (error) {
        const errno = (error as NodeJS.ErrnoException).code ?? 'unknown';
        if (errno === 'ENOENT') return { path, content: 'missing' };
        return { path, content: errno === 'ENOTDIR' ? 'not-a-directory' : 'unreadable', errno };
      }
    }),
  );
}
