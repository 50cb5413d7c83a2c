import { readdir } from 'node:fs/promises';
import path from 'node:path';

const MAX_EXPANSIONS = 1024;

/**
 * Disk patterns to absolute directories, in the order written, without duplicates. Braces expand as in a shell
 * (`/mnt/disk{1..6}`, `{a,b}`, `{01..12}`), `*` and `?` match existing directories in natural order. A brace form names
 * directories whether they exist or not: a lost disk stays in the list.
 * @throws Error when a pattern is malformed or expands to too many
 */
export async function expandDiskPatterns(patterns: readonly string[], workingDirectory: string): Promise<string[]> {
  const expanded: string[] = [];
  for (const pattern of patterns) {
    for (const candidate of expandBraces(pattern)) {
      const absolute = path.resolve(workingDirectory, candidate);
      expanded.push(...(/[*?]/.test(absolute) ? await matchDirectories(absolute) : [absolute]));
    }
  }
  return [...new Set(expanded)];
}

/** Shell brace expansion: lists and number ranges, nested; zero padding is kept. */
export function expandBraces(pattern: string): string[] {
  const open = pattern.indexOf('{');
  if (open === -1) {
    if (pattern.includes('}')) throw new Error(`"${pattern}" has a } without {`);
    return [pattern];
  }
  const close = findClosing(pattern, open);
  const before = pattern.slice(0, open);
  const alternatives = expandGroup(pattern.slice(open + 1, close));
  const tails = expandBraces(pattern.slice(close + 1));
  if (alternatives.length * tails.length > MAX_EXPANSIONS) {
    throw new Error(`"${pattern}" expands to more than ${MAX_EXPANSIONS} directories`);
  }
  return alternatives.flatMap((alternative) => tails.map((tail) => before + alternative + tail));
}

function findClosing(pattern: string, open: number): number {
  let depth = 0;
  for (let index = open; index < pattern.length; index += 1) {
    if (pattern[index] === '{') depth += 1;
    if (pattern[index] === '}') depth -= 1;
    if (depth === 0) return index;
  }
  throw new Error(`"${pattern}" has a { without }`);
}

function expandGroup(group: string): string[] {
  const range = /^(\d+)\.\.(\d+)$/.exec(group);
  if (range?.[1] !== undefined && range[2] !== undefined) return expandRange(range[1], range[2]);
  const alternatives: string[] = [];
  let depth = 0;
  let current = '';
  for (const character of group) {
    if (character === '{') depth += 1;
    if (character === '}') depth -= 1;
    if (character === ',' && depth === 0) {
      alternatives.push(current);
      current = '';
    } else {
      current += character;
    }
  }
  alternatives.push(current);
  if (alternatives.length === 1) throw new Error(`"{${group}}" is neither a list {a,b} nor a range {1..6}`);
  return alternatives.flatMap((alternative) => expandBraces(alternative));
}

function expandRange(first: string, last: string): string[] {
  const from = Number(first);
  const to = Number(last);
  const count = Math.abs(to - from) + 1;
  if (count > MAX_EXPANSIONS) throw new Error(`"{${first}..${last}}" is more than ${MAX_EXPANSIONS} directories`);
  const isPadded = [first, last].some((text) => text.length > 1 && text.startsWith('0'));
  const width = isPadded ? Math.max(first.length, last.length) : 0;
  const step = from <= to ? 1 : -1;
  return Array.from({ length: count }, (_, index) => String(from + index * step).padStart(width, '0'));
}

async function matchDirectories(absolute: string): Promise<string[]> {
  let found = [path.parse(absolute).root];
  for (const segment of absolute.split(path.sep).filter((part) => part !== '')) {
    const next: string[] = [];
    for (const parent of found) {
      if (/[*?]/.test(segment)) next.push(...(await matchSegment(parent, segment)));
      else next.push(path.join(parent, segment));
    }
    found = next;
  }
  return found;
}

async function matchSegment(parent: string, segment: string): Promise<string[]> {
  const source = segment
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '[^/]*')
    .replaceAll('?', '[^/]');
  const matcher = new RegExp(`^${source}$`);
  const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && matcher.test(entry.name))
    .filter((entry) => !entry.name.startsWith('.') || segment.startsWith('.'))
    .map((entry) => entry.name)
    .sort((left, right) => left.localeCompare(right, 'en', { numeric: true }))
    .map((name) => path.join(parent, name));
}
