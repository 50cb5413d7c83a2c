import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { SourceFile } from './layering.ts';

export const repositoryRoot = fileURLToPath(new URL('../../', import.meta.url));

/** Every text file that git tracks or would track. */
export function trackedFiles(): SourceFile[] {
  const output = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: repositoryRoot,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  const files: SourceFile[] = [];
  for (const path of output.split('\0')) {
    if (path === '' || path.startsWith('test/fixtures/') || !existsSync(repositoryRoot + path)) continue;
    const bytes = readFileSync(repositoryRoot + path);
    if (!bytes.includes(0)) files.push({ path, text: bytes.toString('utf8') });
  }
  return files;
}
