import { S3Error } from '../errors/s3-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { PublicAccessBlock } from '../model/bucket-access.ts';
import type { BucketRecord, ObjectRecord, Tag } from '../model/object-record.ts';
import { type AclFacts, aclFacts, isObjectOwners, usesAcls } from './acl-access.ts';
import { BucketPolicies, type CompiledBucketPolicy, isBlockedIn } from './bucket-policies.ts';
import type { Caller, Callers } from './callers.ts';
import type { ConditionContext } from './policy/condition-context.ts';
import { AccessDeniedError } from './access-denied-error.ts';
import { type AccessDecision, decideAccess, type ResourceRules } from './policy/decide-access.ts';
import type { AuthorizationRequest, Authorizer, Principal, ToldDecision } from './principal.ts';

/** Root of the owner's account is never locked out of these, unless it asked for it. */
const OWNER_ACTIONS = new Set(['s3:GetBucketPolicy', 's3:PutBucketPolicy', 's3:DeleteBucketPolicy']);
const EXISTING_TAG = 's3:existingobjecttag/';
/** What only the server says, whatever a request carries. */
const SERVER_KEYS =
  /^aws:(principal|user(id|name)$|tokenissuetime$|federatedprovider$|sourceidentity$|source(arn|account)$|viaawsservice$)/;

/**
 * Decides by who asks and the policies of both sides; nothing that is not allowed is done. A policy, a user or a bucket
 * that changed is seen by the next request: nothing decided is kept.
 */
export class PolicyAuthorizer implements Authorizer {
  readonly #store: () => Pick<MetadataStore, 'getBucket' | 'getObject'>;
  readonly #callers: Callers;
  readonly #accountBlock: (accountId: string) => PublicAccessBlock | undefined;
  readonly #policies = new BucketPolicies();
  readonly #onUse: (accessKeyId: string, action: string) => void;

  /**
   * @param store throws while it is not open: then nothing is allowed
   * @param onUse told of every question, whatever the answer
   * @param accountBlock what is blocked in all buckets of an account
   */
  constructor(
    store: () => Pick<MetadataStore, 'getBucket' | 'getObject'>,
    callers: Callers,
    onUse: (accessKeyId: string, action: string) => void = () => {},
    accountBlock: (accountId: string) => PublicAccessBlock | undefined = () => undefined,
  ) {
    this.#store = store;
    this.#onUse = onUse;
    this.#callers = callers;
    this.#accountBlock = accountBlock;
  }

  async authorize(request: AuthorizationRequest): Promise<void> {
    const { onDecision } = request;
    if (onDecision === undefined) return void (await this.#authorize(request));
    try {
      onDecision(this.#tell(request, await this.#authorize(request)));
    } catch (error) {
      if (error instanceof S3Error) onDecision(this.#tell(request, refusalOf(error)));
      throw error;
    }
  }

  #tell(request: AuthorizationRequest, { isAllowed, reason, statement }: ToldReason): ToldDecision {
    const { principal, action, bucket, key, keyArn, resource } = request;
    const arn = this.#callers.resolve(principal)?.facts('aws:principalarn')?.[0];
    const target = bucket === undefined ? '*' : `${bucket}${key === undefined ? '' : `/${key}`}`;
    return {
      isAllowed,
      action,
      resource: resource?.arn ?? keyArn ?? `arn:aws:s3:::${target}`,
      principalType: principal.type,
      principalArn: arn ?? '',
      accountId: principal.owner.accountId,
      reason,
      ...(statement?.sid === undefined ? {} : { statementId: statement.sid }),
    };
  }

  async #authorize(request: AuthorizationRequest): Promise<AccessDecision> {
    const { principal, action, bucket: name } = request;
    this.#onUse(principal.accessKeyId, action);
    const caller = this.#callers.resolve(principal);
    if (action === '' || caller === undefined) throw new S3Error('AccessDenied', { hint: 'denied: nobody' });
    if (isNeverFor(principal, action)) throw new S3Error('AccessDenied', { hint: 'denied: temporary or narrowed' });
    // The policy of a bucket says nothing of who may make one: this one may be gone until it is made.
    if (name === undefined || action === 's3:CreateBucket') return this.#decideOutside(request, caller);
    const bucket = await this.#store().getBucket(name);
    if (bucket === undefined) {
      if (caller.policies.isRoot) return ROOT;
      // As on AWS, whose bucket names are no secret.
      throw new S3Error('NoSuchBucket', { details: { BucketName: name } });
    }
    const compiled = this.#policies.of(bucket);
    if (caller.policies.isRoot && principal.narrowedBy === undefined && isOwnedBy(bucket, principal)) {
      if (compiled === undefined && !(usesAcls(bucket) && isObjectOwners(request))) return ROOT;
      if (OWNER_ACTIONS.has(action) && bucket.configuration.policy?.bindsOwner !== true) return ROOT;
    }
    if (compiled?.policy === 'unreadable')
      throw new S3Error('AccessDenied', { hint: 'the bucket policy cannot be read' });
    return await this.#decideInBucket(request, caller, bucket, compiled);
  }

  /** What is in no bucket: the list of them, a new one, keys of the key service, users, roles, the server itself. */
  #decideOutside(request: AuthorizationRequest, caller: Caller): AccessDecision {
    const { action, bucket, keyArn, resource } = request;
    const isOfServer = action.startsWith('holdfast:');
    const arn = resource?.arn ?? keyArn ?? (isOfServer ? '*' : `arn:aws:s3:::${bucket ?? '*'}`);
    const accountId = keyArn === undefined ? resource?.accountId : keyArn.split(':')[4];
    const facts = caller.facts;
    const { policy, mustAllow = false } = resource ?? {};
    const rules = { policy, mustAllow, isGrantedByAcl: false, isPublicPolicyRestricted: false };
    const context: ConditionContext = (key) => facts(key) ?? (SERVER_KEYS.test(key) ? undefined : request.context(key));
    return decide(request, caller, arn, context, {
      ...rules,
      accountId: isOfServer ? (this.#callers.firstAccountId ?? '') : accountId,
    });
  }

  async #decideInBucket(
    request: AuthorizationRequest,
    caller: Caller,
    bucket: BucketRecord,
    compiled: CompiledBucketPolicy | undefined,
  ): Promise<AccessDecision> {
    if (bucket.configuration.requestPayment !== undefined) requirePayer(request, bucket);
    const readsTags = compiled?.readsObjectTags === true || caller.readsObjectTags;
    const hasAcls = usesAcls(bucket);
    const readsObject = readsTags || (hasAcls && isObjectOwners(request));
    const object = readsObject ? await this.#existingObject(request, bucket) : undefined;
    const tags = readsTags ? (object?.tags ?? []) : undefined;
    const ofAccount = this.#accountBlock(bucket.owner.accountId);
    const acl: AclFacts | undefined = hasAcls
      ? aclFacts(request, bucket, object, isBlockedIn(bucket, ofAccount, 'ignorePublicAcls'))
      : undefined;
    const arn = `arn:aws:s3:::${bucket.name}${request.key === undefined ? '' : `/${request.key}`}`;
    return decide(request, caller, arn, withFacts(request.context, caller, bucket, tags), {
      accountId: acl === undefined ? bucket.owner.accountId : acl.accountId,
      policy: compiled === undefined || compiled.policy === 'unreadable' ? undefined : compiled.policy,
      isGrantedByAcl: acl?.isGrantedByAcl === true,
      policyGivesNothing: acl?.policyGivesNothing === true,
      isPublicPolicyRestricted: compiled?.isPublic === true && isBlockedIn(bucket, ofAccount, 'restrictPublicBuckets'),
    });
  }

