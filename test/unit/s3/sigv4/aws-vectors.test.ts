import { describe, expect, it } from 'vitest';
import { ChunkSignatureChain } from '../../../../src/s3/sigv4/chunk-signature-chain.ts';
import { deriveSigningKey } from '../../../../src/s3/sigv4/signing-key-cache.ts';
import { createHash } from 'node:crypto';
import { authenticator, CREDENTIAL, EMPTY_SHA256, NOW_MS, rawRequest, TIMESTAMP } from './fixtures.ts';

const HOST = 'examplebucket.s3.amazonaws.com';
const DOMAINS = ['s3.amazonaws.com'];
const SCOPE = '20130524/us-east-1/s3/aws4_request';

function authorization(signedHeaders: string, signature: string): string {
  return `AWS4-HMAC-SHA256 Credential=${CREDENTIAL.accessKeyId}/${SCOPE},SignedHeaders=${signedHeaders},Signature=${signature}`;
}

describe('AWS published SigV4 examples for S3', () => {
  const cases: { name: string; method: string; target: string; headers: Record<string, string>; key: string }[] = [
    {
      name: 'GET Object with a range',
      method: 'GET',
      target: '/test.txt',
      key: 'test.txt',
      headers: {
        Host: HOST,
        Authorization: authorization(
          'host;range;x-amz-content-sha256;x-amz-date',
          'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
        ),
        Range: 'bytes=0-9',
        'x-amz-content-sha256': EMPTY_SHA256,
        'x-amz-date': TIMESTAMP,
      },
    },
    {
      name: 'PUT Object with an encoded key and a Date header',
      method: 'PUT',
      target: '/test%24file.text',
      key: 'test$file.text',
      headers: {
        Host: HOST,
        Date: 'Fri, 24 May 2013 00:00:00 GMT',
        Authorization: authorization(
          'date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class',
          '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
        ),
        'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
        'x-amz-date': TIMESTAMP,
        'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      },
    },
    {
      name: 'GET Bucket Lifecycle, a query parameter without a value',
      method: 'GET',
      target: '/?lifecycle',
      key: '',
      headers: {
        Host: HOST,
        Authorization: authorization(
          'host;x-amz-content-sha256;x-amz-date',
          'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
        ),
        'x-amz-content-sha256': EMPTY_SHA256,
        'x-amz-date': TIMESTAMP,
      },
    },
    {
      name: 'GET Bucket (List Objects)',
      method: 'GET',
      target: '/?max-keys=2&prefix=J',
      key: '',
      headers: {
        Host: HOST,
        Authorization: authorization(
          'host;x-amz-content-sha256;x-amz-date',
          '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
        ),
        'x-amz-content-sha256': EMPTY_SHA256,
        'x-amz-date': TIMESTAMP,
      },
    },
    {
      name: 'presigned GET valid for a day',
      method: 'GET',
      target: `/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${CREDENTIAL.accessKeyId}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404`,
      key: 'test.txt',
      headers: { Host: HOST },
    },
  ];

  for (const { name, method, target, headers, key } of cases) {
    it(`accepts: ${name}`, () => {
      const raw = rawRequest(method, target, headers, { domains: DOMAINS });
      expect(raw.bucket).toBe('examplebucket');
      expect(raw.key).toBe(key);
      const authenticated = authenticator().authenticate(raw, NOW_MS);
      expect(authenticated.principal).toBe(CREDENTIAL.principal);
      expect(authenticated.isSigned).toBe(true);
    });
  }
});

describe('AWS published examples of chunk signatures', () => {
  const chain = (signature: string): ChunkSignatureChain =>
    new ChunkSignatureChain({
      signingKey: deriveSigningKey(CREDENTIAL.secretAccessKey, {
        date: '20130524',
        region: 'us-east-1',
        service: 's3',
      }),
      accessKeyId: CREDENTIAL.accessKeyId,
      timestamp: TIMESTAMP,
      scope: SCOPE,
      signature,
    });
  const sha256 = (lengthBytes: number): string =>
    createHash('sha256').update(Buffer.alloc(lengthBytes, 'a')).digest('hex');

  it('accepts the seed and every chunk of the 66,560 byte upload', () => {
    const seed = '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9';
    const raw = rawRequest('PUT', '/examplebucket/chunkObject.txt', {
      Host: 's3.amazonaws.com',
      'x-amz-date': TIMESTAMP,
      'x-amz-storage-class': 'REDUCED_REDUNDANCY',
      Authorization: authorization(
        'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
        seed,
      ),
      'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      'Content-Encoding': 'aws-chunked',
      'x-amz-decoded-content-length': '66560',
      'Content-Length': '66824',
    });
    const { payload } = authenticator().authenticate(raw, NOW_MS);
    if (payload.kind !== 'aws-chunked' || payload.verifier === undefined) throw new Error('not streaming');
    payload.verifier.verifyChunk({
      dataSha256Hex: sha256(65_536),
      signature: 'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    });
    payload.verifier.verifyChunk({
      dataSha256Hex: sha256(1024),
      signature: '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    });
    payload.verifier.verifyChunk({
      dataSha256Hex: sha256(0),
      signature: 'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
    });
  });

  it('accepts the chunks and the trailer of the upload with a trailing checksum', () => {
    const verifier = chain('106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e');
    verifier.verifyChunk({
      dataSha256Hex: sha256(65_536),
      signature: 'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
    });
    verifier.verifyChunk({
      dataSha256Hex: sha256(1024),
      signature: '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
    });
    verifier.verifyChunk({
      dataSha256Hex: sha256(0),
      signature: '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
    });
    verifier.verifyTrailer({
      canonicalTrailers: 'x-amz-checksum-crc32c:sOO8/Q==\n',
      signature: 'd81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435',
    });
  });
});
