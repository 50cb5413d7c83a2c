import { readFileSync } from 'node:fs';
import path from 'node:path';
import { repositoryRoot } from './tracked-files.ts';

/** docs/ON-DISK-FORMAT.md is what a reader is written from: what it says must be what the code writes. */
export const page = readFileSync(path.join(repositoryRoot, 'docs/ON-DISK-FORMAT.md'), 'utf8');

/** The text of a section without those below it. */
export function sectionOf(heading: string): string {
  const start = page.indexOf(`# ${heading}\n`);
  if (start < 0) throw new Error(`the page has no section ${heading}`);
  const rest = page.slice(start + heading.length + 2);
  const end = rest.search(/^##+ /m);
  return end < 0 ? rest : rest.slice(0, end);
}

/** The code blocks of a section. */
export function blocksOf(heading: string): string[] {
  return [...sectionOf(heading).matchAll(/^```\w*\n([^]*?)^```$/gm)].map((match) => match[1]!);
}

/** Where the byte table of a section puts the field with this text, or whose text begins so. */
export function at(heading: string, field: string): number {
  const rows = [...sectionOf(heading).matchAll(/^\| (\d+) +\| +[^|]*\| (.*?) +\|$/gm)];
  const row = rows.find(([, , text]) => text === field) ?? rows.find(([, , text]) => text!.startsWith(field));
  if (row === undefined) throw new Error(`section ${heading} has no field ${field}`);
  return Number(row[1]);
}
