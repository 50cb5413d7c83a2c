import { hash } from 'node:crypto';
import { encodePercent } from './percent-encoding.ts';
import type { QueryPair } from './raw-request.ts';

const NEEDS_COLLAPSING = /[ \t]{2}|\t/;
const NOT_ASCII = /[\u0080-\uffff]/;

export interface CanonicalRequestParts {
  readonly method: string;
  readonly canonicalPath: string;
  readonly canonicalQuery: string;
  /** As the client listed them, lower-case. */
  readonly signedHeaders: readonly string[];
  readonly headers: ReadonlyMap<string, string>;
  readonly payloadHash: string;
}

/** One character per byte, because header values may hold any byte. @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
export function canonicalRequest(parts: CanonicalRequestParts): string {
  let text = `${parts.method}\n${parts.canonicalPath}\n${parts.canonicalQuery}\n`;
  for (const name of parts.signedHeaders) {
    text += `${name}:${canonicalHeaderValue(parts.headers.get(name) ?? '')}\n`;
  }
  return `${text}\n${parts.signedHeaders.join(';')}\n${parts.payloadHash}`;
}

/** Outer white space removed, inner runs made one space. */
function canonicalHeaderValue(value: string): string {
  return (NEEDS_COLLAPSING.test(value) ? value.replace(/[ \t]+/g, ' ') : value).trim();
}

/** Sorted by encoded name, then by encoded value. `without`: the parameter that carries the signature itself. */
export function canonicalQuery(pairs: readonly QueryPair[], without?: string): string {
  if (pairs.length === 0) return '';
  const encoded: [name: string, value: string][] = [];
  for (const { name, value } of pairs) {
    if (name !== without) encoded.push([encodePercent(name), encodePercent(value)]);
  }
  encoded.sort((left, right) => compare(left[0], right[0]) || compare(left[1], right[1]));
  return encoded.map(([name, value]) => `${name}=${value}`).join('&');
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

export function stringToSign({
  timestamp,
  scope,
  canonical,
}: {
  timestamp: string;
  scope: string;
  canonical: string;
}): string {
  return `AWS4-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256HexOfBytes(canonical)}`;
}

/** `bytes`: one character per byte. A string is hashed as UTF-8, which is the same for ASCII and saves the buffer. */
function sha256HexOfBytes(bytes: string): string {
  return hash('sha256', NOT_ASCII.test(bytes) ? Buffer.from(bytes, 'latin1') : bytes, 'hex');
}
