/** The random bytes at the front of a version id, before it is encoded (metadata-store/sqlite/version-id.ts). */
export const VERSION_SEED_BYTES = 12;

/** Does the id begin with these random bytes? What was sealed for a version knows its id by them. */
export function isVersionOfSeed(versionId: string, seed: Buffer): boolean {
  const id = Buffer.from(versionId.replaceAll('.', '-'), 'base64url');
  return id.length > VERSION_SEED_BYTES && id.subarray(0, VERSION_SEED_BYTES).equals(seed);
}
