import type {
  LifecycleConfiguration,
  LifecyclePredicates,
  LifecycleRule,
  LifecycleTag,
} from '../../src/model/lifecycle-configuration.ts';

/** A version of a key as a person would note it down; newest first in a list. */
export interface NaiveVersion {
  madeAtMs: number;
  sizeBytes: number;
  tags: readonly LifecycleTag[];
  storageClass: string;
  isDeleteMarker: boolean;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * What the user guide says, read as sentences: for each version of one key whether it `stays`, gets a `marker` on top,
 * is `gone` or goes `to CLASS`. Written apart from the evaluation it judges, without its parts.
 */
export function naiveLifecycle(
  configuration: LifecycleConfiguration,
  key: string,
  versions: readonly NaiveVersion[],
  options: { nowMs: number; isVersioned: boolean; testDayMs?: number },
): string[] {
  const rules = configuration.rules.filter((rule) => rule.isEnabled);
  return versions.map((version, index) =>
    index === 0 ? current(rules, version, versions.length === 1) : noncurrent(rules, version, index),
  );

  function isOver(sinceMs: number, days: number): boolean {
    if (options.testDayMs !== undefined) return options.nowMs - sinceMs >= days * options.testDayMs;
    // Midnights one after the other, until one lies at or after the moment the days are full.
    let midnightMs = new Date(sinceMs).setUTCHours(0, 0, 0, 0);
    while (midnightMs < sinceMs + days * DAY_MS) midnightMs += DAY_MS;
    return midnightMs <= options.nowMs;
  }

  function hasEnded(rule: LifecycleRule, madeAtMs: number): boolean {
    if (rule.expiration?.days !== undefined && isOver(madeAtMs, rule.expiration.days)) return true;
    return rule.expiration?.dateMs !== undefined && rule.expiration.dateMs <= options.nowMs;
  }

  function current(all: readonly LifecycleRule[], version: NaiveVersion, isAlone: boolean): string {
    const own = all.filter((rule) => isMeant(rule, key, version));
    if (version.isDeleteMarker) {
      const cleans = own.some((rule) => rule.expiration?.expiredObjectDeleteMarker === true);
      const isOld = own.some((rule) => hasEnded(rule, version.madeAtMs));
      return isAlone && (cleans || isOld) ? 'gone' : 'stays';
    }
    const isEnding = own.some((rule) => hasEnded(rule, version.madeAtMs));
    if (isEnding && !options.isVersioned) return 'gone';
    const moves = own
      .filter((rule) => mayMove(rule, version))
      .flatMap((rule) =>
        (rule.transitions ?? []).filter((transition) =>
          transition.days === undefined
            ? transition.dateMs! <= options.nowMs
            : isOver(version.madeAtMs, transition.days),
        ),
      );
    const move = lastOf(moves, (each) => each.dateMs ?? endOf(version.madeAtMs, each.days!));
    if (move !== undefined && move.storageClass !== version.storageClass) return `to ${move.storageClass}`;
    return isEnding ? 'marker' : 'stays';
  }

  function noncurrent(all: readonly LifecycleRule[], version: NaiveVersion, index: number): string {
    const sinceMs = versions[index - 1]!.madeAtMs;
    const newer = versions.slice(1, index).filter((each) => !each.isDeleteMarker).length;
    const own = all.filter((rule) => isMeant(rule, key, version));
    const isWanted = (each: { noncurrentDays: number; newerNoncurrentVersions?: number }): boolean =>
      isOver(sinceMs, each.noncurrentDays) && newer >= (each.newerNoncurrentVersions ?? 0);
    const ends = own.map((rule) => rule.noncurrentVersionExpiration);
    if (ends.some((each) => each !== undefined && isWanted(each))) return 'gone';
    if (version.isDeleteMarker) return 'stays';
    const moves = own
      .filter((rule) => mayMove(rule, version))
      .flatMap((rule) => (rule.noncurrentVersionTransitions ?? []).filter(isWanted));
    const move = lastOf(moves, (each) => endOf(sinceMs, each.noncurrentDays));
    return move === undefined || move.storageClass === version.storageClass ? 'stays' : `to ${move.storageClass}`;
  }

  function endOf(sinceMs: number, days: number): number {
    const fullMs = sinceMs + days * (options.testDayMs ?? DAY_MS);
    if (options.testDayMs !== undefined) return fullMs;
    const midnightMs = new Date(fullMs).setUTCHours(0, 0, 0, 0);
    return midnightMs === fullMs ? fullMs : midnightMs + DAY_MS;
  }

  function mayMove(rule: LifecycleRule, version: NaiveVersion): boolean {
    if (configuration.transitionMinimumSize === 'varies_by_storage_class') return true;
    return version.sizeBytes >= 131_072 || JSON.stringify(rule.filter ?? {}).includes('objectSize');
  }
}

/** The first of those with the greatest number. */
function lastOf<T>(all: readonly T[], numberOf: (each: T) => number): T | undefined {
  return [...all].sort((a, b) => numberOf(b) - numberOf(a))[0];
}

function isMeant(rule: LifecycleRule, key: string, version: NaiveVersion): boolean {
  const sizeBytes = version.isDeleteMarker ? 0 : version.sizeBytes;
  const tags = version.isDeleteMarker ? [] : version.tags;
  const holds = (predicates: LifecyclePredicates): boolean =>
    (predicates.prefix === undefined || key.slice(0, predicates.prefix.length) === predicates.prefix) &&
    (predicates.objectSizeGreaterThan === undefined || sizeBytes > predicates.objectSizeGreaterThan) &&
    (predicates.objectSizeLessThan === undefined || sizeBytes < predicates.objectSizeLessThan) &&
    (predicates.tags ?? []).every((tag) =>
      tags.some((each) => `${each.key}=${each.value}` === `${tag.key}=${tag.value}`),
    );
  if (rule.filter === undefined) return holds({ prefix: rule.prefix! });
  return holds(rule.filter) && (rule.filter.and === undefined || holds(rule.filter.and));
}
