import { statSync } from 'node:fs';
import { MaintenanceThread } from './maintenance-thread.ts';
import { type IndexFileFacts, inspectIndexFile } from './recover-index.ts';

/**
 * The look at the index file that a start begins with: all of it is read. It outlives attempts to start that fail before
 * they open the index, because its result holds until then; and a WAL that it found is moved into the file by the look
 * itself, so that a second one would take the file for half of a state.
 */
export class IndexInspection {
  readonly #path: string;
  #thread: MaintenanceThread | undefined;
  #facts: Promise<IndexFileFacts> | undefined;
  #inode: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Begun now, in a thread of its own, unless it was begun before. `undefined`: there is no file. */
  begin(): Promise<IndexFileFacts> | undefined {
    const inode = statSync(this.#path, { throwIfNoEntry: false })?.ino;
    if (inode !== this.#inode) this.#facts = undefined;
    this.#inode = inode;
    if (inode === undefined || this.#facts !== undefined) return this.#facts;
    const thread = (this.#thread ??= new MaintenanceThread());
    const facts = inspectIndexFile(this.#path, (path) => thread.check(path));
    // Awaited later; a start that fails before does not wait for it. What could not be looked at is looked at again.
    facts.catch(() => {
      if (this.#facts === facts) this.#facts = undefined;
    });
    this.#facts = facts;
    return facts;
  }

  /** The index is opened: what was found says nothing about the file any more. */
  end(): void {
    this.#facts = undefined;
    this.#inode = undefined;
  }

  /** Ends a look under way, and with it the thread. */
  async stop(): Promise<void> {
    this.end();
    await this.#thread?.stop();
    this.#thread = undefined;
  }
}
