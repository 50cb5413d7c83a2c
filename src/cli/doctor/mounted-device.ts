import { stat } from 'node:fs/promises';
import path from 'node:path';

/** The device of a directory at which a file system of its own is mounted; `undefined` for any other, and when it cannot be told. */
export async function mountedDevice(directory: string): Promise<number | undefined> {
  try {
    const [own, parent] = await Promise.all([stat(directory), stat(path.dirname(directory))]);
    return own.isDirectory() && own.dev !== parent.dev ? own.dev : undefined;
  } catch {
    // It went away meanwhile: the next look tells.
    return undefined;
  }
}
