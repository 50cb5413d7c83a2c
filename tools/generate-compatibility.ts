/**
 * Writes docs/S3-COMPATIBILITY.md from the operation table. Run with `npx tsx tools/generate-compatibility.ts` after
 * changing the table; `test/repository/operation-table.test.ts` fails while the page is stale.
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HOLDING_VALUES, unimplementedInputs } from '../src/s3/implemented-inputs.ts';
import { OPERATION_TABLE } from '../src/s3/operation-table.ts';
import type { OperationRow } from '../src/s3/operation.ts';

export const COMPATIBILITY_PATH = fileURLToPath(new URL('../docs/S3-COMPATIBILITY.md', import.meta.url));

export function renderCompatibility(): string {
  const rows = OPERATION_TABLE.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const implemented = rows.filter(({ handler }) => handler !== 'not-implemented');
  const unimplemented = rows.filter(({ handler }) => handler === 'not-implemented');
  return `# S3 compatibility

Generated from \`src/s3/operation-table.ts\` and AWS's model of S3 by \`tools/generate-compatibility.ts\`. Do not edit.

An operation, header, query parameter or XML element that S3 defines works, or is answered \`501 NotImplemented\` with its name. Nothing is
accepted and ignored, except values that state what already holds:

${[...HOLDING_VALUES].map(([name, values]) => `- \`${name}\`: ${values.map((value) => `\`${value}\``).join(', ')}`).join('\n')}

Of ${rows.length} operations ${implemented.length} are implemented. Reads of bucket configurations that cannot be set yet count as implemented: they answer
as AWS does for a bucket where nobody has set them.

## Implemented

| operation | request | IAM action | answered 501 when present |
| --------- | ------- | ---------- | ------------------------- |
${implemented.map(implementedLine).join('\n')}

## Not implemented

| operation | request |
| --------- | ------- |
${unimplemented.map((row) => `| ${row.name} | ${requestOf(row)} |`).join('\n')}
`;
}

function implementedLine(row: OperationRow): string {
  if (row.sameRequestAs !== undefined) return `| ${row.name} | the same as ${row.sameRequestAs} | | |`;
  const { headers, headerPrefixes, query } = unimplementedInputs(row);
  const refused = [...headers, ...headerPrefixes, ...query].filter((name) => !HOLDING_VALUES.has(name)).sort();
  return `| ${row.name} | ${requestOf(row)} | \`${row.action}\` | ${refused.map((name) => `\`${name}\``).join(', ')} |`;
}

function requestOf(row: OperationRow): string {
  const path =
    row.target === 'service'
      ? '/'
      : row.target === 'bucket'
        ? '/bucket'
        : row.target === 'object'
          ? '/bucket/key'
          : '*';
  const query = row.selectors.length === 0 ? '' : `?${row.selectors.join('&')}`;
  const headers = row.selectingHeaders.length === 0 ? '' : ` with ${row.selectingHeaders.join(', ')}`;
  return `\`${row.method} ${path}${query}\`${headers}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(COMPATIBILITY_PATH, renderCompatibility());
