import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { SqliteMetadataStore } from '../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import { ALICE, attributesOf, createBucket } from '../support/metadata-fixtures.ts';
import { naiveListing } from '../support/naive-object-model.ts';
import { sqliteHarness, type SqliteHarness } from '../support/open-sqlite-store.ts';

let harness: SqliteHarness;
let store: SqliteMetadataStore;
beforeAll(async () => {
  harness = await sqliteHarness();
  ({ store } = await harness.open());
});
afterAll(() => harness.close());

/** Few letters, so that prefixes and delimiters meet; with line breaks, NUL, 0x7f, multi-byte and surrogate pairs, whose UTF-16 order is not that of UTF-8. */
const alphabet = ['a', 'b', '/', '/', '-', '\n', '\u0000', '\u007f', 'ä', '\uffee', '\u{1f600}', '\u{10ffff}', ' '];
const text = (maxLength: number) =>
  fc.array(fc.constantFrom(...alphabet), { maxLength }).map((letters) => letters.join(''));
const keyText = text(8).filter((key) => key !== '');
const delimiters = fc.oneof(fc.constantFrom('', '/', '/', '//', 'a/', '\u{1f600}', '\u0000', 'ä'), text(3));

let bucketCount = 0;
async function bucketWith(keys: readonly string[]): Promise<number> {
  const bucketId = await createBucket(store, `bucket-${(bucketCount += 1)}`);
  await Promise.all(
    keys.map((key) =>
      store.commit({
        type: 'PutObject',
        bucketId,
        key,
        owner: ALICE,
        attributes: attributesOf('e', 1),
        blobs: [],
        lastModifiedMs: 1,
      }),
    ),
  );
  return bucketId;
}

test('listObjects pages as the naive model does, for every prefix, delimiter, start and limit', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(keyText, { maxLength: 40 }),
      fc.array(fc.record({ prefix: text(3), delimiter: delimiters, startAfter: text(6), limit: fc.nat(12) }), {
        minLength: 1,
        maxLength: 8,
      }),
      async (keys, queries) => {
        const bucketId = await bucketWith(keys);
        for (const query of queries) {
          const page = await store.listObjects({ bucketId, ...query });
          const expected = naiveListing(keys, query);
          expect({
            keys: page.objects.map((object) => object.key),
            commonPrefixes: page.commonPrefixes,
            isTruncated: page.isTruncated,
            lastEntry: page.lastEntry,
          }).toEqual(expected);
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('listObjects is right for hundreds of keys, where it seeks from entry to entry', async () => {
  const letters = fc.constantFrom('a', 'b', '/', '/', '\u0000', 'ä', '\u{1f600}');
  const keys = fc.array(letters, { minLength: 1, maxLength: 7 }).map((array) => array.join(''));
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(keys, { minLength: 100, maxLength: 500, size: 'max' }),
      fc.array(fc.record({ prefix: text(2), delimiter: delimiters, startAfter: text(4), limit: fc.nat(300) }), {
        minLength: 5,
        maxLength: 10,
      }),
      async (keys, queries) => {
        const bucketId = await bucketWith(keys);
        for (const { limit, ...query } of queries) {
          const page = await store.listObjects({ bucketId, ...query, limit: Math.max(1, limit) });
          const expected = naiveListing(keys, { ...query, limit: Math.max(1, limit) });
          expect({ ...page, objects: page.objects.map(({ key, etag }) => `${key}${etag}`) }).toEqual({
            objects: expected.keys.map((key) => `${key}e`),
            commonPrefixes: expected.commonPrefixes,
            isTruncated: expected.isTruncated,
            lastEntry: expected.lastEntry,
          });
        }
      },
    ),
    { numRuns: 25 },
  );
});

test('pages of every size put together are the whole listing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(keyText, { maxLength: 60 }),
      text(2),
      delimiters,
      async (keys, prefix, delimiter) => {
        const bucketId = await bucketWith(keys);
        const whole = naiveListing(keys, { prefix, delimiter, limit: 1_000_000 });
        for (let limit = 1; limit <= whole.keys.length + whole.commonPrefixes.length + 1; limit += 1) {
          const seen: { keys: string[]; commonPrefixes: string[] } = { keys: [], commonPrefixes: [] };
          let startAfter = '';
          for (;;) {
            const page = await store.listObjects({ bucketId, prefix, delimiter, startAfter, limit });
            seen.keys.push(...page.objects.map((object) => object.key));
            seen.commonPrefixes.push(...page.commonPrefixes);
            if (!page.isTruncated) break;
            expect(page.objects.length + page.commonPrefixes.length).toBe(limit);
            startAfter = page.lastEntry ?? '';
          }
          expect(seen).toEqual({ keys: whole.keys, commonPrefixes: whole.commonPrefixes });
        }
      },
    ),
    { numRuns: 25 },
  );
});

test('listing is right where thousands of keys hide behind few prefixes', async () => {
  const keys = Array.from({ length: 3000 }, (_, index) => `${'xyz'[index % 3]}/${String(index).padStart(6, '0')}`);
  keys.push('w', 'x', 'x0', 'zz', ...Array.from({ length: 500 }, (_, index) => `d${index}/${index}`));
  const bucketId = await bucketWith(keys);
  for (const query of [
    { delimiter: '/', limit: 1000 },
    { delimiter: '/', limit: 2 },
    { delimiter: '/', limit: 1000, startAfter: 'x/000500' },
    { delimiter: '/', prefix: 'y/', limit: 700 },
    { delimiter: '00', prefix: '', limit: 100 },
  ]) {
    const page = await store.listObjects({ bucketId, prefix: '', startAfter: '', ...query });
    const expected = naiveListing(keys, query);
    expect(page.objects.map((object) => object.key)).toEqual(expected.keys);
    expect(page.commonPrefixes).toEqual(expected.commonPrefixes);
    expect(page.isTruncated).toBe(expected.isTruncated);
  }
});
