import type { ListObjectsQuery, MetadataStore } from '../../metadata-store/metadata-store.ts';
import type { BucketRecord, ListedVersion, ObjectRecord } from '../../model/object-record.ts';
import { CompiledLifecycle, matchesFilter, walkedPrefixes } from './compiled-lifecycle.ts';
import {
  evaluateCurrent,
  evaluateNoncurrent,
  type CurrentFacts,
  type LifecycleAction,
  type LifecycleTime,
  type NoncurrentFacts,
  uploadAbortion,
} from './evaluate-lifecycle.ts';

/** Something that is due for a version: done only to the very one that was seen, `order` is compared in the commit. */
export interface VersionTask {
  action: LifecycleAction;
  key: string;
  versionId: string;
  order: number;
  /** Seen under a newer one: when that is gone by then, the version is the current one and stays. */
  isNoncurrent: boolean;
  sizeBytes: number;
}

export interface UploadTask {
  key: string;
  uploadId: string;
}

export type LifecycleTask = VersionTask | UploadTask;

export interface WalkStep {
  tasks: LifecycleTask[];
  /** Objects, versions and uploads that were looked at. */
  lookedAtCount: number;
  /** Every key up to this one is done when the tasks are. */
  doneKey: string;
}

export interface LifecycleWalkOptions {
  metadataStore: Pick<MetadataStore, 'getObject' | 'listObjects' | 'listVersions' | 'listUploads'>;
  bucket: BucketRecord;
  lifecycle: CompiledLifecycle;
  /** Keys up to this one were done before. */
  afterKey: string;
  time: () => LifecycleTime;
  pageLimit: number;
}

type Entry = Pick<ListedVersion, 'key' | 'versionId' | 'order' | 'sizeBytes' | 'storageClass' | 'lastModifiedMs'> & {
  isDeleteMarker: boolean;
};

const NO_TAGS: readonly { key: string; value: string }[] = [];

/**
 * Looks at what the rules of one bucket could concern, in the order of keys, a page at a time: uploads where a rule
 * aborts them, versions where a rule concerns old ones or markers, else only the objects, and of all only those under
 * the prefixes of rules. Tags are looked up for what would be due with them.
 */
export class LifecycleWalk {
  readonly #options: LifecycleWalkOptions;
  readonly #lifecycle: CompiledLifecycle;
  /** The same rules, each without its tags. */
  readonly #loosest: CompiledLifecycle;
  readonly #isVersioned: boolean;
  #doneKey: string;

  constructor(options: LifecycleWalkOptions) {
    this.#options = options;
    this.#lifecycle = options.lifecycle;
    this.#loosest = options.lifecycle.ignoringTags();
    this.#isVersioned = options.bucket.configuration.versioning !== undefined;
    this.#doneKey = options.afterKey;
  }

