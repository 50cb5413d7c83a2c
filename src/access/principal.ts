import type { Owner, Tag } from '../model/object-record.ts';
import type { ConditionContext } from './policy/condition-context.ts';
import type { Policy } from './policy/policy-document.ts';

/**
 * Who signed the request: root of an account, one of its users, or a session of one of its roles. What it may do is not
 * in here: that is looked up at each decision.
 */
export interface Principal {
  readonly type: 'anonymous' | 'root' | 'user' | 'assumed-role';
  /** Empty for anonymous. */
  readonly accessKeyId: string;
  /** The account, not the user: it owns what is made. */
  readonly owner: Owner;
  /** Id of the user or the role. */
  readonly entityId?: string;
  /** Each of them must allow, too: of a service account, or of a session. */
  readonly narrowedBy?: readonly Policy[];
  /** Of temporary credentials. */
  readonly session?: PrincipalSession;
}

export interface PrincipalSession {
  /** RoleSessionName; empty for a session of the user itself (GetSessionToken). */
  readonly name: string;
  readonly issuedAtMs: number;
  /** They come before the tags of the role. */
  readonly tags: readonly Tag[];
  /** Of `tags`: these go on into sessions that are begun with this one. */
  readonly transitiveTagKeys?: readonly string[];
  /** More condition keys, lower-case, that the token vouches for: `aws:federatedprovider`, `aws:sourceidentity`, … */
  readonly facts: ReadonlyMap<string, readonly string[]>;
}

export interface Credential {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly principal: Principal;
  /** Of temporary credentials: nothing signed with them counts from then on. */
  readonly expiresAtMs?: number;
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
  readonly principal: Principal;
  /** IAM action, e.g. `s3:PutObject`. */
  readonly action: string;
  readonly bucket: string | undefined;
  readonly key: string | undefined;
  /** The resource of `kms:` actions. */
  readonly keyArn?: string | undefined;
  /** The resource of `iam:` and `sts:` actions. */
  readonly resource?: AccessResource | undefined;
  /** The version that is named; its tags are what conditions on existing tags look at. */
  readonly versionId?: string | undefined;
  /** Asked about what the request is going to write: its writer will own it, whatever is there. */
  readonly isUpload?: true | undefined;
  /** It says that the caller's account pays, which other accounts must say where requesters pay. */
  readonly paysAsRequester?: () => boolean;
  /** What conditions ask of the request. What belongs to the principal and the bucket is added by the authorizer. */
  readonly context: ConditionContext;
  /** Told what was decided and why, before `authorize` resolves or rejects. Costs nothing when it is absent. */
  readonly onDecision?: ((decision: ToldDecision) => void) | undefined;
}

/** A decision as the audit log tells it. */
export interface ToldDecision {
  readonly isAllowed: boolean;
  readonly action: string;
  /** ARN. */
  readonly resource: string;
  readonly principalType: Principal['type'];
  /** Empty for anonymous, and for whoever does not exist any more. */
  readonly principalArn: string;
  readonly accountId: string;
  readonly reason: string;
  readonly statementId?: string;
}

/** Something that is not in a bucket. */
export interface AccessResource {
  readonly arn: string;
  /** The account it belongs to; `undefined`: the caller's. */
  readonly accountId?: string | undefined;
  /** A role's trust policy. */
  readonly policy?: Policy | undefined;
  /** Without an Allow of that policy nobody gets it, not even root: of roles. */
  readonly mustAllow?: true;
}
