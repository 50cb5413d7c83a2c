import { expect, test } from 'vitest';
import { importsOf, layeringViolations } from './layering.ts';
import { trackedFiles } from './tracked-files.ts';

test('imports point down only', () => {
  const files = trackedFiles();
  expect(files.filter((file) => file.path.startsWith('src/')).length).toBeGreaterThan(20);
  expect(layeringViolations(files)).toEqual([]);
});

test.each([
  ['src/data-store/x.ts', "import { a } from '../metadata-store/metadata-store.ts';"],
  ['src/metadata-store/x.ts', "import type { a } from '../data-store/data-store.ts';"],
  ['src/service/x.ts', "import { a } from '../data-store/striped-data-store.ts';"],
  ['src/service/x.ts', "import { a } from '../s3/operation.ts';"],
  ['src/model/x.ts', "import { a } from '../disk/disk-fs.ts';"],
  ['src/s3/operations/put-object.ts', "import { a } from './get-object.ts';"],
  ['src/s3/x.ts', "export { a } from '../metadata-store/metadata-store.ts';"],
  ['src/data-store/placement.ts', "import { connect } from 'node:net';"],
  ['src/service/x.ts', "import { readFile } from 'node:fs/promises';"],
  ['src/utils/x.ts', "const x = await import('../model/blob.ts');"],
])('a planted violation in %s is reported: %s', (path, text) => {
  expect(layeringViolations([{ path, text }])).toHaveLength(1);
});

test('every form of import is seen', () => {
  const text =
    "import a from 'a';\nimport {\n  b,\n} from 'b';\nexport * from 'c';\nimport 'd';\nawait import('e');\nimport type { F } from 'f';";
  expect(importsOf(text).sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
});
