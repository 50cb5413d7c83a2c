import type { ConditionContext } from '../access/policy/condition-context.ts';
import type { Authorizer } from '../access/principal.ts';
import { S3Error } from '../errors/s3-error.ts';
import { requestConditions, type RequestFacts } from './request-conditions.ts';

/** What is asked for: a bucket, or a key in it, or one version of that. */
export interface AccessTarget {
  readonly bucket: string | undefined;
  readonly key?: string | undefined;
  readonly versionId?: string | undefined;
  /** The resource of `kms:` actions. */
  readonly keyArn?: string | undefined;
}

/** One request before the one authorizer: who asks, and what conditions may look at. */
export class RequestAccess {
  readonly #authorizer: Authorizer;
  readonly #facts: RequestFacts;
  #context: ConditionContext | undefined;

  constructor(authorizer: Authorizer, facts: RequestFacts) {
    this.#authorizer = authorizer;
    this.#facts = facts;
  }

  /**
   * @param extra conditions that only the handler can tell (from a body); they come before the request's own
   * @throws S3Error AccessDenied | NoSuchBucket
   */
  authorize(action: string, { bucket, key, versionId, keyArn }: AccessTarget, extra?: ConditionContext): Promise<void> {
    const { principal } = this.#facts.authenticated;
    const context = (this.#context ??= requestConditions(this.#facts));
    return this.#authorizer.authorize({
      principal,
      action,
      bucket,
      key,
      versionId,
      keyArn,
      context: extra === undefined ? context : (name) => extra(name) ?? context(name),
    });
  }

  /** As `authorize`, for what must be answered either way. */
  async isAllowed(action: string, target: AccessTarget, extra?: ConditionContext): Promise<boolean> {
    try {
      await this.authorize(action, target, extra);
      return true;
    } catch (error) {
      if (error instanceof S3Error) return false;
      throw error;
    }
  }
}
