import { isStoreError } from '../../errors/store-error.ts';
import { readChain } from './chain-reader.ts';
import type { JournalContext } from './journal-context.ts';
import type { RunningEpoch } from './running-epoch.ts';

/** Reads every frame on every level disk, one disk after the other; one with a bad frame is levelled anew. */
export async function scrubFrames({ clusterTag, log }: JournalContext, running: RunningEpoch): Promise<void> {
  for (const disk of running.voters()) {
    const onBadSource = (diskId: string, error: unknown): void => running.badSource(diskId, error);
    const reading = { sources: [disk], clusterTag, after: disk.base.position, upToSequence: disk.lastSequence };
    try {
      for await (const { position } of readChain({ ...reading, onBadSource })) void position;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      log.warn({ diskId: disk.diskId, error }, 'journal: the scrub of a disk ended early');
    }
  }
}
