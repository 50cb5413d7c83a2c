import path from 'node:path';
import { FileBytes } from './file-bytes.ts';
import { inspectCheckpoint } from './inspect-checkpoint.ts';
import { inspectIdentity, inspectState } from './inspect-json-files.ts';
import { inspectSegment } from './inspect-segment.ts';
import { inspectShardFile } from './inspect-shard-file.ts';
import { type FileKind, Findings, type InspectReport } from './inspection.ts';

/** What the first bytes say. */
const MAGICS: readonly (readonly [start: RegExp, kind: FileKind])[] = [
  [/^HFSv/, 'shard'],
  [/^HFC[1-9]/, 'checkpoint'],
  [/^HFJ[1-9]/, 'segment'],
  [/^\{"format":/, 'state'],
  [/^\{\s*"formatVersion":/, 'disk'],
];
/** What the name says, where the first bytes say nothing: they are damaged, or zeros. */
const NAMES: readonly (readonly [name: RegExp, kind: FileKind])[] = [
  [/^[0-9a-f]{14}\.shard/, 'shard'],
  [/^checkpoint-\d+-\d+-\d+/, 'checkpoint'],
  [/\.seg$/, 'segment'],
  [/^state$/, 'state'],
  [/^disk\.json$/, 'disk'],
];

/** See `Composition.inspectFile`. */
export async function inspectFile(
  filePath: string,
  { kind: told, withRecords }: { kind: FileKind | undefined; withRecords: boolean },
): Promise<InspectReport | undefined> {
  const file = await FileBytes.open(filePath);
  const fileName = path.basename(filePath);
  try {
    const start = (await file.view(0, 64)).toString('latin1');
    const byStart = MAGICS.find(([pattern]) => pattern.test(start))?.[1];
    const kind = told ?? byStart ?? NAMES.find(([pattern]) => pattern.test(fileName))?.[1];
    if (kind === undefined) return undefined;
    const findings = new Findings();
    if (kind === 'disk') await inspectIdentity(file, findings);
    else if (kind === 'state') await inspectState(file, findings);
    else if (kind === 'segment') await inspectSegment(file, findings, { withRecords });
    else if (kind === 'checkpoint') await inspectCheckpoint(file, fileName, findings);
    else await inspectShardFile(file, fileName, findings);
    const { facts, items, problems } = findings;
    return { formatVersion: 1, path: filePath, kind, sizeBytes: file.sizeBytes, facts, items, problems };
  } finally {
    await file.close();
  }
}
