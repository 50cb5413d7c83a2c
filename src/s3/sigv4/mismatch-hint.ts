import { createHmac } from 'node:crypto';
import { canonicalRequest, stringToSign, type CanonicalRequestParts } from './canonical-request.ts';
import { equalSignatures } from './equal-signatures.ts';
import type { RawRequest } from './raw-request.ts';

export interface FailedSignature {
  readonly raw: RawRequest;
  readonly parts: CanonicalRequestParts;
  readonly signingKey: Buffer;
  readonly timestamp: string;
  readonly scope: string;
  readonly provided: string;
}

const WRONG_SECRET = 'The secret access key is probably wrong: no usual damage by a proxy explains the signature.';

/**
 * Tries what proxies usually do to a request, to tell the operator which repair would make the signature right.
 * It explains only: the request stays refused.
 */
export function explainMismatch(failed: FailedSignature): string {
  for (const [explanation, parts] of damagedVariants(failed)) {
    const text = stringToSign({
      timestamp: failed.timestamp,
      scope: failed.scope,
      canonical: canonicalRequest({ ...failed.parts, ...parts }),
    });
    const signature = createHmac('sha256', failed.signingKey).update(text, 'latin1').digest('hex');
    if (equalSignatures(signature, failed.provided)) return explanation;
  }
  return WRONG_SECRET;
}

function* damagedVariants({ raw, parts }: FailedSignature): Generator<[string, Partial<CanonicalRequestParts>]> {
  const withHeader = (name: string, value: string): Partial<CanonicalRequestParts> => ({
    headers: new Map(raw.headers).set(name, value),
  });
  for (const host of possibleHosts(raw)) {
    yield [
      `The client signed Host "${host}" but "${raw.host}" arrived: a proxy must pass the Host header on unchanged.`,
      withHeader('host', host),
    ];
  }
  for (const path of possiblePaths(raw)) {
    yield [
      `The client signed the path "${path}" but "${raw.rawPath}" arrived: a proxy or the client normalises or encodes paths.`,
      { canonicalPath: path },
    ];
  }
  for (const [name, values] of Object.entries(CHANGED_HEADERS)) {
    if (!parts.signedHeaders.includes(name)) continue;
    for (const value of values) {
      if (value !== raw.headers.get(name)) {
        yield [`The client signed the header "${name}: ${value}", which a proxy changed.`, withHeader(name, value)];
      }
    }
  }
  if (raw.rawTarget.includes('+')) {
    yield [
      'The client sent "+" in the query for a plus sign; it must be sent as %2B.',
      { canonicalQuery: parts.canonicalQuery.replaceAll('%20', '%2B') },
    ];
  }
}

const CHANGED_HEADERS: Readonly<Record<string, readonly string[]>> = {
  'accept-encoding': ['identity', 'gzip', 'gzip, deflate', 'gzip, deflate, br', ''],
  connection: ['keep-alive', 'close', 'Keep-Alive', ''],
  expect: ['100-continue', ''],
  'content-length': ['0', ''],
};

function possibleHosts(raw: RawRequest): Set<string> {
  const hosts = new Set<string>();
  const name = raw.host.replace(/:\d+$/, '');
  const forwarded = raw.headers.get('x-forwarded-host');
  const forwardedPort = raw.headers.get('x-forwarded-port');
  hosts.add(name);
  for (const port of [forwardedPort, '80', '443', '9000']) if (port) hosts.add(`${name}:${port}`);
  if (forwarded) {
    hosts.add(forwarded);
    if (forwardedPort) hosts.add(`${forwarded}:${forwardedPort}`);
  }
  hosts.delete(raw.host);
  return hosts;
}

function possiblePaths(raw: RawRequest): Set<string> {
  const paths = new Set<string>();
  paths.add(raw.rawPath);
  paths.add(raw.canonicalPath.replace(/\/{2,}/g, '/'));
  paths.add(raw.canonicalPath.replaceAll('%', '%25'));
  paths.add(raw.canonicalPath.replaceAll('%2B', '%20'));
  paths.add(raw.canonicalPath.replaceAll('+', '%20'));
  paths.delete(raw.canonicalPath);
  return paths;
}
