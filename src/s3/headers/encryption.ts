import { S3Error } from '../../errors/s3-error.ts';
import type {
  AuthorizeKey,
  CustomerKey,
  EncryptionFacts,
  EncryptionWish,
  RequestedEncryption,
} from '../../service/encryption/encryption-modes.ts';
import type { ReadPermit } from '../../service/encryption/read-sealed.ts';
import { customerKeyMd5 } from '../../service/encryption/version-sealing.ts';
import type { S3Request } from '../operation.ts';

const SSE = 'x-amz-server-side-encryption';
const KMS_KEY_ID = `${SSE}-aws-kms-key-id`;
const KMS_CONTEXT = `${SSE}-context`;
const BUCKET_KEY = `${SSE}-bucket-key-enabled`;
const CUSTOMER_PREFIX = `${SSE}-customer-`;
const COPY_SOURCE_PREFIX = `x-amz-copy-source-server-side-encryption-customer-`;
const CUSTOMER_KEY_BYTES = 32;

/** Headers of an upload that say how it is encrypted. */
export const SSE_HEADERS: readonly string[] = [SSE, KMS_KEY_ID, KMS_CONTEXT, BUCKET_KEY];
export const CUSTOMER_KEY_HEADERS: readonly string[] = customerHeaders(CUSTOMER_PREFIX);
export const COPY_SOURCE_KEY_HEADERS: readonly string[] = customerHeaders(COPY_SOURCE_PREFIX);

function customerHeaders(prefix: string): string[] {
  return ['algorithm', 'key', 'key-md5'].map((name) => prefix + name);
}

/** What of the server's configuration the headers depend on. */
interface KeyPolicy {
  readonly allowsCustomerKeysOverHttp: boolean;
}

/** @throws S3Error InvalidArgument | InvalidEncryptionAlgorithmError | NotImplemented */
export function readEncryptionWish(request: S3Request, policy: KeyPolicy): EncryptionWish {
  const { headers } = request;
  const sse = headers.get(SSE);
  const customerKey = readCustomerKeyOf(request, policy, { prefix: CUSTOMER_PREFIX, isWrite: true });
  const wish: EncryptionWish = { requested: undefined, authorizeKey: authorizeKeyOf(request) };
  if (customerKey !== undefined) wish.requested = { mode: 'SSE-C', customerKey };
  else wish.requested = readServerEncryption(headers, sse);
  const bucketKey = headers.get(BUCKET_KEY);
  if (bucketKey !== undefined) wish.bucketKeyEnabled = readBoolean(bucketKey);
  return wish;
}

/** What a request brings to read an object, part list or upload. @throws as `readEncryptionWish` */
export function readReadPermit(request: S3Request, policy: KeyPolicy): ReadPermit {
  const sse = request.headers.get(SSE);
  if (sse !== undefined) {
    throw invalidArgument(`${SSE} header is not supported for this operation.`, SSE, sse);
  }
  return readUploadPermit(request, policy);
}

/** The same for requests of an upload, on which AWS's clients repeat what its creation said. */
export function readUploadPermit(request: S3Request, policy: KeyPolicy): ReadPermit {
  const customerKey = readCustomerKeyOf(request, policy, {
    prefix: CUSTOMER_PREFIX,
    isWrite: request.method === 'PUT',
  });
  return { customerKey, authorizeKey: authorizeKeyOf(request) };
}

export function readSourceCustomerKey(request: S3Request, policy: KeyPolicy): CustomerKey | undefined {
  return readCustomerKeyOf(request, policy, { prefix: COPY_SOURCE_PREFIX, isWrite: false });
}

function authorizeKeyOf(request: S3Request): AuthorizeKey {
  return (action, keyArn) => request.authorizeKey(action, keyArn);
}

function readServerEncryption(
  headers: ReadonlyMap<string, string>,
  sse: string | undefined,
): RequestedEncryption | undefined {
  if (sse === 'aws:kms') {
    const context = headers.get(KMS_CONTEXT);
    return {
      mode: 'aws:kms',
      keyId: headers.get(KMS_KEY_ID),
      context: context === undefined ? {} : readContext(context),
    };
  }
  for (const name of [KMS_KEY_ID, KMS_CONTEXT]) {
    const value = headers.get(name);
    if (value === undefined) continue;
    throw invalidArgument(
      'Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : aws:kms',
      SSE,
      sse ?? 'null',
    );
  }
  if (sse === undefined) return undefined;
  if (sse === 'AES256') return { mode: 'AES256' };
  if (sse === 'aws:kms:dsse' || sse === 'aws:fsx' || sse === 'aws:backup') {
    throw new S3Error('NotImplemented', { details: { Header: SSE } });
  }
  throw invalidArgument('The encryption method specified is not supported', SSE, sse);
}

