import type {
  LifecycleConfiguration,
  LifecyclePredicates,
  LifecycleRule,
  LifecycleTag,
} from '../../model/lifecycle-configuration.ts';
import { namesSize } from './check-lifecycle.ts';

/** An enabled rule with its filter in one piece. */
export interface CompiledRule {
  readonly rule: LifecycleRule;
  readonly prefix: string;
  /** All must be there. */
  readonly tags: readonly LifecycleTag[];
  /** Exclusive. */
  readonly sizeGreaterThan: number;
  readonly sizeLessThan: number;
  /** The client's own bound counts in place of the 128 KiB below which nothing changes its class. */
  readonly namesSize: boolean;
}

/** What a filter looks at. A delete marker has no bytes and no tags. */
export interface FilterFacts {
  key: string;
  sizeBytes: number;
  tags: readonly LifecycleTag[];
}

/** The enabled rules of a bucket, ready to be asked about its objects. */
export class CompiledLifecycle {
  readonly rules: readonly CompiledRule[];
  readonly transitionsSmallObjects: boolean;
  /** Rules that end or change current versions (delete markers are some), old versions, and uploads. */
  readonly currentRules: readonly CompiledRule[];
  readonly noncurrentRules: readonly CompiledRule[];
  readonly uploadRules: readonly CompiledRule[];
  readonly namesTags: boolean;

  constructor(rules: readonly CompiledRule[], transitionsSmallObjects: boolean) {
    this.rules = rules;
    this.transitionsSmallObjects = transitionsSmallObjects;
    this.namesTags = rules.some(({ tags }) => tags.length > 0);
    this.currentRules = this.rules.filter(({ rule }) => (rule.expiration ?? rule.transitions) !== undefined);
    this.noncurrentRules = this.rules.filter(
      ({ rule }) => (rule.noncurrentVersionExpiration ?? rule.noncurrentVersionTransitions) !== undefined,
    );
    this.uploadRules = this.rules.filter(({ rule }) => rule.abortIncompleteMultipartUpload !== undefined);
  }

  static of({ rules, transitionMinimumSize }: LifecycleConfiguration): CompiledLifecycle {
    const enabled = rules.filter(({ isEnabled }) => isEnabled).map(compileRule);
    return new CompiledLifecycle(enabled, transitionMinimumSize !== 'all_storage_classes_128K');
  }

  /** Rules that match whatever these match, and more. */
  ignoringTags(): CompiledLifecycle {
    const rules = this.rules.map((rule) => ({ ...rule, tags: [] }));
    return new CompiledLifecycle(rules, this.transitionsSmallObjects);
  }
}

const compiled = new WeakMap<LifecycleConfiguration, CompiledLifecycle>();

/** The compiled form, made once for each configuration object: the metadata store hands out the same one until it changes. */
export function compileLifecycle(configuration: LifecycleConfiguration): CompiledLifecycle {
  let found = compiled.get(configuration);
  if (found === undefined) {
    found = CompiledLifecycle.of(configuration);
    compiled.set(configuration, found);
  }
  return found;
}

/** Predicates side by side, and those of `And`, must all hold: of two prefixes or bounds both. */
function compileRule(rule: LifecycleRule): CompiledRule {
  const parts: LifecyclePredicates[] =
    rule.filter === undefined ? [{ prefix: rule.prefix ?? '' }] : [rule.filter, rule.filter.and ?? {}];
  const prefixes = parts.flatMap(({ prefix }) => (prefix === undefined ? [] : [prefix]));
  const longest = prefixes.reduce((best, prefix) => (prefix.length > best.length ? prefix : best), '');
  const isContradiction = prefixes.some((prefix) => !longest.startsWith(prefix));
  return {
    rule,
    prefix: longest,
    tags: parts.flatMap(({ tags }) => tags ?? []),
    sizeGreaterThan: Math.max(...parts.map(({ objectSizeGreaterThan }) => objectSizeGreaterThan ?? -1)),
    // Nothing begins with both of two prefixes of which none begins the other.
    sizeLessThan: isContradiction
      ? 0
      : Math.min(...parts.map(({ objectSizeLessThan }) => objectSizeLessThan ?? Infinity)),
    namesSize: parts.some(namesSize),
  };
}

export function matchesFilter(rule: CompiledRule, { key, sizeBytes, tags }: FilterFacts): boolean {
  return (
    key.startsWith(rule.prefix) &&
    sizeBytes > rule.sizeGreaterThan &&
    sizeBytes < rule.sizeLessThan &&
    rule.tags.every((wanted) => tags.some(({ key: name, value }) => name === wanted.key && value === wanted.value))
  );
}

/** The prefixes that rules name, without those that lie within another: what must be walked to see all they match. */
export function walkedPrefixes(rules: readonly CompiledRule[]): string[] {
  const sorted = [...new Set(rules.map(({ prefix }) => prefix))].sort((a, b) =>
    Buffer.compare(Buffer.from(a), Buffer.from(b)),
  );
  const kept: string[] = [];
  for (const prefix of sorted) {
    const last = kept.at(-1);
    if (last === undefined || !prefix.startsWith(last)) kept.push(prefix);
  }
  return kept;
}
