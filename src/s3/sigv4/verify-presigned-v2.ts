import { createHmac } from 'node:crypto';
import type { CredentialSource, Principal } from '../../access/principal.ts';
import { S3Error } from '../../errors/s3-error.ts';
import { equalSignatures } from './equal-signatures.ts';
import type { RawRequest } from './raw-request.ts';
import { signatureMismatch } from './signature-mismatch.ts';
import { NOBODY, refuseExpired, unknownAccessKey } from './verify-signature.ts';

export function isPresignedV2(query: ReadonlyMap<string, string>): boolean {
  return query.has('Signature') || query.has('AWSAccessKeyId');
}

/** Query parameters that Signature Version 2 signs; all others can be added by whoever holds the URL. */
const SIGNED_SUBRESOURCES: ReadonlySet<string> = new Set([
  'abac',
  'accelerate',
  'acl',
  'analytics',
  'annotation',
  'annotationName',
  'attributes',
  'cors',
  'defaultObjectAcl',
  'delete',
  'encryption',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
  'location',
  'logging',
  'metadataAnnotationTable',
  'metadataConfiguration',
  'metadataInventoryTable',
  'metadataJournalTable',
  'metadataTable',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'partNumber',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'renameObject',
  'replication',
  'requestPayment',
  'response-cache-control',
  'response-content-disposition',
  'response-content-encoding',
  'response-content-language',
  'response-content-type',
  'response-expires',
  'restore',
  'retention',
  'select',
  'select-type',
  'session',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versionId',
  'versioning',
  'versions',
  'website',
]);

/**
 * Signature Version 2 in the query, which boto3 and the aws cli's first version still make by default in us-east-1.
 * Every `x-amz-*` header and parameter is part of what is signed.
 * @throws S3Error AccessDenied (incomplete, expired) | InvalidAccessKeyId | SignatureDoesNotMatch | ExpiredToken |
 *   InvalidToken
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
 */
export function verifyPresignedV2(
  raw: RawRequest,
  context: { credentials: CredentialSource; sessionToken: string | undefined; nowMs: number },
): Principal {
  const { credentials, sessionToken, nowMs } = context;
  const accessKeyId = raw.query.get('AWSAccessKeyId');
  const provided = raw.query.get('Signature');
  const expires = raw.query.get('Expires');
  if (!accessKeyId || !provided || !expires) {
    throw new S3Error('AccessDenied', {
      message: 'Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters',
    });
  }
  checkExpires(expires, nowMs);
  const text = stringToSignV2(raw, expires);
  const credential = credentials.find(accessKeyId, sessionToken);
  const secretAccessKey = (credential ?? NOBODY).secretAccessKey;
  const expected = createHmac('sha1', secretAccessKey).update(text, 'latin1').digest('base64');
  if (equalSignatures(expected, provided) && credential !== undefined) {
    refuseExpired(credential, nowMs);
    return credential.principal;
  }
  if (credential === undefined) throw unknownAccessKey(accessKeyId);
  throw new S3Error('SignatureDoesNotMatch', {
    details: signatureMismatch({ accessKeyId, stringToSign: text, provided }),
    hint: 'Signature Version 2 in the query.',
  });
}

function checkExpires(expires: string, nowMs: number): void {
  if (!/^\d{1,12}$/.test(expires)) {
    throw new S3Error('AccessDenied', { message: `Invalid date (should be seconds since epoch): ${expires}` });
  }
  const expiresAtMs = Number(expires) * 1000;
  if (nowMs <= expiresAtMs) return;
  throw new S3Error('AccessDenied', {
    message: 'Request has expired',
    details: { Expires: new Date(expiresAtMs).toISOString(), ServerTime: new Date(nowMs).toISOString() },
  });
}

function stringToSignV2(raw: RawRequest, expires: string): string {
  const amz = new Map<string, string>();
  let contentMd5 = raw.headers.get('content-md5');
  let contentType = raw.headers.get('content-type');
  for (const [name, value] of raw.headers) if (name.startsWith('x-amz-')) amz.set(name, value.trim());
  for (const { name, value } of raw.queryPairs) {
    const lower = name.toLowerCase();
    const bytes = Buffer.from(value, 'utf8').toString('latin1');
    if (lower.startsWith('x-amz-')) amz.set(lower, bytes);
    else if (lower === 'content-md5') contentMd5 ??= bytes;
    else if (lower === 'content-type') contentType ??= bytes;
  }
  const amzLines = [...amz.keys()].sort().map((name) => `${name}:${amz.get(name)}\n`);
  return `${raw.method}\n${contentMd5 ?? ''}\n${contentType ?? ''}\n${expires}\n${amzLines.join('')}${signedResource(raw)}`;
}

function signedResource(raw: RawRequest): string {
  const path = raw.isVirtualHosted ? `/${raw.bucket}${raw.rawPath}` : raw.rawPath;
  const names = [...raw.query.keys()].filter((name) => SIGNED_SUBRESOURCES.has(name)).sort();
  const pieces = names.map((name) => {
    const value = raw.query.get(name)!;
    return value === '' ? name : `${name}=${Buffer.from(value, 'utf8').toString('latin1')}`;
  });
  return pieces.length === 0 ? path : `${path}?${pieces.join('&')}`;
}
