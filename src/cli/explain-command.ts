import type { ExplainReport, ExtentReport } from '../admin/explain-report.ts';
import { askServer } from './admin-client.ts';
import { type Command, CommandFailure, strayArgument, UsageError } from './command.ts';
import { formatBytes, renderTable } from './render-table.ts';
import { loadSettings } from './settings.ts';
import { requireStateDirectory } from './state-directory.ts';
import { offlineOptions } from './status-command.ts';

export const explainCommand: Command = {
  name: 'explain',
  summary: 'show where every byte of an object lies, and how many disks it may still lose',
  usage: 'explain s3://BUCKET/KEY [--version-id ID] [--json] [--state DIR]',
  details: `For each part of the object, or of an older version of it: volume, offset in its shard files, disks, their states, damage waiting for repair, and the margin.
Asks the running server; without one it reads the index that the last run left, writes nothing, and says offline. Exit
code 1 when there is no such object, or when it cannot be read whole now.`,
  flags: {
    'version-id': { isSwitch: false, what: 'an older version; `null` for the null version' },
    json: { isSwitch: true, what: 'print the report as JSON; fields are only ever added' },
  },
  arguments: 'subcommand',
  run: async (context, invocation) => {
    const [uri, stray] = invocation.positionals;
    if (stray !== undefined) throw strayArgument(explainCommand, stray);
    const [, bucketName, key] = /^s3:\/\/([^/]+)\/(.+)$/s.exec(uri ?? '') ?? [];
    if (bucketName === undefined || key === undefined)
      throw new UsageError(`say which object: holdfast ${explainCommand.usage}`);
    const settings = await loadSettings(context, { ...invocation, positionals: [] });
    await requireStateDirectory(settings.stateDirectory);
    const versionId = invocation.own['version-id'];
    const query = new URLSearchParams({ bucket: bucketName, key, ...(versionId === undefined ? {} : { versionId }) });
    const online = (await askServer(settings.stateDirectory, {
      method: 'GET',
      path: `/explain?${query.toString()}`,
    })) as { report: ExplainReport | null } | undefined;
    const report =
      online === undefined
        ? await (
            await context.loadComposition()
          ).explainOffline(await offlineOptions(context, settings), { bucketName, key, versionId })
        : (online.report ?? undefined);
    if (report === undefined)
      throw new CommandFailure(`there is no ${versionId === undefined ? 'object' : `version ${versionId} of`} ${uri}`);
    const isJson = invocation.own['json'] === 'true';
    context.stdout.write(isJson ? `${JSON.stringify(report, null, 2)}\n` : renderExplain(report));
    return report.marginDiskCount < 0 ? 1 : 0;
  },
};

function renderExplain(report: ExplainReport): string {
  const { bucket, key, sizeBytes, etag, versionId, lastModifiedMs, marginDiskCount, mode } = report;
  const lines = [
    `Object    s3://${bucket}/${key}${mode === 'offline' ? '  (offline: as the last run left it)' : ''}`,
    `Version   ${versionId}, ${formatBytes(sizeBytes)} (${sizeBytes} bytes), ETag ${etag}, ${new Date(lastModifiedMs).toISOString()}`,
    `Margin    ${describe(marginDiskCount)}`,
  ];
  for (const [index, blob] of report.blobs.entries()) {
    lines.push('', `Blob ${index + 1} of ${report.blobs.length}  id ${blob.blobId}, ${formatBytes(blob.sizeBytes)}`);
    for (const extent of blob.extents) lines.push(...renderExtent(extent));
  }
  return `${lines.join('\n')}\n`;
}

function describe(margin: number): string {
  if (margin < 0) return 'NONE: it cannot be read whole now';
  return margin === 0 ? 'NO further disk may be lost' : `${margin} more disk${margin === 1 ? '' : 's'} may be lost`;
}

function renderExtent({
  volumeId,
  volumeState,
  kind,
  k,
  m,
  stripeCount,
  marginDiskCount,
  shards,
}: ExtentReport): string[] {
  const stripes = stripeCount === 1 ? '1 stripe' : `${stripeCount} stripes`;
  const rows = shards.map(({ slot, offset, lengthBytes, diskIndex, diskState, damagedCount, path, diskId, file }) => [
    String(slot),
    diskIndex === undefined ? '?' : String(diskIndex),
    diskState,
    damagedCount === 0 ? '-' : String(damagedCount),
    String(offset),
    String(lengthBytes),
    `${path ?? diskId}/${file}`,
  ]);
  const table = renderTable([['slot', 'disk', 'state', 'damaged', 'offset', 'bytes', 'file'], ...rows]);
  return [
    `  volume ${volumeId} (${volumeState}, ${kind}), ${stripes} of ${k}+${m}, ${describe(marginDiskCount)}`,
    ...table.map((line) => `    ${line}`),
  ];
}
