import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { Randomness } from '../model/clock.ts';
import type { Owner } from '../model/object-record.ts';

const ADDRESS = { collection: 'cluster', id: 'owner' } as const;
const DISPLAY_NAME = 'root';

/**
 * The account everything belongs to. Made once and independent of keys: a new root key owns what the old one owned.
 * Resolves with `isCreated` when this call made it, acknowledged.
 */
export async function openAccount(
  store: MetadataStore,
  randomness: Randomness,
): Promise<{ owner: Owner; isCreated: boolean }> {
  const existing = await readAccount(store);
  if (existing !== undefined) return { owner: existing, isCreated: false };
  const owner: Owner = {
    accountId: randomAccountId(randomness),
    canonicalId: randomness.bytes(32).toString('hex'),
    displayName: DISPLAY_NAME,
  };
  await store.commit({ type: 'PutDocument', address: ADDRESS, body: Buffer.from(JSON.stringify(owner)) });
  return { owner, isCreated: true };
}

/** @throws Error when the document is not an owner: fail closed rather than make another account */
async function readAccount(store: MetadataStore): Promise<Owner | undefined> {
  const body = await store.getDocument(ADDRESS);
  if (body === undefined) return undefined;
  const owner = JSON.parse(body.toString()) as Owner;
  if (!/^\d{12}$/.test(owner.accountId) || !/^[0-9a-f]{64}$/.test(owner.canonicalId)) {
    throw new Error('the document cluster/owner does not hold an account');
  }
  return owner;
}

/** 12 digits, the first not 0, so that no tool drops it. */
export function randomAccountId(randomness: Randomness): string {
  const tail = randomness.bytes(8).readBigUInt64BE() % 900_000_000_000n;
  return (100_000_000_000n + tail).toString();
}
