import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3Error } from '../../src/errors/s3-error.ts';
import type { ListVersionsQuery, MetadataStore } from '../../src/metadata-store/metadata-store.ts';
import { attributesOf, ALICE, createBucket, etagOf, newBlob, openVolume } from '../support/metadata-fixtures.ts';
import { compareBytes, NaiveObjectModel, naiveListing } from '../support/naive-object-model.ts';
import { sqliteHarness, type SqliteHarness } from '../support/open-sqlite-store.ts';

/** Some fold into common prefixes, and some are the beginning of others. */
const KEYS = ['a', 'a/b', 'a/c', 'a0', 'b', 'é/x'];
const RUNS = 60;

type Step =
  | { do: 'put'; key: string; content: string; ifMatch?: string | undefined }
  | { do: 'delete'; key: string }
  | { do: 'delete version'; key: string; index: number }
  | { do: 'set'; status: 'Enabled' | 'Suspended' };

const key = fc.constantFrom(...KEYS);
const content = fc.constantFrom('one', 'two', 'three');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('put' as const), key, content }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('put' as const), key, content, ifMatch: content }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('delete version' as const), key, index: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('set' as const), status: fc.constantFrom('Enabled', 'Suspended') }),
  },
);

let harness: SqliteHarness;
let store: MetadataStore;
let volumeId: number;
let buckets = 0;

beforeAll(async () => {
  harness = await sqliteHarness();
  ({ store } = await harness.open());
  volumeId = await openVolume(store);
});
afterAll(() => harness.close());

/** The product and the model side by side; the model's version ids are its own, so ids are translated. */
class Pair {
  readonly model = new NaiveObjectModel<{ etag: string; sizeBytes: number }>();
  readonly bucketId: number;
  readonly #ids = new Map([['null', 'null']]);

  constructor(bucketId: number) {
    this.bucketId = bucketId;
    this.model.createBucket('b');
  }

  async run(one: Step): Promise<void> {
    const { bucketId, model } = this;
    if (one.do === 'set') {
      model.setVersioning('b', one.status);
      await store.commit({
        type: 'PutBucketConfiguration',
        bucketId,
        name: 'versioning',
        value: { status: one.status },
      });
    } else if (one.do === 'put') {
      await this.#put(one);
    } else if (one.do === 'delete') {
      model.delete('b', one.key);
      const deleted = await store.commit({ type: 'DeleteObject', bucketId, key: one.key, owner: ALICE, atMs: 1 });
      expect(deleted.isDeleteMarker).toBe(deleted.deletedVersionId !== undefined);
      if (deleted.deletedVersionId !== undefined) this.#remember(one.key, deleted.deletedVersionId);
    } else {
      await this.#deleteVersion(one.key, one.index);
    }
  }

