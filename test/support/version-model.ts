import type { ObjectValue } from './service-model.ts';

/** A version, or a delete marker, as the client knows it. */
export interface KnownVersion {
  /** `undefined`: its write had no answer, and nothing has shown its id since. */
  readonly versionId: string | undefined;
  /** `undefined`: a delete marker. */
  readonly value: ObjectValue | undefined;
}

/** All versions of one key, newest first. */
export type History = readonly KnownVersion[];

/** An entry of ListObjectVersions. */
export interface ListedEntry {
  readonly versionId: string;
  readonly isLatest: boolean;
  /** `undefined`: a delete marker. */
  readonly content: { readonly etag: string; readonly sizeBytes: number } | undefined;
}

/**
 * The histories that each key of a versioned bucket may have, given every answer so far: one when all its writes were
 * acknowledged, more while an outcome is unknown. As `ServiceModel`, for whole histories.
 */
export class VersionModel {
  readonly #candidates = new Map<string, readonly History[]>();

  keys(): string[] {
    return [...this.#candidates.keys()];
  }

  candidates(key: string): readonly History[] {
    return this.#candidates.get(key) ?? [[]];
  }

  acknowledge(key: string, change: (history: History) => History): void {
    this.#candidates.set(key, this.candidates(key).map(change));
  }

  /** Each of the changes may have happened, or none. */
  doubt(key: string, changes: readonly ((history: History) => History)[]): void {
    const before = this.candidates(key);
    this.#candidates.set(key, [...before, ...changes.flatMap((change) => before.map(change))]);
  }

  /** Rules out what an answer contradicts. @throws Error when nothing is left: an invariant is broken */
  keep(key: string, answer: string, isPossible: (history: History) => boolean): void {
    const left = this.candidates(key).filter(isPossible);
    if (left.length === 0) throw new Error(`${key}: ${answer}, but it may only be ${this.describe(key)}`);
    this.#candidates.set(key, left);
  }

  /** Of a whole history there is no doubt once it has been listed. */
  observe(key: string, listed: readonly ListedEntry[]): void {
    for (const [index, entry] of listed.entries()) {
      if (entry.isLatest !== (index === 0)) throw new Error(`${key}: ${entry.versionId} is latest: ${entry.isLatest}`);
    }
    this.keep(key, `listed as ${describeListed(listed)}`, (history) => isListedAs(history, listed));
    const [history] = this.candidates(key);
    this.#candidates.set(key, [listed.map(({ versionId }, index) => ({ versionId, value: history![index]!.value }))]);
  }

  /** Versions that are there for certain, with their ids. */
  certain(key: string): { versionId: string; value: ObjectValue | undefined }[] {
    const [first = [], ...others] = this.candidates(key);
    return first.flatMap(({ versionId, value }) => {
      const isEverywhere = others.every((history) => history.some((each) => each.versionId === versionId));
      return versionId === undefined || !isEverywhere ? [] : [{ versionId, value }];
    });
  }

  describe(key: string): string {
    return this.candidates(key)
      .map((history) => history.map(({ versionId, value }) => `${versionId ?? '?'}=${value?.note ?? 'marker'}`))
      .map((entries) => `[${entries.join()}]`)
      .join(' | ');
  }
}

/** What a write does to a history; the null version has one place only. */
export function withVersion(
  versionId: string | undefined,
  value: ObjectValue | undefined,
): (history: History) => History {
  return (history) => [
    { versionId, value },
    ...history.filter((each) => versionId !== 'null' || each.versionId !== 'null'),
  ];
}

export function withoutVersion(versionId: string): (history: History) => History {
  return (history) => history.filter((each) => each.versionId !== versionId);
}

function isListedAs(history: History, listed: readonly ListedEntry[]): boolean {
  return (
    history.length === listed.length &&
    history.every(({ versionId, value }, index) => {
      const { versionId: listedId, content } = listed[index]!;
      if (versionId !== undefined && versionId !== listedId) return false;
      return value?.etag === content?.etag && value?.body.length === content?.sizeBytes;
    })
  );
}

function describeListed(listed: readonly ListedEntry[]): string {
  return `[${listed.map(({ versionId, content }) => `${versionId}=${content?.etag ?? 'marker'}`).join()}]`;
}
