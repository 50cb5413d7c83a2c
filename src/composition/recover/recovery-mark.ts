import type { Disk } from '../../disk/disk-set.ts';
import { StoreError } from '../../errors/store-error.ts';
import { isPresent } from '../../metadata-store/journal/journal-context.ts';
import type { MetadataStore } from '../../metadata-store/metadata-store.ts';

/** On every disk from before the new journals until the recovery is complete. */
const MARK_FILE = 'recovery-unfinished';
const ADDRESS = { collection: 'cluster', id: 'recovery' };

interface RecoveryMark {
  isComplete: boolean;
}

/** Before the new journals: between them and the first record of theirs nothing else tells that the store is not whole. */
export async function beginRecovery(disks: readonly Disk[]): Promise<void> {
  for (const { fs } of disks) if ((await fs.stat(MARK_FILE)) === undefined) await fs.createDurable(MARK_FILE);
}

/** Everything is acknowledged. A file that stays behind on a disk means nothing from then on. */
export async function endRecovery(disks: readonly Disk[], store: MetadataStore): Promise<void> {
  const mark: RecoveryMark = { isComplete: true };
  await store.commit({ type: 'PutDocument', address: ADDRESS, body: Buffer.from(JSON.stringify(mark)) });
  for (const { fs } of disks) await fs.unlink(MARK_FILE);
}

/** Was a recovery begun on these disks that did not come to its end? */
export async function isRecoveryUnfinished(disks: readonly Disk[], store: MetadataStore): Promise<boolean> {
  return (await store.getDocument(ADDRESS)) === undefined && (await isMarked(disks));
}

/** Was a recovery begun? For a store that does not start. */
export async function isMarked(disks: readonly Disk[]): Promise<boolean> {
  const marks = await Promise.all(disks.filter(isPresent).map(({ fs }) => fs.stat(MARK_FILE).catch(() => undefined)));
  return marks.some((mark) => mark !== undefined);
}

/** Half a recovery must not be served. @throws StoreError FormatRefused */
export async function refuseUnfinishedRecovery(disks: readonly Disk[], store: MetadataStore): Promise<void> {
  if (!(await isRecoveryUnfinished(disks, store))) return;
  throw new StoreError('FormatRefused', 'a recovery from shards was begun on these disks and did not come to its end', {
    hint: 'Run it again, it begins anew and loses nothing: holdfast recover --from-shards',
  });
}
