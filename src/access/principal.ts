import type { Owner } from '../model/object-record.ts';

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
  /** @throws S3Error AccessDenied */
  authorize(request: AuthorizationRequest): void;
}

export interface AuthorizationRequest {
  principal: Principal;
  /** IAM action, e.g. `s3:PutObject`. */
  action: string;
  bucket: string | undefined;
  key: string | undefined;
  /** The resource of `kms:` actions. */
  keyArn?: string;
}
