import type { ConditionContext } from '../access/policy/condition-context.ts';
import type { ObjectLock } from '../model/object-lock.ts';
import type { Tag } from '../model/object-record.ts';
import { parseCopySource } from './headers/copy-source.ts';
import { readTaggingHeader } from './headers/tagging-header.ts';
import type { AuthenticatedRequest } from './sigv4/authenticated-request.ts';

export interface RequestFacts {
  readonly authenticated: AuthenticatedRequest;
  /** The peer of the socket. */
  readonly remoteAddress: string;
  readonly nowMs: number;
  readonly region: string;
}

/** Condition keys of S3 that are the header of this name. */
const HEADER_KEYS = new Set([
  's3:if-match',
  's3:if-none-match',
  's3:x-amz-acl',
  's3:x-amz-grant-full-control',
  's3:x-amz-grant-read',
  's3:x-amz-grant-read-acp',
  's3:x-amz-grant-write',
  's3:x-amz-grant-write-acp',
  's3:x-amz-metadata-directive',
  's3:x-amz-object-ownership',
  's3:x-amz-server-side-encryption',
  's3:x-amz-server-side-encryption-aws-kms-key-id',
  's3:x-amz-server-side-encryption-customer-algorithm',
  's3:x-amz-storage-class',
  's3:x-amz-website-redirect-location',
]);
/** Headers whose condition keys have other names. */
const RENAMED_HEADER_KEYS = new Map([
  ['s3:object-lock-legal-hold', 'x-amz-object-lock-legal-hold'],
  ['s3:object-lock-mode', 'x-amz-object-lock-mode'],
  ['s3:object-lock-retain-until-date', 'x-amz-object-lock-retain-until-date'],
]);
const QUERY_KEYS = new Map([
  ['s3:delimiter', 'delimiter'],
  ['s3:max-keys', 'max-keys'],
  ['s3:prefix', 'prefix'],
]);
const REQUEST_TAG = 's3:requestobjecttag/';
const DAY_MS = 86_400_000;
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

/** What the request says of each condition key. @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html */
export function requestConditions(facts: RequestFacts): ConditionContext {
  const { headers, query } = facts.authenticated;
  return (key) => {
    if (HEADER_KEYS.has(key)) return present(headers.get(key.slice('s3:'.length)));
    const renamed = RENAMED_HEADER_KEYS.get(key);
    if (renamed !== undefined) return present(headers.get(renamed));
    const parameter = QUERY_KEYS.get(key);
    if (parameter !== undefined) return present(query.get(parameter));
    if (key.startsWith(REQUEST_TAG)) return tagValues(headerTags(headers), key.slice(REQUEST_TAG.length));
    return key.startsWith('s3:') ? signatureFact(key, facts) : globalFact(key, facts);
  };
}

function globalFact(
  key: string,
  { authenticated, remoteAddress, nowMs, region }: RequestFacts,
): readonly string[] | undefined {
  switch (key) {
    case 'aws:currenttime':
      return [new Date(nowMs).toISOString()];
    case 'aws:epochtime':
      return [String(Math.floor(nowMs / 1000))];
    case 'aws:securetransport':
      return [String(authenticated.raw.isSecure)];
    case 'aws:sourceip':
      return remoteAddress === '' ? undefined : [remoteAddress];
    case 'aws:useragent':
      return present(authenticated.headers.get('user-agent'));
    case 'aws:referer':
      return present(authenticated.headers.get('referer'));
    case 'aws:requestedregion':
      return [region];
    default:
      return undefined;
  }
}

const AUTH_TYPES = {
  none: undefined,
  header: 'REST-HEADER',
  presigned: 'REST-QUERY-STRING',
  'presigned-v2': 'REST-QUERY-STRING',
  form: 'POST',
  'form-v2': 'POST',
} as const;

