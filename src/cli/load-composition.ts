import { CommandFailure } from './command.ts';
import type { Composition } from './server-types.ts';

/**
 * Imports the composition root, which loads the native modules. Where one is missing or was built for another Node, the
 * error says how to build it.
 * @throws CommandFailure
 */
export async function loadComposition(importRoot: () => Promise<{ composition: Composition }>): Promise<Composition> {
  try {
    return (await importRoot()).composition;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const isNative = code === 'ERR_DLOPEN_FAILED' || /\.node\b|bindings file|NODE_MODULE_VERSION/.test(message);
    if (!isNative) throw error;
    throw new CommandFailure(`a native module cannot be loaded: ${message.split('\n', 1)[0]}`, {
      hint: `Build it for this Node (${process.versions.node}): npm rebuild\nThat needs Python 3, make and a C++ compiler: node tools/check-build-tools.cjs`,
      cause: error,
    });
  }
}
