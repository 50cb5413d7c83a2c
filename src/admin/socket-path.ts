import path from 'node:path';

/** The Unix socket over which commands reach the running server. */
export function socketPath(stateDirectory: string): string {
  return path.join(stateDirectory, 'holdfast.sock');
}
