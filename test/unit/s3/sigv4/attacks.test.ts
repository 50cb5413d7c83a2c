import { createHash, createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { signRequest, type SignedRequestOptions } from '../../../support/signed-client.ts';
import { formatBasicTimestamp } from '../../../../src/s3/sigv4/timestamp.ts';
import { authenticator, CREDENTIAL, CREDENTIALS, NOW_MS, rawRequest, s3Error, TIMESTAMP } from './fixtures.ts';

const ENDPOINT = { host: 'storage.example', port: 9000 };
const UNSIGNED_HEADERS = [
  'x-amz-copy-source',
  'x-amz-acl',
  'x-amz-tagging',
  'x-amz-object-lock-mode',
  'x-amz-server-side-encryption',
  'x-amz-storage-class',
  'x-amz-meta-role',
  'x-amz-website-redirect-location',
];

function signed(options: SignedRequestOptions, extraHeaders: Record<string, string> = {}) {
  const request = signRequest(ENDPOINT, CREDENTIAL, { timestamp: TIMESTAMP, ...options });
  return rawRequest(request.method, request.path, { ...request.headers, ...extraHeaders });
}

/** `path` may carry parameters of its own. */
function presigned(
  options: Partial<SignedRequestOptions> = {},
  { extraHeaders = {}, extraQuery = '' }: { extraHeaders?: Record<string, string>; extraQuery?: string } = {},
) {
  const path = options.path ?? '/bucket/key';
  const dated = `${path}${path.includes('?') ? '&' : '?'}X-Amz-Date=${TIMESTAMP}`;
  const request = signRequest(ENDPOINT, CREDENTIAL, { ...options, path: dated, signQuery: true });
  return rawRequest(request.method, request.path + extraQuery, { ...request.headers, ...extraHeaders });
}

function authenticate(raw: ReturnType<typeof rawRequest>, nowMs = NOW_MS) {
  return authenticator().authenticate(raw, nowMs);
}

function codeOf(raw: () => ReturnType<typeof rawRequest>, nowMs = NOW_MS): string {
  return s3Error(() => authenticate(raw(), nowMs)).code;
}

describe('headers that were not signed', () => {
  for (const name of UNSIGNED_HEADERS) {
    it(`sec_presigned_unsigned_header__CVE_2026_97731: ${name} added to a presigned PUT is refused`, () => {
      const error = s3Error(() => authenticate(presigned({ method: 'PUT' }, { extraHeaders: { [name]: 'x' } })));
      expect([error.code, error.status, error.details['HeadersNotSigned']]).toEqual(['AccessDenied', 403, name]);
    });
    it(`sec_unsigned_header__SN_2026_011: ${name} added to a signed request is refused`, () => {
      expect(codeOf(() => signed({ path: '/bucket/key' }, { [name]: 'x' }))).toBe('AccessDenied');
    });
  }

  it('sec_unsigned_security_token: a session token that the signature does not cover is refused', () => {
    expect(codeOf(() => signed({ path: '/b/k' }, { 'x-amz-security-token': 'x' }))).toBe('AccessDenied');
    expect(codeOf(() => presigned({}, { extraHeaders: { 'X-Amz-Security-Token': 'x' } }))).toBe('AccessDenied');
    expect(codeOf(() => presigned({}, { extraQuery: '&X-Amz-Security-Token=x' }))).toBe('SignatureDoesNotMatch');
    expect(codeOf(() => signed({ path: '/b/k?X-Amz-Security-Token=x' }))).toBe('InvalidToken');
  });

  it('sec_two_security_tokens: a token in the header and another in the query are refused', () => {
    const path = '/b/k?X-Amz-Security-Token=x';
    expect(codeOf(() => presigned({ path, headers: { 'X-Amz-Security-Token': 'y' } }))).toBe('InvalidToken');
  });

  it('Host must be among the signed headers', () => {
    const raw = signed({ path: '/b/k' });
    const authorization = raw.headers.get('authorization')!.replace('SignedHeaders=host;', 'SignedHeaders=');
    const pairs = [...raw.headers].map(
      ([name, value]) => [name, name === 'authorization' ? authorization : value] as const,
    );
    expect(codeOf(() => rawRequest('GET', '/b/k', pairs))).toBe('AccessDenied');
  });

  it('x-amz-content-sha256 is exempt but bound: another value breaks the signature', () => {
    const raw = presigned({}, { extraHeaders: { 'x-amz-content-sha256': 'a'.repeat(64) } });
    expect(s3Error(() => authenticate(raw)).code).toBe('SignatureDoesNotMatch');
  });
});

describe('ways to sign', () => {
  const streaming = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';

  it('sec_streaming_unsigned_trailer_wrong_signature__CVE_2025_31489', () => {
    const raw = signed({ method: 'PUT', path: '/b/k', headers: { 'x-amz-content-sha256': streaming } });
    const broken = raw.headers.get('authorization')!.replace(/.$/, (digit) => (digit === '0' ? '1' : '0'));
    const pairs = [...raw.headers].map(([name, value]) => [name, name === 'authorization' ? broken : value] as const);
    expect(codeOf(() => rawRequest('PUT', '/b/k', pairs))).toBe('SignatureDoesNotMatch');
  });

  it('sec_streaming_with_query_credentials__CVE_2026_41145: no streaming payload with a presigned request', () => {
    const raw = (): ReturnType<typeof rawRequest> =>
      presigned({ method: 'PUT' }, { extraHeaders: { 'x-amz-content-sha256': streaming } });
    expect(codeOf(raw)).toBe('InvalidRequest');
    const onlyCredential = (): ReturnType<typeof rawRequest> =>
      rawRequest('PUT', `/b/k?X-Amz-Credential=${CREDENTIAL.accessKeyId}/20130524/us-east-1/s3/aws4_request`, {
        Host: 'h',
        'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      });
    expect(codeOf(onlyCredential)).toBe('AuthorizationQueryParametersError');
  });

  it('sec_two_mechanisms: Authorization beside a signature in the query, of either version, is refused', () => {
    const authorization = { Authorization: 'AWS4-HMAC-SHA256 Credential=x' };
    expect(codeOf(() => presigned({}, { extraHeaders: authorization }))).toBe('InvalidArgument');
    expect(codeOf(() => rawRequest('GET', '/b/k?Signature=x', { Host: 'h', ...authorization }))).toBe(
      'InvalidArgument',
    );
    expect(codeOf(() => presigned({}, { extraQuery: '&Signature=x' }))).toBe('InvalidArgument');
  });

  it('sec_auth_scheme_confusion: SigV2, Basic, Bearer and an empty Authorization header are refused, never anonymous', () => {
    for (const [value, code] of [
      [`AWS ${CREDENTIAL.accessKeyId}:c2lnbmF0dXJl`, 'InvalidRequest'],
      ['Basic dXNlcjpwYXNz', 'InvalidArgument'],
      ['Bearer token', 'InvalidArgument'],
      ['', 'InvalidArgument'],
      ['AWS4-HMAC-SHA256', 'AuthorizationHeaderMalformed'],
      ['AWS4-ECDSA-P256-SHA256 Credential=x', 'NotImplemented'],
    ] as const) {
      expect(codeOf(() => rawRequest('GET', '/b/k', { Host: 'h', Authorization: value }))).toBe(code);
    }
  });

  it('sec_no_keys_configured__CVE_2026_88018: without any credential every signature is refused', () => {
    const closed = authenticator({ credentials: { find: () => undefined } });
    expect(s3Error(() => closed.authenticate(signed({ path: '/b/k' }), NOW_MS)).code).toBe('InvalidAccessKeyId');
    expect(closed.authenticate(rawRequest('GET', '/b/k', { Host: 'h' }), NOW_MS).principal.type).toBe('anonymous');
  });

  it('sec_content_sha256_values: every value of x-amz-content-sha256 has one meaning in each way to sign', () => {
    const values = [
      'UNSIGNED-PAYLOAD',
      'a'.repeat(64),
      'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
      'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
      'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD',
      'STREAMING-UNSIGNED-PAYLOAD',
      'unsigned-payload',
      'a'.repeat(63),
      '',
    ];
    const outcome = (action: () => { payload: { kind: string } }): string => {
      try {
        return action().payload.kind;
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    const table = values.map((value) => [
      value.slice(0, 44),
      outcome(() => authenticate(signed({ method: 'PUT', path: '/b/k', headers: { 'x-amz-content-sha256': value } }))),
      outcome(() => authenticate(rawRequest('PUT', '/b/k', { Host: 'h', 'x-amz-content-sha256': value }))),
      outcome(() => authenticate(presigned({ method: 'PUT' }, { extraHeaders: { 'x-amz-content-sha256': value } }))),
    ]);
    expect(table).toEqual([
      ['UNSIGNED-PAYLOAD', 'unsigned', 'unsigned', 'unsigned'],
      ['a'.repeat(44), 'signed', 'signed', 'SignatureDoesNotMatch'],
      ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'aws-chunked', 'InvalidRequest', 'InvalidRequest'],
      ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'.slice(0, 44), 'aws-chunked', 'InvalidRequest', 'InvalidRequest'],
      ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', 'aws-chunked', 'aws-chunked', 'InvalidRequest'],
      ['STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD', 'NotImplemented', 'NotImplemented', 'NotImplemented'],
      ['STREAMING-UNSIGNED-PAYLOAD', 'InvalidArgument', 'InvalidArgument', 'InvalidArgument'],
      ['unsigned-payload', 'InvalidArgument', 'InvalidArgument', 'InvalidArgument'],
      ['a'.repeat(44), 'InvalidArgument', 'InvalidArgument', 'InvalidArgument'],
      // aws4 takes an empty header for none and adds its own: two of them
      ['', 'InvalidRequest', 'InvalidArgument', 'InvalidArgument'],
    ]);
  });

  it('a signed request without x-amz-content-sha256 is refused', () => {
    const raw = signed({ path: '/b/k' });
    const pairs = [...raw.headers].filter(([name]) => name !== 'x-amz-content-sha256');
    expect(codeOf(() => rawRequest('GET', '/b/k', pairs))).toBe('InvalidRequest');
  });

  it('UNSIGNED-PAYLOAD over plain HTTP: allowed by default, refused by the option, never refused for presigned or TLS', () => {
    const strict = authenticator({ allowUnsignedPayloadOverHttp: false });
    for (const value of ['UNSIGNED-PAYLOAD', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER']) {
      const raw = signed({ method: 'PUT', path: '/b/k', headers: { 'x-amz-content-sha256': value } });
      expect(authenticate(raw).isSigned).toBe(true);
      expect(s3Error(() => strict.authenticate(raw, NOW_MS)).code).toBe('AccessDenied');
      expect(strict.authenticate({ ...raw, isSecure: true }, NOW_MS).isSigned).toBe(true);
    }
    expect(strict.authenticate(presigned(), NOW_MS).isSigned).toBe(true);
  });
});

describe('duplicates', () => {
  it.each(['Host', 'Authorization', 'x-amz-date', 'X-Amz-Content-Sha256', 'Date', 'Content-MD5', 'x-amz-acl', 'Range'])(
    'sec_duplicate_security_header: a second %s is refused even when both are equal',
    (name) => {
      const value = 'v';
      expect(
        s3Error(() =>
          rawRequest('GET', '/b/k', [
            [name, value],
            [name.toUpperCase(), value],
          ]),
        ).code,
      ).toBe('InvalidRequest');
    },
  );

  it('repeated ordinary headers and metadata are joined', () => {
    const raw = rawRequest('GET', '/b/k', [
      ['X-Amz-Meta-A', '1'],
      ['x-amz-meta-a', '2'],
      ['Accept', 'a'],
      ['accept', 'b'],
    ]);
    expect([raw.headers.get('x-amz-meta-a'), raw.headers.get('accept')]).toEqual(['1,2', 'a,b']);
  });

  it.each([
    'X-Amz-Expires=1',
    'X-Amz-Signature=0',
    'x-amz-signature=0',
    'X-Amz-Date=20130524T000000Z',
    'x-amz-acl=public-read&x-amz-acl=private',
  ])('sec_duplicate_query_parameter: %s twice is refused', (parameter) => {
    expect(codeOf(() => presigned({}, { extraQuery: `&${parameter}` }))).toBe('InvalidRequest');
  });
});

describe('time', () => {
  it('sec_skew: 15 minutes either way are accepted, a second more is RequestTimeTooSkewed', () => {
    const raw = signed({ path: '/b/k' });
    for (const seconds of [-900, -899, 0, 899, 900]) {
      expect(authenticate(raw, NOW_MS + seconds * 1000).isSigned).toBe(true);
    }
    for (const seconds of [-901, 901, 86_400]) {
      const error = s3Error(() => authenticate(raw, NOW_MS + seconds * 1000));
      expect([error.code, error.status]).toEqual(['RequestTimeTooSkewed', 403]);
      expect(error.details['MaxAllowedSkewMilliseconds']).toBe(900_000);
    }
  });

  it('a request without x-amz-date and Date, or with an impossible one, is refused', () => {
    const raw = signed({ path: '/b/k' });
    const without = [...raw.headers].filter(([name]) => name !== 'x-amz-date');
    expect(codeOf(() => rawRequest('GET', '/b/k', without))).toBe('AccessDenied');
    expect(codeOf(() => rawRequest('GET', '/b/k', [...without, ['x-amz-date', '20130230T000000Z']]))).toBe(
      'AccessDenied',
    );
  });

  it('the date of the credential scope must be that of the request', () => {
    const raw = signed({ path: '/b/k' });
    const pairs = [...raw.headers].map(
      ([name, value]) => [name, name === 'x-amz-date' ? '20130525T000000Z' : value] as const,
    );
    expect(codeOf(() => rawRequest('GET', '/b/k', pairs), NOW_MS + 86_400_000)).toBe('AuthorizationHeaderMalformed');
  });

  it.each([
    ['0', 0, true],
    ['0', 1, false],
    ['1', 1000, true],
    ['1', 1001, false],
    ['604800', 604_800_000, true],
    ['604800', 604_800_001, false],
    ['604800', -900_000, true],
    ['604800', -900_001, false],
  ])('sec_presigned_expires: %s seconds, %i ms after signing: valid %s', (expires, laterMs, isValid) => {
    const raw = presigned({ path: `/b/k?X-Amz-Expires=${expires}` });
    if (isValid) expect(authenticate(raw, NOW_MS + laterMs).isSigned).toBe(true);
    else expect(s3Error(() => authenticate(raw, NOW_MS + laterMs)).code).toBe('AccessDenied');
  });

  it.each(['-1', '604801', '1e9', '1e3', '1000000000', ' 1', '', '0x10', '1.5', '٣'])(
    'sec_presigned_expires_malformed: «%s» is AuthorizationQueryParametersError',
    (expires) => {
      const target = `/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${CREDENTIAL.accessKeyId}/20130524/us-east-1/s3/aws4_request&X-Amz-Date=${TIMESTAMP}&X-Amz-Expires=${encodeURIComponent(expires)}&X-Amz-SignedHeaders=host&X-Amz-Signature=${'0'.repeat(64)}`;
      expect(codeOf(() => rawRequest('GET', target, { Host: 'h' }))).toBe('AuthorizationQueryParametersError');
    },
  );
});

describe('scope', () => {
  it('a wrong region is named together with the expected one', () => {
    const inHeader = s3Error(() => authenticate(signed({ path: '/b/k', region: 'eu-west-1' })));
    expect([inHeader.code, inHeader.status, inHeader.details['Region']]).toEqual([
      'AuthorizationHeaderMalformed',
      400,
      'us-east-1',
    ]);
    expect(inHeader.message).toBe(
      "The authorization header is malformed; the region 'eu-west-1' is wrong; expecting 'us-east-1'.",
    );
    const inQuery = s3Error(() => authenticate(presigned({ region: 'eu-west-1' })));
    expect([inQuery.code, inQuery.details['Region']]).toEqual(['AuthorizationQueryParametersError', 'us-east-1']);
  });

  it.each([
    'Credential=AK/20130524/us-east-1/iam/aws4_request',
    'Credential=AK/20130524/us-east-1/s3/aws5_request',
    'Credential=AK/20130524/s3/aws4_request',
    'Credential=/20130524/us-east-1/s3/aws4_request',
    'Credential=AK/2013-05-24/us-east-1/s3/aws4_request',
  ])('%s is refused', (credential) => {
    const raw = rawRequest('GET', '/b/k', {
      Host: 'h',
      'x-amz-date': TIMESTAMP,
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      Authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=host;x-amz-date, Signature=${'0'.repeat(64)}`,
    });
    expect(s3Error(() => authenticate(raw)).code).toBe('AuthorizationHeaderMalformed');
  });
});

describe('what a refusal says', () => {
  it('SignatureDoesNotMatch carries what the server computed, and no secret', () => {
    const wrong = { ...CREDENTIAL, secretAccessKey: 'another-secret' };
    const request = signRequest(ENDPOINT, wrong, { path: '/bucket/a%20key', timestamp: TIMESTAMP });
    const error = s3Error(() => authenticate(rawRequest('GET', request.path, request.headers)));
    expect([error.code, error.status]).toEqual(['SignatureDoesNotMatch', 403]);
    expect(Object.keys(error.details)).toEqual([
      'AWSAccessKeyId',
      'StringToSign',
      'SignatureProvided',
      'StringToSignBytes',
      'CanonicalRequest',
      'CanonicalRequestBytes',
    ]);
    expect(error.details['CanonicalRequest']).toContain('GET\n/bucket/a%20key\n\nhost:storage.example:9000\n');
    expect(error.details['StringToSignBytes']).toMatch(/^41 57 53 34 /);
    expect(JSON.stringify(error)).not.toContain(CREDENTIAL.secretAccessKey);
    expect(error.hint).toContain('secret access key');
  });

  it('an unknown access key is InvalidAccessKeyId, whatever its signature', () => {
    const request = signRequest(
      ENDPOINT,
      { accessKeyId: 'AKNOBODY', secretAccessKey: 'x' },
      { path: '/', timestamp: TIMESTAMP },
    );
    const error = s3Error(() => authenticate(rawRequest('GET', '/', request.headers)));
    expect([error.code, error.details['AWSAccessKeyId']]).toEqual(['InvalidAccessKeyId', 'AKNOBODY']);
  });

  it.each(['', '0', '0'.repeat(63), '0'.repeat(65), 'Z'.repeat(64), 'é'.repeat(64)])(
    'sec_signature_of_another_length: «%s» is refused without a crash',
    (signature) => {
      const raw = signed({ path: '/b/k' });
      const authorization = raw.headers.get('authorization')!.replace(/[0-9a-f]{64}$/, signature);
      const pairs = [...raw.headers].map(
        ([name, value]) => [name, name === 'authorization' ? authorization : value] as const,
      );
      expect(['SignatureDoesNotMatch', 'AuthorizationHeaderMalformed']).toContain(
        codeOf(() => rawRequest('GET', '/b/k', pairs)),
      );
    },
  );

  it.each([
    ['a Host without its port', { Host: 'storage.example' }, /Host header/],
    ['X-Forwarded-Host', { Host: '127.0.0.1:8080', 'X-Forwarded-Host': 'storage.example:9000' }, /Host header/],
  ])('the hint for the log recognises %s', (_name, headers, hint) => {
    const request = signRequest(ENDPOINT, CREDENTIAL, { path: '/b/k', timestamp: TIMESTAMP });
    const error = s3Error(() => authenticate(rawRequest('GET', '/b/k', { ...request.headers, ...headers })));
    expect(error.code).toBe('SignatureDoesNotMatch');
    expect(error.hint).toMatch(hint);
  });

  it('the hint for the log recognises a path normalised on the way', () => {
    const host = `${ENDPOINT.host}:${ENDPOINT.port}`;
    const request = signRequest(ENDPOINT, CREDENTIAL, {
      path: '/b/a/k',
      timestamp: TIMESTAMP,
      headers: { Host: host },
    });
    const error = s3Error(() => authenticate(rawRequest('GET', '/b/a//k', request.headers)));
    expect(error.code).toBe('SignatureDoesNotMatch');
    expect(error.hint).toMatch(/path/);
  });
});

describe('presigned parameters as headers', () => {
  it('signed x-amz-* parameters count as headers, those of checksums are ignored, the rest stays in the query', () => {
    const path =
      '/b/k?x-amz-acl=private&X-Amz-Meta-A=caf%C3%A9&x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32&x-id=PutObject&versionId=v';
    const { headers, query } = authenticate(presigned({ method: 'PUT', path }));
    expect(headers.get('x-amz-acl')).toBe('private');
    expect(Buffer.from(headers.get('x-amz-meta-a')!, 'latin1').toString()).toBe('café');
    expect(headers.has('x-amz-checksum-crc32')).toBe(false);
    expect(headers.has('x-amz-sdk-checksum-algorithm')).toBe(false);
    expect(headers.has('x-amz-signature')).toBe(false);
    expect([...query.keys()]).toEqual(['x-id', 'versionId']);
  });

  it('with an Authorization header they stay what they are: parameters', () => {
    const { headers, query } = authenticate(signed({ path: '/b/k?x-amz-acl=public-read' }));
    expect(headers.has('x-amz-acl')).toBe(false);
    expect(query.get('x-amz-acl')).toBe('public-read');
  });
});

describe('Signature Version 2', () => {
  const expires = NOW_MS / 1000 + 60;
  const signV2 = (text: string): string =>
    encodeURIComponent(createHmac('sha1', CREDENTIAL.secretAccessKey).update(text).digest('base64'));
  const url = (target: string, text: string): string =>
    `${target}${target.includes('?') ? '&' : '?'}AWSAccessKeyId=${CREDENTIAL.accessKeyId}&Expires=${expires}&Signature=${signV2(text)}`;

  it('is accepted in a presigned query, with subresources and x-amz-* parameters signed', () => {
    const plain = rawRequest('GET', url('/b/a%20key', `GET\n\n\n${expires}\n/b/a%20key`), { Host: 'h' });
    expect(authenticate(plain).signatureKind).toBe('presigned-v2');
    const text = `PUT\n\ntext/plain\n${expires}\nx-amz-acl:private\n/b/k?uploadId=u&partNumber=1`.replace(
      'uploadId=u&partNumber=1',
      'partNumber=1&uploadId=u',
    );
    const rich = rawRequest(
      'PUT',
      url('/b/k?uploadId=u&partNumber=1&x-amz-acl=private&content-type=text%2Fplain', text),
      {
        Host: 'h',
      },
    );
    const { headers, query } = authenticate(rich);
    expect(headers.get('x-amz-acl')).toBe('private');
    expect([...query.keys()]).toEqual(['uploadId', 'partNumber', 'content-type']);
  });

  it('signs the bucket of a virtual host', () => {
    const raw = rawRequest(
      'GET',
      url('/k', `GET\n\n\n${expires}\n/bucket/k`),
      { Host: 'bucket.s3.test' },
      { domains: ['s3.test'] },
    );
    expect(authenticate(raw).isSigned).toBe(true);
  });

  it('is refused when it has expired, when anything signed was changed, and when the option turns it off', () => {
    const target = url('/b/k', `GET\n\n\n${expires}\n/b/k`);
    const raw = rawRequest('GET', target, { Host: 'h' });
    expect(s3Error(() => authenticate(raw, NOW_MS + 60_001)).code).toBe('AccessDenied');
    expect(codeOf(() => rawRequest('PUT', target, { Host: 'h' }))).toBe('SignatureDoesNotMatch');
    expect(codeOf(() => rawRequest('GET', `${target}&versionId=x`, { Host: 'h' }))).toBe('SignatureDoesNotMatch');
    expect(codeOf(() => rawRequest('GET', target, { Host: 'h', 'x-amz-acl': 'public-read' }))).toBe(
      'SignatureDoesNotMatch',
    );
    expect(codeOf(() => rawRequest('GET', target.replace(CREDENTIAL.accessKeyId, 'AK'), { Host: 'h' }))).toBe(
      'InvalidAccessKeyId',
    );
    expect(codeOf(() => rawRequest('GET', `/b/k?AWSAccessKeyId=${CREDENTIAL.accessKeyId}`, { Host: 'h' }))).toBe(
      'AccessDenied',
    );
    expect(codeOf(() => rawRequest('GET', `${target}&Expires=${expires}`, { Host: 'h' }))).toBe('InvalidRequest');
    const off = authenticator({ allowSignatureV2: false });
    expect(s3Error(() => off.authenticate(raw, NOW_MS)).code).toBe('InvalidRequest');
  });
});

describe('less usual signatures', () => {
  const key = ['20130524', 'us-east-1', 's3', 'aws4_request'].reduce(
    (last, piece) => createHmac('sha256', last).update(piece).digest(),
    Buffer.from(`AWS4${CREDENTIAL.secretAccessKey}`),
  );
  const scope = '20130524/us-east-1/s3/aws4_request';
  const signatureOf = (canonical: string): string => {
    const hashed = createHash('sha256').update(canonical).digest('hex');
    return createHmac('sha256', key).update(`AWS4-HMAC-SHA256\n${TIMESTAMP}\n${scope}\n${hashed}`).digest('hex');
  };

  it('a request with a Date header and no x-amz-date is signed at that time', () => {
    const date = 'Fri, 24 May 2013 00:00:00 GMT';
    const signature = signatureOf(`GET\n/b/k\n\ndate:${date}\nhost:h\n\ndate;host\nUNSIGNED-PAYLOAD`);
    const headers = {
      Host: 'h',
      Date: date,
      'x-amz-content-sha256': 'UNSIGNED-PAYLOAD',
      Authorization: `AWS4-HMAC-SHA256 Credential=${CREDENTIAL.accessKeyId}/${scope},SignedHeaders=date;host,Signature=${signature}`,
    };
    expect(authenticate(rawRequest('GET', '/b/k', headers)).isSigned).toBe(true);
    const later = { ...headers, Date: 'Fri, 24 May 2013 00:00:01 GMT' };
    expect(codeOf(() => rawRequest('GET', '/b/k', later))).toBe('SignatureDoesNotMatch');
  });

  it('a payload hash signed in the query of a presigned request is expected of the body', () => {
    const sha256 = 'A'.repeat(64);
    const query = `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Content-Sha256=${sha256}&X-Amz-Credential=${CREDENTIAL.accessKeyId}%2F${encodeURIComponent(scope)}&X-Amz-Date=${TIMESTAMP}&X-Amz-Expires=60&X-Amz-SignedHeaders=host`;
    const signature = signatureOf(`PUT\n/b/k\n${query}\nhost:h\n\nhost\n${sha256}`);
    const target = `/b/k?${query}&X-Amz-Signature=${signature}`;
    expect(authenticate(rawRequest('PUT', target, { Host: 'h' })).payload).toEqual({
      kind: 'signed',
      sha256Hex: sha256.toLowerCase(),
    });
    const disagreeing = { Host: 'h', 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' };
    expect(codeOf(() => rawRequest('PUT', target, disagreeing))).toBe('InvalidRequest');
  });

  it('sec_lock_out: forged requests with a known access key do not hinder its holder', () => {
    const server = authenticator();
    const good = signed({ path: '/b/k' });
    const forged = signRequest(
      ENDPOINT,
      { ...CREDENTIAL, secretAccessKey: 'guess' },
      { path: '/b/k', timestamp: TIMESTAMP },
    );
    const raw = rawRequest('GET', '/b/k', forged.headers);
    for (let attempt = 0; attempt < 1000; attempt++) {
      expect(s3Error(() => server.authenticate(raw, NOW_MS)).code).toBe('SignatureDoesNotMatch');
    }
    expect(server.authenticate(good, NOW_MS).isSigned).toBe(true);
  });

  it('sec_unknown_key_same_work: an unknown access key is computed with as a known one is', () => {
    const asked: string[] = [];
    const server = authenticator({
      credentials: {
        find: (accessKeyId) => {
          asked.push(accessKeyId);
          return undefined;
        },
      },
    });
    const error = s3Error(() => server.authenticate(signed({ path: '/b/k' }), NOW_MS));
    expect([error.code, asked]).toEqual(['InvalidAccessKeyId', [CREDENTIAL.accessKeyId]]);
    // the stand-in secret signs nothing either
    const nobody = { accessKeyId: 'AK', secretAccessKey: 'no-such-credential-no-such-credential-no' };
    const request = signRequest(ENDPOINT, nobody, { path: '/b/k', timestamp: TIMESTAMP });
    expect(codeOf(() => rawRequest('GET', '/b/k', request.headers))).toBe('InvalidAccessKeyId');
  });
});

describe('temporary credentials', () => {
  const asked: (string | undefined)[] = [];
  const expiresAtMs = NOW_MS + 60_000;
  const temporary = authenticator({
    credentials: {
      find: (_id, token) => {
        asked.push(token);
        return token === 'right' ? { ...CREDENTIAL, expiresAtMs } : undefined;
      },
    },
  });

  it('are found by key and token, in the header, the presigned query and that of Signature Version 2', () => {
    asked.length = 0;
    const inHeader = signed({ path: '/b/k', headers: { 'X-Amz-Security-Token': 'right' } });
    const inQuery = presigned({ path: '/b/k?X-Amz-Security-Token=right' });
    expect([
      temporary.authenticate(inHeader, NOW_MS).isSigned,
      temporary.authenticate(inQuery, NOW_MS).isSigned,
    ]).toEqual([true, true]);
    expect(s3Error(() => temporary.authenticate(signed({ path: '/b/k' }), NOW_MS)).code).toBe('InvalidAccessKeyId');
    expect(asked).toEqual(['right', 'right', undefined]);
  });

  it('sec_presigned_outlives_token: a presigned URL ends with the token, whatever its X-Amz-Expires says', () => {
    const url = presigned({ path: '/b/k?X-Amz-Security-Token=right&X-Amz-Expires=604800' });
    expect(temporary.authenticate(url, expiresAtMs - 1).isSigned).toBe(true);
    expect(s3Error(() => temporary.authenticate(url, expiresAtMs)).code).toBe('ExpiredToken');
  });
});

describe('keys of credentials', () => {
  it('a changed secret is effective at once, whatever was cached for the old one', () => {
    let current = CREDENTIAL;
    const changing = authenticator({ credentials: { find: (id) => (CREDENTIALS.find(id) ? current : undefined) } });
    const raw = signed({ path: '/b/k' });
    expect(changing.authenticate(raw, NOW_MS).isSigned).toBe(true);
    current = { ...CREDENTIAL, secretAccessKey: 'rotated' };
    expect(s3Error(() => changing.authenticate(raw, NOW_MS)).code).toBe('SignatureDoesNotMatch');
  });

  it('a replay within 15 minutes is accepted, as by S3', () => {
    const raw = signed({ path: '/b/k' });
    expect(authenticate(raw).isSigned && authenticate(raw, NOW_MS + 60_000).isSigned).toBe(true);
  });

  it('timestamps are formatted as they are parsed', () => {
    expect(formatBasicTimestamp(NOW_MS)).toBe(TIMESTAMP);
  });
});
