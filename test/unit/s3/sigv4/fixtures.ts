import type { Credential, CredentialSource } from '../../../../src/access/principal.ts';
import { S3Error } from '../../../../src/errors/s3-error.ts';
import { parseRawRequest, type RawRequest } from '../../../../src/s3/sigv4/raw-request.ts';
import { RequestAuthenticator } from '../../../../src/s3/sigv4/request-authenticator.ts';
import { parseBasicTimestamp } from '../../../../src/s3/sigv4/timestamp.ts';

/** The credential of AWS's documentation. */
export const CREDENTIAL: Credential = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  principal: {
    type: 'root',
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    owner: { accountId: '123456789012', canonicalId: 'c'.repeat(64), displayName: 'root' },
  },
};

export const CREDENTIALS: CredentialSource = {
  find: (accessKeyId) => (accessKeyId === CREDENTIAL.accessKeyId ? CREDENTIAL : undefined),
};

/** AWS's examples are all signed at this time. */
export const TIMESTAMP = '20130524T000000Z';
export const NOW_MS = parseBasicTimestamp(TIMESTAMP)!;
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export function authenticator(options: Partial<ConstructorParameters<typeof RequestAuthenticator>[0]> = {}) {
  return new RequestAuthenticator({
    credentials: CREDENTIALS,
    region: 'us-east-1',
    allowSignatureV2: true,
    allowUnsignedPayloadOverHttp: true,
    ...options,
  });
}

export function rawRequest(
  method: string,
  rawTarget: string,
  headers: Readonly<Record<string, string>> | readonly (readonly [string, string])[],
  options: { domains?: readonly string[]; isSecure?: boolean } = {},
): RawRequest {
  const pairs = Array.isArray(headers) ? headers : Object.entries(headers);
  return parseRawRequest(
    { method, rawTarget, rawHeaders: (pairs as [string, string][]).flat(), isSecure: options.isSecure ?? false },
    options.domains ?? [],
  );
}

/** The S3Error that `action` throws. */
export function s3Error(action: () => unknown): S3Error {
  try {
    action();
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
