import { expect, test } from 'vitest';
import { TIDY_RULES, tidyViolations } from './tidy.ts';
import { trackedFiles } from './tracked-files.ts';

test('the house is tidy', () => {
  expect(tidyViolations(trackedFiles())).toEqual([]);
});

const planted: Record<string, [path: string, text: string]> = {
  'no default export': ['src/x.ts', 'export default 1;'],
  'no enum or namespace': ['src/x.ts', 'export enum Color { Red }'],
  'no unfinished word': ['src/x.ts', ['// TO', 'DO: later'].join('')],
  'time and randomness are injected': ['src/service/x.ts', 'const now = Date.now();'],
  'process.env is read in main.ts only': ['src/service/x.ts', 'process.env.X'],
  'process.exit only in main.ts': ['src/server.ts', 'process.exit(1)'],
  'no focused test': ['test/unit/x.ts', ['test.on', "ly('x')"].join('')],
  'no machine path': ['README.md', ['see /ho', 'me/someone'].join('')],
  'no registry host': ['README.md', ['registry', '.npmjs'].join('')],
  'no folder without a meaning': ['src/utils/x.ts', ''],
};

test.each(TIDY_RULES.map((rule) => rule.name))('a planted violation of "%s" is reported', (name) => {
  const [path, text] = planted[name] ?? ['', ''];
  expect(tidyViolations([{ path, text }]).some((violation) => violation.endsWith(name))).toBe(true);
});
