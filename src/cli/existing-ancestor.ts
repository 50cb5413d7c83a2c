import { stat } from 'node:fs/promises';
import path from 'node:path';

/** A directory that is not there yet is judged by where it would be made. */
export async function existingAncestor(directory: string): Promise<string> {
  for (let candidate = directory; ; candidate = path.dirname(candidate)) {
    try {
      await stat(candidate);
      return candidate;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || candidate === path.dirname(candidate)) return candidate;
    }
  }
}
