import { createHash, createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { SignatureV4 } from '@smithy/signature-v4';
import { describe, expect, it } from 'vitest';
import { signRequest } from '../support/signed-client.ts';
import { parseRawRequest } from '../../src/s3/sigv4/raw-request.ts';
import { authenticator, CREDENTIAL, NOW_MS, s3Error, TIMESTAMP } from '../unit/s3/sigv4/fixtures.ts';

const ENDPOINT = { host: 'storage.example', port: 9000 };
const HOST = 'storage.example:9000';
const NASTY = ['/', '//', '.', '..', '/../', '/./', '%', '%2F', '%2f', '%00', '+', ' ', '~', '*', "'", '(', ')', '!'];
const MORE = [
  '\0',
  '\n',
  '\r',
  '\t',
  '\u007f',
  '\u0080',
  'é',
  '漢',
  '😀',
  '\ufeff',
  '\\',
  '?',
  '#',
  '&',
  '=',
  ':',
  '@',
];

function isWellFormed(text: string): boolean {
  return Buffer.from(text).toString() === text;
}

const nastyText = fc
  .array(fc.oneof(fc.constantFrom(...NASTY, ...MORE), fc.string({ unit: 'grapheme', maxLength: 4 })), { maxLength: 12 })
  .map((pieces) => pieces.join(''))
  .filter((text) => isWellFormed(text) && Buffer.byteLength(text) <= 1024);
const key = nastyText.filter((text) => text !== '');
const bucket = fc.stringMatching(/^[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]$/);
const query = fc.uniqueArray(
  fc.tuple(
    nastyText.filter((name) => name !== '' && !/^x-amz-|^(Signature|AWSAccessKeyId|Expires|__proto__)$/i.test(name)),
    nastyText,
  ),
  { maxLength: 5, selector: ([name]) => name },
);
const metadata = fc.uniqueArray(
  fc.tuple(fc.stringMatching(/^[a-z][a-z0-9-]{0,12}$/), fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/)),
  { maxLength: 4, selector: ([name]) => name },
);

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function encodeKey(text: string): string {
  return encode(text).replaceAll('%2F', '/');
}

function encodeQuery(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
}

