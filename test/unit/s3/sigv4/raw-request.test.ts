import { describe, expect, it } from 'vitest';
import { rawRequest, s3Error } from './fixtures.ts';

function parsed(target: string, host = 'h', domains: readonly string[] = []) {
  const { bucket, key, canonicalPath } = rawRequest('GET', target, { Host: host }, { domains });
  return [bucket, key, canonicalPath];
}

describe('parseRawRequest', () => {
  it.each([
    ['/', '', '', '/'],
    ['/bucket', 'bucket', '', '/bucket'],
    ['/bucket/', 'bucket', '', '/bucket/'],
    ['/bucket/key', 'bucket', 'key', '/bucket/key'],
    ['/bucket//key', 'bucket', '/key', '/bucket//key'],
    ['/bucket/a//b/', 'bucket', 'a//b/', '/bucket/a//b/'],
    ['/bucket/../other/k', 'bucket', '../other/k', '/bucket/../other/k'],
    ['/bucket/%2e%2e/other', 'bucket', '../other', '/bucket/../other'],
    ['/bucket/./k', 'bucket', './k', '/bucket/./k'],
    ['/bucket/a%2Fb', 'bucket', 'a/b', '/bucket/a/b'],
    ['/bucket/a%2fb', 'bucket', 'a/b', '/bucket/a/b'],
    ['/bucket/a%252Fb', 'bucket', 'a%2Fb', '/bucket/a%252Fb'],
    ['/bucket/a+b', 'bucket', 'a+b', '/bucket/a%2Bb'],
    ['/bucket/a%20b', 'bucket', 'a b', '/bucket/a%20b'],
    ['/bucket/a%00b', 'bucket', 'a\0b', '/bucket/a%00b'],
    ['/bucket/~tilde', 'bucket', '~tilde', '/bucket/~tilde'],
    ['/bucket/%7Etilde', 'bucket', '~tilde', '/bucket/~tilde'],
    ['/bucket/caf%C3%A9', 'bucket', 'café', '/bucket/caf%C3%A9'],
    ['/bucket/caf\u00c3\u00a9', 'bucket', 'café', '/bucket/caf%C3%A9'],
    ['/bucket/%EF%BB%BFbom', 'bucket', '\ufeffbom', '/bucket/%EF%BB%BFbom'],
    ['/bucket/\\..\\x', 'bucket', '\\..\\x', '/bucket/%5C..%5Cx'],
    ['/__proto__/constructor', '__proto__', 'constructor', '/__proto__/constructor'],
  ])('splits %s once', (target, bucket, key, canonical) => {
    expect(parsed(target)).toEqual([bucket, key, canonical]);
  });

  it.each([
    '//bucket/key',
    '/b/%',
    '/b/%2',
    '/b/%zz',
    '/b/%FF',
    '/b/%C3',
    '/b/%ED%A0%80',
    '/b/k#fragment',
    '*',
    'b/k',
    '/b?%',
    '/b?a=%FF',
  ])('refuses %s as InvalidURI', (target) => {
    expect(s3Error(() => parsed(target)).code).toBe('InvalidURI');
  });

  it('refuses a bucket with an encoded slash: it would name two things', () => {
    expect(s3Error(() => parsed('/bucket%2Fkey')).code).toBe('InvalidBucketName');
  });

  it('takes keys of 1,024 bytes and refuses longer ones', () => {
    expect(parsed(`/b/${'%C3%A9'.repeat(512)}`)[1]).toBe('é'.repeat(512));
    const error = s3Error(() => parsed(`/b/${'%C3%A9'.repeat(512)}a`));
    expect([error.code, error.details]).toEqual(['KeyTooLongError', { Size: 1025, MaxSizeAllowed: 1024 }]);
  });

  it('takes the absolute form only for its own host', () => {
    expect(parsed('http://h/bucket/../k', 'h')).toEqual(['bucket', '../k', '/bucket/../k']);
    expect(parsed('HTTP://H', 'h')).toEqual(['', '', '/']);
    expect(parsed('http://h?list-type=2', 'h')).toEqual(['', '', '/']);
    for (const target of ['http://evil/bucket/k', 'http://h@evil/b', 'http://h:80/b', 'ftp://h/b']) {
      expect(s3Error(() => parsed(target, 'h')).code).toBe('InvalidURI');
    }
  });

  it('takes the bucket from a virtual host below a configured domain, and only from there', () => {
    const domains = ['s3.test'];
    expect(parsed('/a%20key', 'bucket.s3.test:9000', domains)).toEqual(['bucket', 'a key', '/a%20key']);
    expect(parsed('/k', 'My.Bucket.S3.TEST', domains)).toEqual(['my.bucket', 'k', '/k']);
    expect(parsed('/bucket/k', 's3.test', domains)).toEqual(['bucket', 'k', '/bucket/k']);
    expect(parsed('/bucket/k', 'evils3.test', domains)).toEqual(['bucket', 'k', '/bucket/k']);
    expect(parsed('/bucket/k', '.s3.test', domains)).toEqual(['bucket', 'k', '/bucket/k']);
    expect(parsed('//k', 'b.s3.test', domains)).toEqual(['b', '/k', '//k']);
  });

  it('decodes the query once, "+" as a space, and keeps the first of repeated names', () => {
    const raw = rawRequest('GET', '/b?prefix=a+b%2Bc&uploads&x=%2525&prefix=second&&=v', { Host: 'h' });
    expect([...raw.query]).toEqual([
      ['prefix', 'a b+c'],
      ['uploads', ''],
      ['x', '%25'],
      ['', 'v'],
    ]);
  });
});
