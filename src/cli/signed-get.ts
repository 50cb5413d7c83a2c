import { createHash } from 'node:crypto';
import type { RootKey } from '../access/credential-store.ts';
import { canonicalRequest, stringToSign } from '../s3/sigv4/canonical-request.ts';
import { deriveSigningKey, hmacSha256, scopeText } from '../s3/sigv4/signing-key-cache.ts';
import { formatBasicTimestamp } from '../s3/sigv4/timestamp.ts';
import { failureOf } from './admin-client.ts';
import { CommandFailure } from './command.ts';

const EMPTY_BODY_SHA256 = createHash('sha256').digest('hex');
const SIGNED_HEADERS = ['host', 'x-amz-content-sha256', 'x-amz-date'];
const TIMEOUT_MS = 30_000;

export interface SignedGetOptions {
  /** `https://host:port`, without a path. */
  endpoint: string;
  /** Absolute, without characters that need encoding. */
  path: string;
  key: RootKey;
  region: string;
  nowMs: number;
}

/** The headers of a GET without a query, signed with Signature Version 4. */
function signGet({ endpoint, path, key, region, nowMs }: SignedGetOptions): Record<string, string> {
  const timestamp = formatBasicTimestamp(nowMs);
  const scope = { date: timestamp.slice(0, 8), region, service: 's3' };
  const headers = new Map([
    ['host', new URL(endpoint).host],
    ['x-amz-content-sha256', EMPTY_BODY_SHA256],
    ['x-amz-date', timestamp],
  ]);
  const canonical = canonicalRequest({
    method: 'GET',
    canonicalPath: path,
    canonicalQuery: '',
    signedHeaders: SIGNED_HEADERS,
    headers,
    payloadHash: EMPTY_BODY_SHA256,
  });
  const toSign = stringToSign({ timestamp, scope: scopeText(scope), canonical });
  const signature = hmacSha256(deriveSigningKey(key.secretAccessKey, scope), toSign).toString('hex');
  const credential = `${key.accessKeyId}/${scopeText(scope)}`;
  return {
    ...Object.fromEntries(headers),
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${SIGNED_HEADERS.join(';')}, Signature=${signature}`,
  };
}

/** Sends it and returns the JSON answer. @throws ServerNotReady; CommandFailure on any other answer but 200 */
export async function signedGet(options: SignedGetOptions): Promise<unknown> {
  const { host: _host, ...headers } = signGet(options);
  const url = new URL(options.path, options.endpoint);
  let answer: Response;
  try {
    answer = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' });
  } catch (error) {
    const { cause } = error as { cause?: Error };
    throw new CommandFailure(`${options.endpoint} cannot be reached: ${cause?.message ?? (error as Error).message}`, {
      hint: 'A self-signed certificate is trusted through NODE_EXTRA_CA_CERTS=certificate.pem.',
      cause: error,
    });
  }
  const text = await answer.text();
  if (answer.status === 200) return JSON.parse(text);
  if (answer.status === 503 && answer.headers.get('content-type')?.startsWith('application/json') === true) {
    throw failureOf(answer.status, JSON.parse(text));
  }
  throw new CommandFailure(`${options.endpoint} answered ${answer.status}: ${text.slice(0, 500)}`);
}