  async *steps(): AsyncGenerator<WalkStep> {
    yield* this.#uploads();
    const { currentRules, noncurrentRules } = this.#lifecycle;
    if (!this.#isVersioned) {
      for (const prefix of walkedPrefixes(currentRules)) yield* this.#objects(prefix);
      return;
    }
    // Markers under which nothing is left are seen only among the versions.
    const inHistory = [...noncurrentRules, ...currentRules.filter(({ rule }) => rule.expiration !== undefined)];
    if (inHistory.length === 0) for (const prefix of walkedPrefixes(currentRules)) yield* this.#objects(prefix);
    else for (const prefix of walkedPrefixes(this.#lifecycle.rules)) yield* this.#versions(prefix);
  }

  async *#uploads(): AsyncGenerator<WalkStep> {
    const { metadataStore, bucket, pageLimit, time } = this.#options;
    for (const prefix of walkedPrefixes(this.#lifecycle.uploadRules)) {
      let marker = { keyMarker: '', uploadIdMarker: '' };
      for (;;) {
        const query = { bucketId: bucket.bucketId, prefix, delimiter: '', ...marker, limit: pageLimit };
        const page = await metadataStore.listUploads(query);
        const { nowMs, dayMs } = time();
        const tasks = page.uploads.flatMap(({ key, uploadId, initiatedAtMs }): LifecycleTask[] => {
          const abortion = uploadAbortion(this.#lifecycle, { key, initiatedAtMs }, dayMs);
          if (abortion === undefined || abortion.atMs > nowMs) return [];
          return [{ key, uploadId }];
        });
        yield { tasks, lookedAtCount: page.uploads.length, doneKey: this.#doneKey };
        if (!page.isTruncated) break;
        marker = { keyMarker: page.nextKeyMarker ?? '', uploadIdMarker: page.nextUploadIdMarker ?? '' };
      }
    }
  }

  async *#objects(prefix: string): AsyncGenerator<WalkStep> {
    const { metadataStore, bucket, pageLimit, time } = this.#options;
    let startAfter = this.#options.afterKey;
    for (;;) {
      const query: ListObjectsQuery = {
        bucketId: bucket.bucketId,
        prefix,
        delimiter: '',
        startAfter,
        limit: pageLimit,
      };
      const page = await metadataStore.listObjects(query);
      const tasks: LifecycleTask[] = [];
      for (const object of page.objects) {
        const facts = {
          ...object,
          tags: NO_TAGS,
          isDeleteMarker: false,
          isOnlyVersion: true,
          isVersioned: this.#isVersioned,
        };
        if (this.#currentAction(facts, time()) === undefined) continue;
        const record = await metadataStore.getObject({ bucketId: bucket.bucketId, key: object.key });
        if (record === undefined || record.isDeleteMarker) continue;
        const action = evaluateCurrent(this.#lifecycle, { ...facts, ...factsOf(record) }, time());
        if (action)
          tasks.push({
            action,
            key: object.key,
            versionId: record.versionId,
            order: record.order,
            isNoncurrent: false,
            sizeBytes: record.sizeBytes,
          });
      }
      if (page.lastEntry !== undefined) startAfter = this.#doneKey = page.lastEntry;
      yield { tasks, lookedAtCount: page.objects.length, doneKey: this.#doneKey };
      if (!page.isTruncated) return;
    }
  }

  async *#versions(prefix: string): AsyncGenerator<WalkStep> {
    const { metadataStore, bucket, pageLimit } = this.#options;
    let marker = { keyMarker: this.#options.afterKey, versionIdMarker: '' };
    let family = new VersionFamily();
    for (;;) {
      const query = { bucketId: bucket.bucketId, prefix, delimiter: '', ...marker, limit: pageLimit };
      const page = await metadataStore.listVersions(query);
      const tasks: LifecycleTask[] = [];
      for (const entry of page.versions) {
        if (family.key !== entry.key) {
          tasks.push(...(await this.#closeFamily(family)));
          if (family.key !== undefined) this.#doneKey = family.key;
          family = new VersionFamily(entry);
          continue;
        }
        if (family.isWholeSeen(entry)) continue;
        tasks.push(...(await this.#noncurrent(entry, family)));
        family.add(entry);
      }
      if (!page.isTruncated) {
        tasks.push(...(await this.#closeFamily(family)));
        if (family.key !== undefined) this.#doneKey = family.key;
      }
      yield { tasks, lookedAtCount: page.versions.length, doneKey: this.#doneKey };
      if (!page.isTruncated) return;
      marker = { keyMarker: page.nextKeyMarker ?? '', versionIdMarker: page.nextVersionIdMarker ?? '' };
    }
  }

  /** All versions of a key have been seen: only now it is known whether its newest one is alone. */
  async #closeFamily({ newest, noncurrentCount }: VersionFamily): Promise<LifecycleTask[]> {
    if (newest === undefined) return [];
    const facts: CurrentFacts = {
      ...newest,
      tags: NO_TAGS,
      isOnlyVersion: noncurrentCount === 0,
      isVersioned: true,
    };
    const seen = { ...newest, isNoncurrent: false };
    return await this.#decide(seen, this.#currentAction(facts, this.#options.time()), (tags) =>
      evaluateCurrent(this.#lifecycle, { ...facts, tags }, this.#options.time()),
    );
  }

  async #noncurrent(entry: Entry, family: VersionFamily): Promise<LifecycleTask[]> {
    const facts: NoncurrentFacts = {
      ...entry,
      tags: NO_TAGS,
      noncurrentSinceMs: family.lastModifiedMs,
      newerNoncurrentCount: family.newerNoncurrentCount,
    };
    const seen = { ...entry, isNoncurrent: true };
    return await this.#decide(seen, this.#noncurrentAction(facts, this.#options.time()), (tags) =>
      evaluateNoncurrent(this.#lifecycle, { ...facts, tags }, this.#options.time()),
    );
  }

  /** With the tags of the version, if a rule asks for tags: a delete marker has none. */
  async #decide(
    { key, versionId, order, sizeBytes, isDeleteMarker, isNoncurrent }: Entry & { isNoncurrent: boolean },
    possible: LifecycleAction | undefined,
    evaluate: (tags: readonly { key: string; value: string }[]) => LifecycleAction | undefined,
  ): Promise<LifecycleTask[]> {
    if (possible === undefined) return [];
    let action: LifecycleAction | undefined = possible;
    if (this.#lifecycle.namesTags && isDeleteMarker) {
      action = evaluate(NO_TAGS);
    } else if (this.#lifecycle.namesTags) {
      const { metadataStore, bucket } = this.#options;
      const record = await metadataStore.getObject({ bucketId: bucket.bucketId, key, versionId });
      // Gone or replaced since it was listed.
      if (record?.order !== order) return [];
      action = evaluate(record.tags ?? NO_TAGS);
    }
    return action === undefined ? [] : [{ action, key, versionId, order, isNoncurrent, sizeBytes }];
  }

  /** What would be due if the object had every tag; exact where no rule asks for tags. */
  #currentAction(facts: CurrentFacts, time: LifecycleTime): LifecycleAction | undefined {
    if (!this.#lifecycle.namesTags) return evaluateCurrent(this.#lifecycle, facts, time);
    return evaluateCurrent(this.#loosest, { ...facts, storageClass: this.#classToCompare(facts) }, time);
  }

  #noncurrentAction(facts: NoncurrentFacts, time: LifecycleTime): LifecycleAction | undefined {
    if (!this.#lifecycle.namesTags) return evaluateNoncurrent(this.#lifecycle, facts, time);
    return evaluateNoncurrent(this.#loosest, { ...facts, storageClass: this.#classToCompare(facts) }, time);
  }

  /**
   * Which of several transitions is due depends on tags: then no class counts as reached already, unless all that could
   * be meant lead to one class.
   */
  #classToCompare(facts: { key: string; sizeBytes: number; storageClass: string }): string {
    const targets = new Set<string>();
    for (const each of this.#loosest.rules) {
      if (!matchesFilter(each, { ...facts, tags: NO_TAGS })) continue;
      const { transitions = [], noncurrentVersionTransitions = [] } = each.rule;
      for (const { storageClass } of [...transitions, ...noncurrentVersionTransitions]) targets.add(storageClass);
    }
    return targets.size > 1 ? '' : facts.storageClass;
  }
}

function factsOf(record: ObjectRecord): Pick<CurrentFacts, 'sizeBytes' | 'tags' | 'storageClass' | 'lastModifiedMs'> {
  const { sizeBytes, tags = NO_TAGS, storageClass, lastModifiedMs } = record;
  return { sizeBytes, tags, storageClass, lastModifiedMs };
}

/** What has been seen of one key, newest first. */
class VersionFamily {
  readonly newest: Entry | undefined;
  noncurrentCount = 0;
  /** Delete markers not counted. */
  newerNoncurrentCount = 0;
  #last: Entry | undefined;

  constructor(newest?: Entry) {
    this.newest = newest;
    this.#last = newest;
  }

  get key(): string | undefined {
    return this.newest?.key;
  }

  /** When the version before the next one was made: since then that one is noncurrent. */
  get lastModifiedMs(): number {
    return this.#last?.lastModifiedMs ?? 0;
  }

  /** Repeated in a page that begins at a version which is gone. */
  isWholeSeen({ order }: Entry): boolean {
    return this.#last !== undefined && order >= this.#last.order;
  }

  add(entry: Entry): void {
    this.noncurrentCount++;
    if (!entry.isDeleteMarker) this.newerNoncurrentCount++;
    this.#last = entry;
  }
}
