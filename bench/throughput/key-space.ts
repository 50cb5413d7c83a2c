import { mix } from './payload.ts';

/**
 * Which key and which size belong to an operation id.
 * - `spread`: keys below 256 prefixes; one size.
 * - `tree`: `count` keys of a tree as applications make them, by their place in the order of a listing; 0.1 to 1 KiB.
 */
export type KeySpace = { kind: 'spread'; prefix: string; sizeBytes: number } | { kind: 'tree'; count: number };

/** Objects that were acknowledged: enough to know every key and every byte of them. */
export interface StoredObjects {
  space: KeySpace;
  operationIds: Float64Array;
}

export const TREE_PREFIX = 'users/';
/** Keys below each common prefix of `users/`. */
export const KEYS_PER_USER = 10;
const KEYS_PER_MONTH = 5;
const SMALLEST_TREE_BYTES = 100;
const LARGEST_TREE_BYTES = 1024;
/** A prime larger than any bucket here: steps of it visit every place once, far from each other. */
const STEP = 15_485_863;

export function keyOf(space: KeySpace, operationId: number): string {
  if (space.kind === 'tree') return treeKey(operationId);
  const group = (mix(operationId, 7) & 255).toString(16).padStart(2, '0');
  return `${space.prefix}${group}/${operationId.toString(36)}`;
}

export function sizeOf(space: KeySpace, operationId: number): number {
  if (space.kind === 'spread') return space.sizeBytes;
  return SMALLEST_TREE_BYTES + (mix(operationId, 3) % (LARGEST_TREE_BYTES - SMALLEST_TREE_BYTES + 1));
}

/** `users/u0000123/2024-01/doc-04.json`: ascending with the index. */
export function treeKey(index: number): string {
  const within = index % KEYS_PER_USER;
  const month = 1 + Math.floor(within / KEYS_PER_MONTH);
  return `${treeUser(Math.floor(index / KEYS_PER_USER))}2024-0${month}/doc-0${within % KEYS_PER_MONTH}.json`;
}

/** A common prefix of `users/` with the delimiter `/`. */
export function treeUser(user: number): string {
  return `${TREE_PREFIX}u${user.toString().padStart(7, '0')}/`;
}

/** The `n`th index to write: every index below `count` once, in an order that has nothing to do with that of the keys. */
export function scattered(n: number, count: number): number {
  return Number((BigInt(n) * BigInt(STEP)) % BigInt(count));
}
