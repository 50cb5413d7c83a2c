import type { Owner } from '../model/object-record.ts';
import type { ConditionContext } from './policy/condition-context.ts';
import type { Policy } from './policy/policy-document.ts';

/** Who signed the request. Later: users, roles and sessions beside root. */
export interface Principal {
  type: 'root' | 'anonymous';
  /** Empty for anonymous. */
  accessKeyId: string;
  owner: Owner;
}

export interface Credential {
  accessKeyId: string;
  secretAccessKey: string;
  principal: Principal;
  /** Of temporary credentials: nothing signed with them counts from then on. */
  expiresAtMs?: number;
}

/** What SigV4 asks of the access layer. Synchronous: credentials are in memory. */
export interface CredentialSource {
  /**
   * @param sessionToken what came with the request; temporary credentials are found by both, permanent ones by the id alone
   * @throws S3Error InvalidToken when the token is not one of the key
   */
  find(accessKeyId: string, sessionToken?: string): Credential | undefined;
}

/** The one authorizer. Default deny. */
export interface Authorizer {
  /** @throws S3Error AccessDenied | NoSuchBucket; what the metadata store throws: then nothing was allowed */
  authorize(request: AuthorizationRequest): Promise<void>;
}

export interface AuthorizationRequest {
  principal: Principal;
  /** IAM action, e.g. `s3:PutObject`. */
  action: string;
  bucket: string | undefined;
  key: string | undefined;
  /** The resource of `kms:` actions. */
  keyArn?: string | undefined;
  /** The resource of `iam:` and `sts:` actions. */
  readonly resource?: AccessResource | undefined;
  /** The version that is named; its tags are what conditions on existing tags look at. */
  versionId?: string | undefined;
  /** What conditions ask of the request. What belongs to the principal and the bucket is added by the authorizer. */
  context: ConditionContext;
}

/** Something that is not in a bucket. */
export interface AccessResource {
  readonly arn: string;
  /** The account it belongs to; `undefined`: the caller's. */
  readonly accountId?: string | undefined;
  /** A role's trust policy. */
  readonly policy?: Policy | undefined;
}
