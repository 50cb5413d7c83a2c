import { type PublicAccessBlock, publicAccessBlockOf } from '../model/bucket-access.ts';
import type { BucketRecord } from '../model/object-record.ts';
import { isPublicPolicy } from './policy/is-public-policy.ts';
import { namesKey } from './policy/names-key.ts';
import { parsePolicy } from './policy/parse-policy.ts';
import type { Policy } from './policy/policy-document.ts';
import { PolicyError } from './policy/policy-error.ts';
import { POLICY_VOCABULARY } from './policy/vocabulary.ts';

/** A bucket's policy, ready to be asked. */
export interface CompiledBucketPolicy {
  /** `unreadable`: written by a later version, in words that this one does not know. Then nothing is allowed. */
  readonly policy: Policy | 'unreadable';
  readonly isPublic: boolean;
  /** Some condition looks at the tags of the object. */
  readonly readsObjectTags: boolean;
}

const OBJECT_TAG = 's3:existingobjecttag/';

/**
 * Compiled policies of buckets. Records of buckets are shared and replaced when something of them changes, so a record
 * is all that is needed to know a policy again.
 */
export class BucketPolicies {
  readonly #compiled = new WeakMap<BucketRecord, CompiledBucketPolicy>();

  /** `undefined`: the bucket has none. */
  of(bucket: BucketRecord): CompiledBucketPolicy | undefined {
    const document = bucket.configuration.policy?.document;
    if (document === undefined) return undefined;
    let compiled = this.#compiled.get(bucket);
    if (compiled === undefined) {
      compiled = compile(document);
      this.#compiled.set(bucket, compiled);
    }
    return compiled;
  }
}

function compile(document: string): CompiledBucketPolicy {
  try {
    const policy = parsePolicy(document, 'resource', POLICY_VOCABULARY);
    return {
      policy,
      isPublic: isPublicPolicy(policy),
      readsObjectTags: namesKey(policy, OBJECT_TAG),
    };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    return { policy: 'unreadable', isPublic: true, readsObjectTags: false };
  }
}

/** A block that holds in the bucket or in all of its account. */
export function isBlockedIn(
  bucket: BucketRecord,
  ofAccount: PublicAccessBlock | undefined,
  block: 'ignorePublicAcls' | 'restrictPublicBuckets',
): boolean {
  return publicAccessBlockOf(bucket.configuration.publicAccessBlock)?.[block] === true || ofAccount?.[block] === true;
}
