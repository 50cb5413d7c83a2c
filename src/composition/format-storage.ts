import type { FormatFacts, FormatOptions } from '../cli/server-types.ts';
import { formatDisks } from '../disk/format-disks.ts';
import { formatJournal } from '../metadata-store/journal/format-journal.ts';
import { IDENTITY_FILE } from '../disk/disk-identity.ts';
import { RealDiskFs } from '../disk/real-disk-fs.ts';

/** See `Composition.formatStorage`: identities by the disk layer, first journal files by the journal. */
export async function formatStorage(options: FormatOptions): Promise<FormatFacts> {
  const { diskPaths, code, clock, randomness } = options;
  const begun = await Promise.all(
    diskPaths.map(async (path) => (await new RealDiskFs(path).stat(IDENTITY_FILE)) !== undefined),
  );
  const identities = await formatDisks({
    paths: diskPaths,
    code,
    clock,
    random: randomness,
    initializeDisk: (fs, { clusterId, diskId, diskIds, k, m }) =>
      formatJournal(fs, { clusterId, diskId, diskIds, k, m }),
  });
  return { clusterId: identities[0]?.clusterId ?? '', isResumed: begun.some(Boolean) };
}
