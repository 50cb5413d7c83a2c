import type { LifecycleTag } from '../../model/lifecycle-configuration.ts';
import { type CompiledLifecycle, type CompiledRule, type FilterFacts, matchesFilter } from './compiled-lifecycle.ts';
import { CALENDAR_DAY_MS, dueAtMs } from './lifecycle-days.ts';

/** Below this nothing changes its class where `all_storage_classes_128K` holds. */
const SMALL_OBJECT_BYTES = 128 * 1024;
const NO_TAGS: readonly LifecycleTag[] = [];

/** The current version of a key. */
export interface CurrentFacts {
  key: string;
  sizeBytes: number;
  tags: readonly LifecycleTag[];
  storageClass: string;
  lastModifiedMs: number;
  isDeleteMarker: boolean;
  /** No other version of the key is there. */
  isOnlyVersion: boolean;
  /** Enabled or suspended: expiring makes a delete marker. Otherwise the object is gone for good. */
  isVersioned: boolean;
}

/** A version that another one has followed. */
export interface NoncurrentFacts {
  key: string;
  sizeBytes: number;
  tags: readonly LifecycleTag[];
  storageClass: string;
  isDeleteMarker: boolean;
  /** When the next newer one was made. */
  noncurrentSinceMs: number;
  /** Noncurrent versions of the key that are newer than this one, delete markers not counted. */
  newerNoncurrentCount: number;
}

/** When it is. */
export interface LifecycleTime {
  nowMs: number;
  /** Length of a day; another than 24 hours is a test clock. Dates are those of the calendar all the same. */
  dayMs: number;
}

export type LifecycleAction =
  /** A delete marker on top of it, or in a bucket without versions its end. */
  | { kind: 'expire'; ruleId: string }
  /** This version goes for good: a noncurrent one, or a delete marker under which nothing is left. */
  | { kind: 'delete-version'; ruleId: string }
  | { kind: 'transition'; ruleId: string; storageClass: string };

interface Due {
  atMs: number;
  rule: CompiledRule;
}

/**
 * What a bucket's rules say about the current version of a key now; at most one thing: the next evaluation sees what
 * it has become. Deleting for good comes before a change of class, a change of class before a delete marker.
 */
export function evaluateCurrent(
  lifecycle: CompiledLifecycle,
  facts: CurrentFacts,
  time: LifecycleTime,
): LifecycleAction | undefined {
  if (facts.isDeleteMarker) return evaluateMarker(lifecycle, facts, time);
  const expiration = earliestExpiration(lifecycle, facts, time.dayMs);
  const isExpired = expiration !== undefined && expiration.atMs <= time.nowMs;
  const expire: LifecycleAction | undefined = isExpired
    ? { kind: 'expire', ruleId: expiration.rule.rule.id }
    : undefined;
  if (expire && !facts.isVersioned) return expire;
  return dueTransition(lifecycle, facts, (each) => transitionsOf(each, facts.lastModifiedMs, time)) ?? expire;
}

/** A delete marker with nothing under it goes when a rule asks for that, or when it is as old as objects may become. */
function evaluateMarker(
  lifecycle: CompiledLifecycle,
  facts: CurrentFacts,
  time: LifecycleTime,
): LifecycleAction | undefined {
  if (!facts.isOnlyVersion) return undefined;
  const marker = { key: facts.key, sizeBytes: 0, tags: NO_TAGS };
  const cleaning = lifecycle.currentRules.find(
    (each) => each.rule.expiration?.expiredObjectDeleteMarker === true && matchesFilter(each, marker),
  );
  if (cleaning) return { kind: 'delete-version', ruleId: cleaning.rule.id };
  const expiration = earliestExpiration(lifecycle, { ...facts, ...marker }, time.dayMs);
  if (expiration === undefined || expiration.atMs > time.nowMs) return undefined;
  return { kind: 'delete-version', ruleId: expiration.rule.rule.id };
}