function signatureFact(key: string, { authenticated, nowMs }: RequestFacts): readonly string[] | undefined {
  const { headers, signatureKind } = authenticated;
  switch (key) {
    case 's3:authtype':
      return present(AUTH_TYPES[signatureKind]);
    case 's3:signatureversion':
      if (signatureKind === 'none') return undefined;
      return [isVersion2(signatureKind) ? 'AWS' : 'AWS4-HMAC-SHA256'];
    case 's3:signatureage': {
      const signedAtMs = signatureTimeMs(authenticated);
      return signedAtMs === undefined ? undefined : [String(Math.max(0, nowMs - signedAtMs))];
    }
    case 's3:x-amz-copy-source': {
      const source = headers.get('x-amz-copy-source');
      return source === undefined ? undefined : [sourceName(source)];
    }
    case 's3:x-amz-content-sha256':
      return present(payloadHash(authenticated));
    case 's3:object-lock-remaining-retention-days': {
      const until = Date.parse(headers.get('x-amz-object-lock-retain-until-date') ?? '');
      return Number.isNaN(until) ? undefined : [String(Math.ceil((until - nowMs) / DAY_MS))];
    }
    case 's3:requestobjecttagkeys':
      return tagKeys(headerTags(headers));
    default:
      return undefined;
  }
}

function isVersion2(kind: AuthenticatedRequest['signatureKind']): boolean {
  return kind === 'presigned-v2' || kind === 'form-v2';
}

/** The body of a presigned request is unsigned where neither a header nor, in version 4, the query says otherwise. */
function payloadHash({ headers, raw, signatureKind }: AuthenticatedRequest): string | undefined {
  const inHeader = headers.get('x-amz-content-sha256');
  if (inHeader !== undefined || AUTH_TYPES[signatureKind] !== 'REST-QUERY-STRING') return inHeader;
  const inQuery = raw.query.get('X-Amz-Content-Sha256') ?? raw.query.get('x-amz-content-sha256');
  return (signatureKind === 'presigned' ? inQuery : undefined) ?? UNSIGNED_PAYLOAD;
}

/** `20260101T000000Z` of the signature: of the query, or the header. */
function signatureTimeMs({ raw, headers, signatureKind }: AuthenticatedRequest): number | undefined {
  if (signatureKind === 'none' || isVersion2(signatureKind)) return undefined;
  const text = signatureKind === 'presigned' ? raw.query.get('X-Amz-Date') : headers.get('x-amz-date');
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '');
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return Date.UTC(year, month - 1, day, hour, minute, second);
}

/** `bucket/key`, as policies write it, without the version: what is copied, however the header spells it. */
function sourceName(header: string): string {
  const { bucket, key } = parseCopySource(header);
  return `${bucket}/${key}`;
}

function headerTags(headers: ReadonlyMap<string, string>): readonly Tag[] {
  return readTaggingHeader(headers) ?? [];
}

function tagKeys(tags: readonly Tag[]): readonly string[] | undefined {
  return tags.length === 0 ? undefined : tags.map(({ key }) => key);
}

function tagValues(tags: readonly Tag[], lowerKey: string): readonly string[] | undefined {
  const values = tags.filter(({ key }) => key.toLowerCase() === lowerKey).map(({ value }) => value);
  return values.length === 0 ? undefined : values;
}

/** What PutObjectTagging says in its body: no header of that request is about tags. */
export function bodyTagConditions(tags: readonly Tag[]): ConditionContext {
  return (key) => {
    if (key === 's3:requestobjecttagkeys') return tagKeys(tags) ?? [];
    return key.startsWith(REQUEST_TAG) ? (tagValues(tags, key.slice(REQUEST_TAG.length)) ?? []) : undefined;
  };
}

/** What PutObjectRetention and PutObjectLegalHold say in their bodies. */
export function bodyLockConditions({ retention, legalHold }: ObjectLock, nowMs: number): ConditionContext {
  const until = retention?.retainUntilMs;
  return (key) => {
    switch (key) {
      case 's3:object-lock-legal-hold':
        return legalHold === undefined ? [] : [legalHold];
      case 's3:object-lock-mode':
        return retention === undefined ? [] : [retention.mode];
      case 's3:object-lock-retain-until-date':
        return until === undefined ? [] : [new Date(until).toISOString()];
      case 's3:object-lock-remaining-retention-days':
        return until === undefined ? [] : [String(Math.ceil((until - nowMs) / DAY_MS))];
      default:
        return undefined;
    }
  };
}

function present(value: string | undefined): readonly string[] | undefined {
  return value === undefined ? undefined : [value];
}
