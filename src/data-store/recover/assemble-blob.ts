import type { BlobRecord } from '../../model/blob.ts';
import { encodeBlobLayout, type StripeRun } from '../blob-layout.ts';
import { stripePayloadLength } from '../stripe/stripe-header.ts';
import type { FoundStripe } from './scan-volume.ts';

/**
 * Puts the stripes of one large blob together, in any order and from any number of volumes. A stripe that was not synced
 * when its volume failed was written again elsewhere: where two begin at one place the later volume's is taken, for
 * everything after it lies there too. `undefined`: a piece is missing or cannot be read.
 */
export function assembleBlob(stripes: readonly FoundStripe[], sizeBytes: number): BlobRecord | undefined {
  const taken = chainOf(stripes, sizeBytes);
  const descriptorLengthBytes = taken.at(-1)?.descriptor?.length;
  const [first] = taken;
  if (first === undefined || descriptorLengthBytes === undefined) return undefined;
  const stored = new Map<number, number>();
  for (const { volumeId, usedBytes } of taken) stored.set(volumeId, (stored.get(volumeId) ?? 0) + usedBytes);
  return {
    blobId: first.blobId,
    sizeBytes,
    layout: encodeBlobLayout({ kind: 'large', descriptorLengthBytes, runs: runsOf(taken) }),
    footprint: [...stored].map(([volumeId, storedBytes]) => ({ volumeId, storedBytes })),
  };
}

/** Stripes that follow one another from the first byte to the end; none when there is no such chain. */
function chainOf(stripes: readonly FoundStripe[], sizeBytes: number): FoundStripe[] {
  /** By the position in the blob: the stripe there that a way leads from to the end. */
  const onward = new Map<number, FoundStripe>();
  const endFirst = stripes
    .filter((stripe) => stripe.isReadable)
    .sort((a, b) => b.blobOffset - a.blobOffset || a.dataBytes - b.dataBytes);
  for (const stripe of endFirst) {
    const end = stripe.blobOffset + stripe.dataBytes;
    const isEnd = stripe.descriptor !== undefined && end === sizeBytes;
    const leadsOn = stripe.dataBytes > 0 && onward.has(end);
    const best = onward.get(stripe.blobOffset);
    if ((isEnd || leadsOn) && isLater(stripe, best)) onward.set(stripe.blobOffset, stripe);
  }
  const chain: FoundStripe[] = [];
  for (let next = onward.get(0); next !== undefined;) {
    chain.push(next);
    next = next.descriptor === undefined ? onward.get(next.blobOffset + next.dataBytes) : undefined;
  }
  return chain;
}

function isLater(one: FoundStripe, other: FoundStripe | undefined): boolean {
  if (other === undefined) return true;
  return (
    one.volumeId - other.volumeId > 0 || (one.volumeId === other.volumeId && one.stripeNumber > other.stripeNumber)
  );
}

/** Within a run only the last stripe may be partly filled. */
function runsOf(stripes: readonly FoundStripe[]): StripeRun[] {
  const runs: { run: Omit<StripeRun, 'stripeCrcs'>; crcs: number[] }[] = [];
  for (const { volumeId, k, m, width, shardLengthBytes, stripeNumber, offset, dataBytes, stripeCrc } of stripes) {
    const last = runs.at(-1);
    const isNext =
      last !== undefined &&
      last.run.volumeId === volumeId &&
      last.run.k === k &&
      last.run.shardLengthBytes === shardLengthBytes &&
      last.run.firstStripeNumber + last.run.count === stripeNumber &&
      last.run.offset + last.run.count * shardLengthBytes === offset &&
      last.run.lastDataBytes === k * stripePayloadLength({ kind: 'large', k, m, shardLengthBytes });
    if (isNext) {
      last.run = { ...last.run, count: last.run.count + 1, lastDataBytes: dataBytes };
      last.crcs.push(stripeCrc);
      continue;
    }
    const run = { volumeId, k, m, width, firstStripeNumber: stripeNumber, shardLengthBytes, offset, count: 1 };
    runs.push({ run: { ...run, lastDataBytes: dataBytes }, crcs: [stripeCrc] });
  }
  return runs.map(({ run, crcs }) => {
    const stripeCrcs = Buffer.alloc(4 * crcs.length);
    for (const [index, crc] of crcs.entries()) stripeCrcs.writeUInt32LE(crc, 4 * index);
    return { ...run, stripeCrcs };
  });
}
