import { S3Error } from '../errors/s3-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { BucketRecord, Tag } from '../model/object-record.ts';
import { BucketPolicies, restrictsPublicPolicy, type CompiledBucketPolicy } from './bucket-policies.ts';
import type { ConditionContext } from './policy/condition-context.ts';
import { decideAccess } from './policy/decide-access.ts';
import type { PolicyPrincipal } from './policy/evaluate-policy.ts';
import type { AuthorizationRequest, Authorizer, Principal } from './principal.ts';

/** Root of the owner's account is never locked out of these, unless it asked for it. */
const OWNER_ACTIONS = new Set(['s3:GetBucketPolicy', 's3:PutBucketPolicy', 's3:DeleteBucketPolicy']);
const EXISTING_TAG = 's3:existingobjecttag/';
const NO_POLICIES = { identity: [], boundary: undefined, session: [] };

/**
 * Decides by the bucket's policy and who asks; nothing that is not allowed is done. A policy or bucket that changed is
 * seen by the next request: nothing decided is kept.
 */
export class PolicyAuthorizer implements Authorizer {
  readonly #store: () => Pick<MetadataStore, 'getBucket' | 'getObject'>;
  readonly #policies = new BucketPolicies();

  /** @param store throws while it is not open: then nothing is allowed */
  constructor(store: () => Pick<MetadataStore, 'getBucket' | 'getObject'>) {
    this.#store = store;
  }

  async authorize(request: AuthorizationRequest): Promise<void> {
    const { principal, action } = request;
    const isRoot = principal.type === 'root' && principal.accessKeyId !== '';
    if (action === '' || (principal.type !== 'anonymous' && !isRoot)) throw new S3Error('AccessDenied');
    // The policy of a bucket says nothing of who may make one: this one may be gone until it is made.
    const name = action === 's3:CreateBucket' ? undefined : request.bucket;
    const bucket = name === undefined ? undefined : await this.#store().getBucket(name);
    if (bucket === undefined) {
      if (isRoot) return;
      // As on AWS, whose bucket names are no secret.
      if (name === undefined) throw new S3Error('AccessDenied');
      throw new S3Error('NoSuchBucket', { details: { BucketName: name } });
    }
    const compiled = this.#policies.of(bucket);
    const isOwner = isRoot && bucket.owner.accountId === principal.owner.accountId;
    if (isOwner && compiled === undefined) return;
    if (isOwner && OWNER_ACTIONS.has(action) && bucket.configuration.policy?.bindsOwner !== true) return;
    if (compiled?.policy === 'unreadable')
      throw new S3Error('AccessDenied', { hint: 'the bucket policy cannot be read' });
    await this.#decide(request, bucket, compiled);
  }

  async #decide(
    request: AuthorizationRequest,
    bucket: BucketRecord,
    compiled: CompiledBucketPolicy | undefined,
  ): Promise<void> {
    const { principal, action, key } = request;
    const tags = compiled?.readsObjectTags === true ? await this.#existingTags(request, bucket) : undefined;
    const decision = decideAccess(
      {
        principal: policyPrincipal(principal),
        action,
        resource: `arn:aws:s3:::${bucket.name}${key === undefined ? '' : `/${key}`}`,
        context: withFacts(request.context, principal, bucket, tags),
      },
      { isRoot: principal.type === 'root', ...NO_POLICIES },
      {
        accountId: bucket.owner.accountId,
        policy: compiled === undefined || compiled.policy === 'unreadable' ? undefined : compiled.policy,
        isGrantedByAcl: false,
        isPublicPolicyRestricted: compiled?.isPublic === true && restrictsPublicPolicy(bucket),
      },
    );
    if (!decision.isAllowed) throw new S3Error('AccessDenied', { hint: `denied: ${decision.reason}` });
  }

  async #existingTags({ key, versionId }: AuthorizationRequest, { bucketId }: BucketRecord): Promise<readonly Tag[]> {
    if (key === undefined) return [];
    const object = await this.#store().getObject({ bucketId, key, ...(versionId === undefined ? {} : { versionId }) });
    return object?.tags ?? [];
  }
}

function policyPrincipal({ type, owner }: Principal): PolicyPrincipal {
  const { accountId, canonicalId } = owner;
  if (type === 'anonymous') {
    return { type, accountId: '', canonicalId: '', arns: [], federated: [], service: '' };
  }
  return { type: 'aws', accountId, canonicalId, arns: [rootArn(accountId)], federated: [], service: '' };
}

function rootArn(accountId: string): string {
  return `arn:aws:iam::${accountId}:root`;
}

/** Never from the request: what only the server knows. */
function withFacts(
  context: ConditionContext,
  principal: Principal,
  bucket: BucketRecord,
  tags: readonly Tag[] | undefined,
): ConditionContext {
  const { accountId } = principal.owner;
  const isAnonymous = principal.type === 'anonymous';
  return (key) => {
    switch (key) {
      case 'aws:principaltype':
        return [isAnonymous ? 'Anonymous' : 'Account'];
      case 'aws:principalarn':
        return isAnonymous ? undefined : [rootArn(accountId)];
      case 'aws:principalaccount':
        return isAnonymous ? undefined : [accountId];
      case 'aws:userid':
        return [isAnonymous ? 'anonymous' : accountId];
      case 'aws:resourceaccount':
      case 's3:resourceaccount':
        return [bucket.owner.accountId];
      case 'aws:principalisawsservice':
      case 'aws:viaawsservice':
        return ['false'];
    }
    if (!key.startsWith(EXISTING_TAG)) return key.startsWith('aws:principal') ? undefined : context(key);
    // Keys of conditions know no case, so neither does the name of the tag here.
    const values = tags
      ?.filter((tag) => tag.key.toLowerCase() === key.slice(EXISTING_TAG.length))
      .map(({ value }) => value);
    return values === undefined || values.length === 0 ? undefined : values;
  };
}
