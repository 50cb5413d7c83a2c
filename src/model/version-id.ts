import { createHash } from 'node:crypto';
import type { Randomness } from './clock.ts';
import { VERSION_SEED_BYTES as RANDOM_BYTES } from './version-seed.ts';

const ORDER_BYTES = 8;
const CHECK_BYTES = 4;
const ID_BYTES = RANDOM_BYTES + ORDER_BYTES + CHECK_BYTES;

/**
 * A version id as S3's are: opaque, URL-safe, 32 characters, none of them `-`, which a command line takes for an option.
 * It carries the version's order number, masked by its random half: a listing that goes on behind a version finds its
 * place also when that version has been deleted meanwhile. No secret: whoever may see the id may see that.
 */
export function makeVersionId(order: number, randomness: Pick<Randomness, 'bytes'>): string {
  const id = Buffer.alloc(ID_BYTES);
  randomness.bytes(RANDOM_BYTES).copy(id);
  id.writeBigUInt64BE(BigInt(order), RANDOM_BYTES);
  mask(id);
  return id.toString('base64url').replaceAll('-', '.');
}

/** One that can be named before the commit that decides the order; it looks like the others and tells no order. */
export function proposeVersionId(randomness: Pick<Randomness, 'bytes'>): string {
  return randomness.bytes(ID_BYTES).toString('base64url').replaceAll('-', '.');
}

/** `undefined`: not an id that `makeVersionId` made; it may have been imported. */
export function orderOfVersionId(versionId: string): number | undefined {
  if (versionId.length !== (ID_BYTES * 4) / 3 || versionId.includes('-')) return undefined;
  const id = Buffer.from(versionId.replaceAll('.', '-'), 'base64url');
  if (id.length !== ID_BYTES) return undefined;
  mask(id);
  const order = id.readBigUInt64BE(RANDOM_BYTES);
  const isOurs = id.readUInt32BE(RANDOM_BYTES + ORDER_BYTES) === 0 && order <= BigInt(Number.MAX_SAFE_INTEGER);
  return isOurs ? Number(order) : undefined;
}

/** Undoes itself. */
function mask(id: Buffer): void {
  const masking = createHash('sha256').update('holdfast version id ').update(id.subarray(0, RANDOM_BYTES)).digest();
  for (let index = RANDOM_BYTES; index < ID_BYTES; index += 1) id[index]! ^= masking[index]!;
}
