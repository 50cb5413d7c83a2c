import { type ChainPatches, type ChainSource, readChain, readFrameOf } from './chain-reader.ts';
import { positionOf, samePosition } from './frame.ts';
import type { JournalFrame, JournalPosition } from './journal.ts';

/** Where acknowledged frames can be read now: the level disks, or what a start without an epoch found. */
export interface ReadableChain {
  sources: readonly ChainSource[];
  patches: ChainPatches | undefined;
  /** The oldest positions from which frames are kept, of any source. */
  bases: readonly JournalPosition[];
}

export function oldestBase(chain: ReadableChain): JournalPosition | undefined {
  return [...chain.bases].sort((a, b) => a.sequence - b.sequence)[0];
}

/** The payload frames after `after` up to `upToSequence`; each payload is the caller's. */
export async function* readPayloads(
  chain: ReadableChain,
  options: {
    clusterTag: Buffer;
    after: JournalPosition;
    upToSequence: number;
    onBadSource: (diskId: string, error: unknown) => void;
  },
): AsyncGenerator<JournalFrame> {
  const { sources, patches } = chain;
  for await (const { frame, position } of readChain({ sources, ...(patches && { patches }), ...options })) {
    if (frame.kind === 'payload') yield { position, payload: Buffer.from(frame.payload) };
  }
}

/** Is the position on the chain, with all later frames kept? */
export async function knowsPosition(
  chain: ReadableChain,
  position: JournalPosition,
  clusterTag: Buffer,
): Promise<boolean> {
  if (chain.bases.some((base) => samePosition(base, position))) return true;
  for (const source of chain.sources) {
    const frame = await readFrameOf(source, position.sequence, clusterTag).catch(() => undefined);
    if (frame !== undefined && samePosition(positionOf(frame), position)) return true;
  }
  return false;
}