function readBoolean(value: string): boolean {
  const lower = value.toLowerCase();
  if (lower === 'true' || lower === 'false') return lower === 'true';
  throw invalidArgument('The bucket key setting must be true or false.', BUCKET_KEY, value);
}

/** Base64 of a JSON object whose values are strings. `aws:s3:arn` is the server's own. */
function readContext(header: string): Record<string, string> {
  try {
    const context: unknown = JSON.parse(
      new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(header, 'base64')),
    );
    if (typeof context === 'object' && context !== null && !Array.isArray(context)) {
      const pairs = Object.entries(context);
      const isMap = pairs.every(([name, value]) => typeof value === 'string' && name !== 'aws:s3:arn');
      if (isMap) return context as Record<string, string>;
    }
  } catch {
    // Answered below: what a parser says of it helps nobody.
  }
  throw invalidArgument(
    `The header '${KMS_CONTEXT}' shall be Base64-encoded UTF-8 string holding JSON which represents a string-string map`,
    KMS_CONTEXT,
    header,
  );
}

/** In the order in which AWS looks. The key itself never goes into an error. */
function readCustomerKeyOf(
  { headers, isSecure }: S3Request,
  policy: KeyPolicy,
  { prefix, isWrite }: { prefix: string; isWrite: boolean },
): CustomerKey | undefined {
  const algorithm = headers.get(`${prefix}algorithm`);
  const encodedKey = headers.get(`${prefix}key`);
  const keyMd5 = headers.get(`${prefix}key-md5`);
  if (algorithm === undefined && encodedKey === undefined && keyMd5 === undefined) return undefined;
  const sse = headers.get(SSE);
  if (!isSecure && !policy.allowsCustomerKeysOverHttp) {
    throw customerKeyError('must be made over a secure connection.');
  }
  if (isWrite && sse !== undefined) {
    throw invalidArgument(
      'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
      SSE,
      sse,
    );
  }
  if (algorithm === undefined) throw customerKeyError('must provide a valid encryption algorithm.');
  if (algorithm !== 'AES256') {
    throw new S3Error('InvalidEncryptionAlgorithmError', {
      details: { ArgumentName: SSE, ArgumentValue: algorithm },
    });
  }
  if (encodedKey === undefined) throw customerKeyError('must provide an appropriate secret key.');
  if (keyMd5 === undefined) throw customerKeyError('must provide the client calculated MD5 of the secret key.');
  const key = Buffer.from(encodedKey, 'base64');
  if (customerKeyMd5(key) !== keyMd5) {
    throw invalidArgument('The calculated MD5 hash of the key did not match the hash that was provided.', SSE, 'null');
  }
  if (key.length !== CUSTOMER_KEY_BYTES) {
    throw invalidArgument('The secret key was invalid for the specified algorithm.', SSE, 'null');
  }
  return { key, keyMd5 };
}

function customerKeyError(demand: string): S3Error {
  return invalidArgument(
    `Requests specifying Server Side Encryption with Customer provided keys ${demand}`,
    SSE,
    'null',
  );
}

function invalidArgument(message: string, name: string, value: string): S3Error {
  return new S3Error('InvalidArgument', { message, details: { ArgumentName: name, ArgumentValue: value } });
}

/** What answers say of an encrypted object; nothing of one that is not. */
export function addEncryptionHeaders(
  headers: Record<string, string | number>,
  facts: EncryptionFacts | undefined,
): void {
  if (facts === undefined) return;
  if (facts.mode === 'SSE-C') {
    headers[`${CUSTOMER_PREFIX}algorithm`] = 'AES256';
    headers[`${CUSTOMER_PREFIX}key-md5`] = facts.keyMd5;
    return;
  }
  headers[SSE] = facts.mode;
  if (facts.mode === 'AES256') return;
  headers[KMS_KEY_ID] = facts.keyArn;
  if (facts.bucketKeyEnabled) headers[BUCKET_KEY] = 'true';
}
