import type { Owner } from '../model/object-record.ts';
import type { ConditionContext } from './policy/condition-context.ts';

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
}

/** What SigV4 asks of the access layer. Synchronous: credentials are in memory. */
export interface CredentialSource {
  find(accessKeyId: string): Credential | undefined;
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
  /** The version that is named; its tags are what conditions on existing tags look at. */
  versionId?: string | undefined;
  /** What conditions ask of the request. What belongs to the principal and the bucket is added by the authorizer. */
  context: ConditionContext;
}
