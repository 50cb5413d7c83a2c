import { S3Error } from '../../errors/s3-error.ts';
import { decodePercent, encodePercentPath } from './percent-encoding.ts';

/** What the HTTP layer hands over, untouched. */
export interface RawRequestInput {
  readonly method: string;
  /** Exactly as it stood in the request line. */
  readonly rawTarget: string;
  /** Name, value, name, value … as received, one character per byte. */
  readonly rawHeaders: readonly string[];
  readonly isSecure: boolean;
}

/**
 * A request whose target was split and decoded exactly once. Signature, policy and storage all use these values; nothing
 * else looks at the raw target again, and nothing passes it through `URL`, which would resolve `..`.
 */
export interface RawRequest extends RawRequestInput {
  /** Path as sent, still encoded, without query and without the authority of an absolute-form target. */
  readonly rawPath: string;
  /** SigV4's canonical URI: the decoded path, encoded once. */
  readonly canonicalPath: string;
  /** Empty for requests to the service. Any bytes a client sent as UTF-8, but never with a `/` in it. */
  readonly bucket: string;
  /** Empty for requests to a bucket. Any Unicode string of at most 1,024 UTF-8 bytes, NUL included. */
  readonly key: string;
  readonly isVirtualHosted: boolean;
  /** In the order sent, decoded. */
  readonly queryPairs: readonly QueryPair[];
  /** The first value of each name. */
  readonly query: ReadonlyMap<string, string>;
  /** Lower-case names; repeated ordinary headers joined by `,`. */
  readonly headers: ReadonlyMap<string, string>;
  /** The Host header, empty when HTTP/1.0 sent none. */
  readonly host: string;
}

export interface QueryPair {
  readonly name: string;
  readonly value: string;
}

const MAXIMUM_KEY_BYTES = 1024;

const PLAIN_PATH = /^[A-Za-z0-9\-._~/]*$/;
const ABSOLUTE_FORM = /^https?:\/\/([^/?]*)/i;
const NO_PAIRS: readonly QueryPair[] = [];
const NO_QUERY: ReadonlyMap<string, string> = new Map();

/** Headers that decide who asks, for what, and what the body is: a second one is an attack or a broken proxy. */
const SINGLE_HEADERS: ReadonlySet<string> = new Set([
  'authorization',
  'content-length',
  'content-md5',
  'content-type',
  'date',
  'expect',
  'host',
  'if-match',
  'range',
  'transfer-encoding',
]);

/**
 * @param domains names whose subdomains are buckets, lower-case, without port (virtual-hosted style)
 * @throws S3Error InvalidURI | InvalidBucketName | KeyTooLongError | InvalidRequest (a repeated security header)
 */
export function parseRawRequest(input: RawRequestInput, domains: readonly string[]): RawRequest {
  const headers = collectHeaders(input.rawHeaders);
  const host = headers.get('host') ?? '';
  const target = stripAuthority(input.rawTarget, host);
  const queryStart = target.indexOf('?');
  const rawPath = queryStart === -1 ? target : target.slice(0, queryStart);
  const virtualBucket = domains.length === 0 ? undefined : virtualHostedBucket(host, domains);
  const path = virtualBucket === undefined ? splitPathStyle(rawPath) : splitVirtualHosted(rawPath, virtualBucket);
  const keyBytes = path.key.length > MAXIMUM_KEY_BYTES / 4 ? Buffer.byteLength(path.key) : 0;
  if (keyBytes > MAXIMUM_KEY_BYTES) {
    throw new S3Error('KeyTooLongError', { details: { Size: keyBytes, MaxSizeAllowed: MAXIMUM_KEY_BYTES } });
  }
  const queryPairs = queryStart === -1 ? NO_PAIRS : parseQuery(target.slice(queryStart + 1));
  return {
    method: input.method,
    rawTarget: input.rawTarget,
    rawHeaders: input.rawHeaders,
    isSecure: input.isSecure,
    rawPath,
    canonicalPath: path.canonicalPath,
    bucket: path.bucket,
    key: path.key,
    isVirtualHosted: virtualBucket !== undefined,
    queryPairs,
    query: queryPairs.length === 0 ? NO_QUERY : firstValues(queryPairs),
    headers,
    host,
  };
}