describe('requests signed by other implementations', () => {
  it('are accepted with any bucket, key, query and metadata that aws4 signs in the header', () => {
    fc.assert(
      fc.property(bucket, key, query, metadata, (bucketName, objectKey, pairs, meta) => {
        const path = `/${bucketName}/${encodeKey(objectKey)}${pairs.length > 0 ? `?${encodeQuery(pairs)}` : ''}`;
        const headers = Object.fromEntries(meta.map(([name, value]) => [`x-amz-meta-${name}`, value]));
        const signed = signRequest(ENDPOINT, CREDENTIAL, { method: 'PUT', path, headers, timestamp: TIMESTAMP });
        const raw = parseRawRequest(
          { method: 'PUT', rawTarget: path, rawHeaders: Object.entries(signed.headers).flat(), isSecure: false },
          [],
        );
        expect(raw.bucket).toBe(bucketName);
        expect(raw.key).toBe(objectKey);
        for (const [name, value] of pairs) expect(raw.query.get(name)).toBe(value);
        expect(authenticator().authenticate(raw, NOW_MS).isSigned).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('are accepted with any bucket, key and query that @smithy/signature-v4 signs in the header', async () => {
    await fc.assert(
      fc.asyncProperty(bucket, key, query, metadata, async (bucketName, objectKey, pairs, meta) => {
        const signed = await smithySigner().sign(smithyRequest({ bucketName, objectKey, pairs, meta }), {
          signingDate: new Date(NOW_MS),
        });
        const target = `${signed.path}${pairs.length > 0 ? `?${encodeQuery(pairs)}` : ''}`;
        const raw = parseRawRequest(
          { method: 'PUT', rawTarget: target, rawHeaders: Object.entries(signed.headers).flat(), isSecure: false },
          [],
        );
        expect(raw.key).toBe(objectKey);
        expect(authenticator().authenticate(raw, NOW_MS).isSigned).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('are accepted with any bucket, key and query that @smithy/signature-v4 presigns, their x-amz-* folded in', async () => {
    await fc.assert(
      fc.asyncProperty(bucket, key, query, metadata, async (bucketName, objectKey, pairs, meta) => {
        const presigned = await smithySigner().presign(presignable({ bucketName, objectKey, pairs, meta }), {
          signingDate: new Date(NOW_MS),
          expiresIn: 60,
        });
        const target = `${presigned.path}?${encodeQuery(Object.entries(presigned.query as Record<string, string>))}`;
        const raw = parseRawRequest(
          { method: 'PUT', rawTarget: target, rawHeaders: ['Host', HOST], isSecure: false },
          [],
        );
        const authenticated = authenticator().authenticate(raw, NOW_MS + 59_000);
        expect(authenticated.signatureKind).toBe('presigned');
        for (const [name, value] of pairs) expect(authenticated.query.get(name)).toBe(value);
        for (const [name, value] of meta) expect(authenticated.headers.get(`x-amz-meta-${name}`)).toBe(value);
      }),
      { numRuns: 200 },
    );
  });

  it('are accepted with UTF-8 and runs of spaces in signed header values', async () => {
    const value = fc
      .array(fc.constantFrom('a', 'é', '漢', '😀', ' ', '  ', '\t', ',', '"'), { minLength: 1, maxLength: 12 })
      .map((pieces) => pieces.join('').trim())
      .filter((text) => text !== '');
    await fc.assert(
      fc.asyncProperty(value, async (text) => {
        const request = smithyRequest({ bucketName: 'bucket', objectKey: 'k', pairs: [], meta: [['a', text]] });
        const signed = await smithySigner().sign(request, { signingDate: new Date(NOW_MS) });
        const rawHeaders = Object.entries(signed.headers).flatMap(([name, content]) => [
          name,
          Buffer.from(content).toString('latin1'),
        ]);
        const raw = parseRawRequest({ method: 'PUT', rawTarget: '/bucket/k', rawHeaders, isSecure: false }, []);
        expect(authenticator().authenticate(raw, NOW_MS).isSigned).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('are refused once any one character of what was signed is changed', () => {
    fc.assert(
      fc.property(bucket, key, query, fc.nat(), fc.nat(), (bucketName, objectKey, pairs, place, shift) => {
        const path = `/${bucketName}/${encodeKey(objectKey)}${pairs.length > 0 ? `?${encodeQuery(pairs)}` : ''}`;
        const signed = signRequest(ENDPOINT, CREDENTIAL, { path, timestamp: TIMESTAMP });
        const rawHeaders = Object.entries(signed.headers).flat();
        const decodedOf = (target: string): string => {
          const raw = parseRawRequest({ method: 'GET', rawTarget: target, rawHeaders, isSecure: false }, []);
          return JSON.stringify([raw.bucket, raw.key, [...raw.queryPairs].sort((a, b) => (a.name < b.name ? -1 : 1))]);
        };
        const index = 1 + (place % (path.length - 1));
        const replacement = 'abcdefghijklmnopqrstuvwxyz0123456789'[shift % 36]!;
        const changed = path.slice(0, index) + replacement + path.slice(index + 1);
        let decoded: string;
        try {
          decoded = decodedOf(changed);
        } catch {
          return;
        }
        fc.pre(decoded !== decodedOf(path));
        const raw = parseRawRequest({ method: 'GET', rawTarget: changed, rawHeaders, isSecure: false }, []);
        expect(s3Error(() => authenticator().authenticate(raw, NOW_MS)).code).toBe('SignatureDoesNotMatch');
      }),
      { numRuns: 300 },
    );
  });

  it('and whatever else arrives as a target either parses into one bucket and key or is an S3 error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii', maxLength: 60 }), (target) => {
        try {
          const raw = parseRawRequest(
            { method: 'GET', rawTarget: `/${target}`, rawHeaders: ['Host', HOST], isSecure: false },
            [],
          );
          expect(raw.bucket).not.toContain('/');
          expect(isWellFormed(raw.key)).toBe(true);
        } catch (error) {
          expect((error as Error).name).toBe('S3Error');
        }
      }),
      { numRuns: 1000 },
    );
  });
});

class Sha256 {
  readonly #hash;
  constructor(secret?: unknown) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', secret as Uint8Array);
  }
  update(data: string | Uint8Array): void {
    this.#hash.update(data);
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(this.#hash.digest()));
  }
}

function smithySigner(): SignatureV4 {
  return new SignatureV4({
    service: 's3',
    region: 'us-east-1',
    credentials: { accessKeyId: CREDENTIAL.accessKeyId, secretAccessKey: CREDENTIAL.secretAccessKey },
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: true,
  });
}

/** As the SDK's presigner hands it over. */
function presignable(parts: Parameters<typeof smithyRequest>[0]) {
  const request = smithyRequest(parts);
  return { ...request, headers: { ...request.headers, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' } };
}

function smithyRequest(parts: {
  bucketName: string;
  objectKey: string;
  pairs: readonly (readonly [string, string])[];
  meta: readonly (readonly [string, string])[];
}) {
  return {
    method: 'PUT',
    protocol: 'http:',
    hostname: ENDPOINT.host,
    port: ENDPOINT.port,
    path: `/${parts.bucketName}/${encodeKey(parts.objectKey)}`,
    query: Object.fromEntries(parts.pairs),
    headers: {
      host: HOST,
      ...Object.fromEntries(parts.meta.map(([name, value]) => [`x-amz-meta-${name}`, value])),
    },
  };
}