  async #put({ key: name, content: text, ifMatch }: Extract<Step, { do: 'put' }>): Promise<void> {
    const value = { etag: etagOf(text), sizeBytes: text.length };
    const preconditions = ifMatch === undefined ? {} : { ifMatch: [etagOf(ifMatch)] };
    const mutation = {
      type: 'PutObject' as const,
      bucketId: this.bucketId,
      key: name,
      owner: ALICE,
      attributes: attributesOf(value.etag, value.sizeBytes),
      blobs: [{ newBlob: newBlob(store, volumeId, value.sizeBytes) }],
      lastModifiedMs: 5,
      preconditions,
    };
    try {
      this.model.put('b', name, value, preconditions);
    } catch (error) {
      await expect(store.commit(mutation)).rejects.toMatchObject({ code: (error as S3Error).code });
      return;
    }
    this.#remember(name, (await store.commit(mutation)).versionId);
  }

  async #deleteVersion(name: string, index: number): Promise<void> {
    const version = this.model.versions('b', name)[index];
    const versionId = version === undefined ? 'not there' : this.#ids.get(version.versionId)!;
    if (version !== undefined) this.model.deleteVersion('b', name, version.versionId);
    const mutation = {
      type: 'DeleteObject' as const,
      bucketId: this.bucketId,
      key: name,
      owner: ALICE,
      atMs: 1,
      versionId,
    };
    const isDeleteMarker = version !== undefined && version.content === undefined;
    expect(await store.commit(mutation)).toEqual({ deletedVersionId: versionId, isDeleteMarker });
  }

  #remember(name: string, versionId: string): void {
    const { versionId: its } = this.model.versions('b', name)[0]!;
    expect(its === 'null').toBe(versionId === 'null');
    this.#ids.set(its, versionId);
  }

  /** All versions as they must be listed. */
  expected(): { key: string; versionId: string; isLatest: boolean; etag: string | undefined }[] {
    return KEYS.toSorted(compareBytes).flatMap((name) =>
      this.model.versions('b', name).map((version, index) => ({
        key: name,
        versionId: this.#ids.get(version.versionId)!,
        isLatest: index === 0,
        etag: version.content?.etag,
      })),
    );
  }

  async check(): Promise<void> {
    const { bucketId, model } = this;
    for (const name of KEYS) {
      const [newest] = model.versions('b', name);
      const current = await store.getObject({ bucketId, key: name });
      expect(current?.isDeleteMarker).toBe(newest === undefined ? undefined : newest.content === undefined);
      expect(current?.isDeleteMarker === false ? current.etag : undefined).toBe(newest?.content?.etag);
    }
    for (const { key: name, versionId, etag } of this.expected()) {
      const found = await store.getObject({ bucketId, key: name, versionId });
      expect(found).toMatchObject({ versionId, isDeleteMarker: etag === undefined });
      if (etag !== undefined) expect(found?.etag).toBe(etag);
    }
    const page = await store.listObjects({ bucketId, prefix: '', delimiter: '', startAfter: '', limit: 100 });
    expect(page.objects.map((object) => object.key)).toEqual(model.keys('b'));
    const all = this.expected();
    expect(await store.bucketUsage(bucketId)).toMatchObject({
      ...model.usage('b'),
      versionCount: all.length - model.keys('b').length,
    });
  }

  async listed(query: Pick<ListVersionsQuery, 'prefix' | 'delimiter' | 'limit'>) {
    const versions = [];
    const commonPrefixes = [];
    let [keyMarker, versionIdMarker] = ['', ''];
    for (;;) {
      const page = await store.listVersions({ bucketId: this.bucketId, keyMarker, versionIdMarker, ...query });
      expect(page.versions.length + page.commonPrefixes.length).toBeLessThanOrEqual(query.limit);
      versions.push(...page.versions);
      commonPrefixes.push(...page.commonPrefixes);
      if (!page.isTruncated) break;
      expect(page.versions.length + page.commonPrefixes.length).toBe(query.limit);
      [keyMarker, versionIdMarker] = [page.nextKeyMarker!, page.nextVersionIdMarker ?? ''];
    }
    return {
      commonPrefixes,
      versions: versions.map(({ key: name, versionId, isLatest, isDeleteMarker, etag }) => {
        return { key: name, versionId, isLatest, etag: isDeleteMarker ? undefined : etag };
      }),
    };
  }
}

async function newPair(): Promise<Pair> {
  return new Pair(await createBucket(store, `bucket-${++buckets}`));
}

test('writes, deletes and deletions of versions make the history that S3 would have', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const pair = await newPair();
      for (const one of steps) {
        await pair.run(one);
      }
      await pair.check();
    }),
    { numRuns: RUNS },
  );
});

test('listVersions is the naive listing, in pages of any size', { timeout: 60_000 }, async () => {
  const query = fc.record({
    prefix: fc.constantFrom('', 'a', 'a/', 'é', 'x'),
    delimiter: fc.constantFrom('', '/', 'b'),
    limit: fc.integer({ min: 1, max: 6 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 15, maxLength: 40 }),
      fc.array(query, { minLength: 3, maxLength: 6 }),
      async (steps, queries) => {
        const pair = await newPair();
        await pair.run({ do: 'set', status: 'Enabled' });
        for (const one of steps) await pair.run(one);
        const all = pair.expected();
        for (const { prefix, delimiter, limit } of queries) {
          const naive = naiveListing(
            all.map((version) => version.key),
            { prefix, delimiter },
          );
          expect(await pair.listed({ prefix, delimiter, limit })).toEqual({
            commonPrefixes: naive.commonPrefixes,
            versions: all.filter((version) => naive.keys.includes(version.key)),
          });
        }
      },
    ),
    { numRuns: RUNS },
  );
});