/** The bucket that a Host header names below one of `domains`, `undefined` for the domain itself or a foreign host. */
export function virtualHostedBucket(host: string, domains: readonly string[]): string | undefined {
  const name = host.replace(/:\d*$/, '').toLowerCase();
  for (const domain of domains) {
    if (name.length > domain.length + 1 && name.endsWith(domain) && name[name.length - domain.length - 1] === '.') {
      return name.slice(0, -domain.length - 1);
    }
  }
  return undefined;
}

function collectHeaders(rawHeaders: readonly string[]): Map<string, string> {
  const headers = new Map<string, string>();
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!.toLowerCase();
    const value = rawHeaders[index + 1]!;
    const earlier = headers.get(name);
    if (earlier === undefined) {
      headers.set(name, value);
      continue;
    }
    if (SINGLE_HEADERS.has(name) || (name.startsWith('x-amz-') && !name.startsWith('x-amz-meta-'))) {
      throw new S3Error('InvalidRequest', { message: `The header ${name} must not be sent more than once.` });
    }
    headers.set(name, `${earlier},${value}`);
  }
  return headers;
}

/** RFC 9112 §3.2.2: a server accepts the absolute form. Its authority must be the Host, so that only one of them rules. */
function stripAuthority(rawTarget: string, host: string): string {
  if (rawTarget.includes('#')) throw new S3Error('InvalidURI');
  if (rawTarget.startsWith('/')) return rawTarget;
  const authority = ABSOLUTE_FORM.exec(rawTarget);
  if (authority === null || authority[1]!.toLowerCase() !== host.toLowerCase()) throw new S3Error('InvalidURI');
  const rest = rawTarget.slice(authority[0].length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

interface SplitPath {
  bucket: string;
  key: string;
  canonicalPath: string;
}

function splitPathStyle(rawPath: string): SplitPath {
  if (rawPath === '/') return { bucket: '', key: '', canonicalPath: '/' };
  const slash = rawPath.indexOf('/', 1);
  const rawBucket = slash === -1 ? rawPath.slice(1) : rawPath.slice(1, slash);
  if (rawBucket === '') throw new S3Error('InvalidURI');
  if (PLAIN_PATH.test(rawPath)) {
    return { bucket: rawBucket, key: slash === -1 ? '' : rawPath.slice(slash + 1), canonicalPath: rawPath };
  }
  const bucket = decodeOrRefuse(rawBucket);
  if (bucket.includes('/')) throw new S3Error('InvalidBucketName', { details: { BucketName: bucket } });
  if (slash === -1) return { bucket, key: '', canonicalPath: `/${encodePercentPath(bucket)}` };
  const key = decodeOrRefuse(rawPath.slice(slash + 1));
  return { bucket, key, canonicalPath: `/${encodePercentPath(bucket)}/${encodePercentPath(key)}` };
}

function splitVirtualHosted(rawPath: string, bucket: string): SplitPath {
  if (PLAIN_PATH.test(rawPath)) return { bucket, key: rawPath.slice(1), canonicalPath: rawPath };
  const key = decodeOrRefuse(rawPath.slice(1));
  return { bucket, key, canonicalPath: `/${encodePercentPath(key)}` };
}

function decodeOrRefuse(raw: string): string {
  const decoded = decodePercent(raw, { plusIsSpace: false });
  if (decoded === undefined) throw new S3Error('InvalidURI');
  return decoded;
}

function parseQuery(rawQuery: string): QueryPair[] {
  const pairs: QueryPair[] = [];
  for (const piece of rawQuery.split('&')) {
    if (piece === '') continue;
    const equals = piece.indexOf('=');
    const name = decodePercent(equals === -1 ? piece : piece.slice(0, equals), { plusIsSpace: true });
    const value = equals === -1 ? '' : decodePercent(piece.slice(equals + 1), { plusIsSpace: true });
    if (name === undefined || value === undefined) throw new S3Error('InvalidURI');
    pairs.push({ name, value });
  }
  return pairs;
}

function firstValues(pairs: readonly QueryPair[]): Map<string, string> {
  const values = new Map<string, string>();
  for (const { name, value } of pairs) if (!values.has(name)) values.set(name, value);
  return values;
}