/** What a bucket's rules say about a noncurrent version now. */
export function evaluateNoncurrent(
  lifecycle: CompiledLifecycle,
  facts: NoncurrentFacts,
  time: LifecycleTime,
): LifecycleAction | undefined {
  const filtered = facts.isDeleteMarker ? { key: facts.key, sizeBytes: 0, tags: NO_TAGS } : facts;
  const isDue = (each: { noncurrentDays: number; newerNoncurrentVersions?: number }): boolean =>
    facts.newerNoncurrentCount >= (each.newerNoncurrentVersions ?? 0) &&
    dueAtMs(facts.noncurrentSinceMs, each.noncurrentDays, time.dayMs) <= time.nowMs;
  for (const each of lifecycle.noncurrentRules) {
    const expiration = each.rule.noncurrentVersionExpiration;
    if (expiration !== undefined && isDue(expiration) && matchesFilter(each, filtered)) {
      return { kind: 'delete-version', ruleId: each.rule.id };
    }
  }
  if (facts.isDeleteMarker) return undefined;
  return dueTransition(lifecycle, facts, ({ rule }) =>
    (rule.noncurrentVersionTransitions ?? []).filter(isDue).map(({ noncurrentDays, storageClass }) => ({
      atMs: dueAtMs(facts.noncurrentSinceMs, noncurrentDays, time.dayMs),
      storageClass,
    })),
  );
}

/** The rule that ends an upload which was begun then, and when. */
export function uploadAbortion(
  lifecycle: CompiledLifecycle,
  upload: { key: string; initiatedAtMs: number },
  dayMs: number,
): { atMs: number; ruleId: string } | undefined {
  let earliest: { atMs: number; ruleId: string } | undefined;
  for (const { rule, prefix } of lifecycle.uploadRules) {
    const days = rule.abortIncompleteMultipartUpload?.daysAfterInitiation;
    if (days === undefined || !upload.key.startsWith(prefix)) continue;
    const atMs = dueAtMs(upload.initiatedAtMs, days, dayMs);
    if (earliest === undefined || atMs < earliest.atMs) earliest = { atMs, ruleId: rule.id };
  }
  return earliest;
}

/** When the current version of a key expires by the calendar, and by which rule: `x-amz-expiration`. */
export function announcedExpiration(
  lifecycle: CompiledLifecycle,
  facts: FilterFacts & { lastModifiedMs: number },
): { atMs: number; ruleId: string } | undefined {
  const earliest = earliestExpiration(lifecycle, facts, CALENDAR_DAY_MS);
  return earliest === undefined ? undefined : { atMs: earliest.atMs, ruleId: earliest.rule.rule.id };
}

/** Of several that end an object the earliest; of several at one time the first in the configuration. */
function earliestExpiration(
  lifecycle: CompiledLifecycle,
  facts: FilterFacts & { lastModifiedMs: number },
  dayMs: number,
): Due | undefined {
  let earliest: Due | undefined;
  for (const rule of lifecycle.currentRules) {
    const { days, dateMs } = rule.rule.expiration ?? {};
    if (days === undefined && dateMs === undefined) continue;
    if (!matchesFilter(rule, facts)) continue;
    const atMs = days === undefined ? dateMs! : dueAtMs(facts.lastModifiedMs, days, dayMs);
    if (earliest === undefined || atMs < earliest.atMs) earliest = { atMs, rule };
  }
  return earliest;
}

function transitionsOf(
  { rule }: CompiledRule,
  lastModifiedMs: number,
  { nowMs, dayMs }: LifecycleTime,
): { atMs: number; storageClass: string }[] {
  return (rule.transitions ?? [])
    .map(({ days, dateMs, storageClass }) => ({
      atMs: days === undefined ? dateMs! : dueAtMs(lastModifiedMs, days, dayMs),
      storageClass,
    }))
    .filter(({ atMs }) => atMs <= nowMs);
}

/**
 * Of several classes that are due the one that fell due last, of several at one time the first in the configuration:
 * this server's classes have no prices that AWS's order among them could follow.
 */
function dueTransition(
  lifecycle: CompiledLifecycle,
  facts: FilterFacts & { storageClass: string },
  dueOf: (rule: CompiledRule) => { atMs: number; storageClass: string }[],
): LifecycleAction | undefined {
  let latest: { atMs: number; storageClass: string; ruleId: string } | undefined;
  for (const each of lifecycle.rules) {
    const isTooSmall = !lifecycle.transitionsSmallObjects && !each.namesSize && facts.sizeBytes < SMALL_OBJECT_BYTES;
    if (isTooSmall || !matchesFilter(each, facts)) continue;
    for (const { atMs, storageClass } of dueOf(each)) {
      if (latest === undefined || atMs > latest.atMs) latest = { atMs, storageClass, ruleId: each.rule.id };
    }
  }
  if (latest === undefined || latest.storageClass === facts.storageClass) return undefined;
  return { kind: 'transition', ruleId: latest.ruleId, storageClass: latest.storageClass };
}
