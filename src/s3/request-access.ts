import type { ConditionContext } from '../access/policy/condition-context.ts';
import type { AccessResource, Authorizer, ToldDecision } from '../access/principal.ts';
import { S3Error } from '../errors/s3-error.ts';
import { requestConditions, type RequestFacts } from './request-conditions.ts';

/** What is asked for: a bucket, or a key in it, or one version of that. */
export interface AccessTarget {
  readonly bucket: string | undefined;
  readonly key?: string | undefined;
  readonly versionId?: string | undefined;
  /** The resource of `kms:` actions. */
  readonly keyArn?: string | undefined;
  /** Something that is in no bucket. */
  readonly otherResource?: AccessResource | undefined;
  /** Asked about what the request is going to write. */
  readonly isUpload?: true;
}

const REQUEST_PAYER = 'x-amz-request-payer';

/** One request before the one authorizer: who asks, and what conditions may look at. */
export class RequestAccess {
  readonly #authorizer: Authorizer;
  readonly #facts: RequestFacts;
  readonly #onDecision: ((decision: ToldDecision) => void) | undefined;
  #context: ConditionContext | undefined;

  /** @param onDecision told each decision that the request depends on, for the audit log */
  constructor(authorizer: Authorizer, facts: RequestFacts, onDecision?: (decision: ToldDecision) => void) {
    this.#authorizer = authorizer;
    this.#facts = facts;
    this.#onDecision = onDecision;
  }

  /**
   * @param extra conditions that only the handler can tell (from a body); they come before the request's own, and an
   *   empty list says that there is none, whatever a header claims
   * @throws S3Error AccessDenied | NoSuchBucket
   */
  authorize(action: string, target: AccessTarget, extra?: ConditionContext): Promise<void> {
    return this.#ask(action, target, extra, this.#onDecision);
  }

  #ask(
    action: string,
    { bucket, key, versionId, keyArn, isUpload, otherResource }: AccessTarget,
    extra: ConditionContext | undefined,
    onDecision: ((decision: ToldDecision) => void) | undefined,
  ): Promise<void> {
    const { principal, headers } = this.#facts.authenticated;
    const context = (this.#context ??= requestConditions(this.#facts));
    return this.#authorizer.authorize({
      principal,
      action,
      bucket,
      key,
      versionId,
      keyArn,
      resource: otherResource,
      onDecision,
      isUpload,
      paysAsRequester: () => headers.get(REQUEST_PAYER) === 'requester',
      context: (name) => {
        // Of the source of a copy, or of an entry of DeleteObjects, the query says nothing.
        if (name === 's3:versionid') return versionId === undefined ? undefined : [versionId];
        const told = extra?.(name);
        if (told === undefined) return context(name);
        return told.length === 0 ? undefined : told;
      },
    });
  }

  /** As `authorize`, for what must be answered either way. */
  async isAllowed(action: string, target: AccessTarget, extra?: ConditionContext): Promise<boolean> {
    try {
      await this.#ask(action, target, extra, undefined);
      return true;
    } catch (error) {
      if (error instanceof S3Error) return false;
      throw error;
    }
  }
}