  async #existingObject(
    { key, versionId }: AuthorizationRequest,
    { bucketId }: BucketRecord,
  ): Promise<ObjectRecord | undefined> {
    if (key === undefined) return undefined;
    return await this.#store().getObject({ bucketId, key, ...(versionId === undefined ? {} : { versionId }) });
  }
}

const ROOT: AccessDecision = { isAllowed: true, reason: 'root', statement: undefined };

type ToldReason = Pick<AccessDecision, 'isAllowed' | 'statement'> & { readonly reason: string };

/** Where no policy decided, the hint or the code says why. */
function refusalOf(error: S3Error): ToldReason {
  if (error instanceof AccessDeniedError) return error.decision;
  return { isAllowed: false, reason: error.hint ?? error.code, statement: undefined };
}

/** Where requesters pay, others than the owner's account must say that they do. @throws S3Error AccessDenied */
function requirePayer({ principal, paysAsRequester }: AuthorizationRequest, bucket: BucketRecord): void {
  if (principal.type !== 'anonymous' && isOwnedBy(bucket, principal)) return;
  if (principal.type !== 'anonymous' && paysAsRequester?.() === true) return;
  throw new S3Error('AccessDenied', { hint: 'denied: the requester does not say that it pays' });
}

/** @throws AccessDeniedError */
function decide(
  { action }: AuthorizationRequest,
  { principal, policies }: Caller,
  resource: string,
  context: ConditionContext,
  rules: ResourceRules,
): AccessDecision {
  const decision = decideAccess({ principal, action, resource, context }, policies, rules);
  if (!decision.isAllowed) throw new AccessDeniedError(decision);
  return decision;
}

function isOwnedBy(bucket: BucketRecord, { owner }: Principal): boolean {
  return bucket.owner.accountId === owner.accountId;
}

const READS_IDENTITIES = /^iam:(Get|List|Simulate|Generate)/;

/**
 * A service account could make itself a key that is not narrowed, and a session one that does not end. So the former may
 * only look at identities, and a session of a user or of root may not even do that, as on AWS.
 */
function isNeverFor({ type, narrowedBy, session }: Principal, action: string): boolean {
  if (type === 'assumed-role' || (narrowedBy === undefined && session === undefined)) return false;
  if (action.startsWith('sts:')) {
    return action !== 'sts:GetCallerIdentity' && !(session !== undefined && action === 'sts:AssumeRole');
  }
  return action.startsWith('iam:') && (session !== undefined || !READS_IDENTITIES.test(action));
}

/** Never from the request: what only the server knows. */
function withFacts(
  context: ConditionContext,
  { facts }: Caller,
  bucket: BucketRecord,
  tags: readonly Tag[] | undefined,
): ConditionContext {
  return (key) => {
    const fact = facts(key);
    if (fact !== undefined) return fact;
    if (key === 'aws:resourceaccount' || key === 's3:resourceaccount') return [bucket.owner.accountId];
    if (!key.startsWith(EXISTING_TAG)) return SERVER_KEYS.test(key) ? undefined : context(key);
    // Keys of conditions know no case, so neither does the name of the tag here.
    const values = tags
      ?.filter((tag) => tag.key.toLowerCase() === key.slice(EXISTING_TAG.length))
      .map(({ value }) => value);
    return values === undefined || values.length === 0 ? undefined : values;
  };
}
