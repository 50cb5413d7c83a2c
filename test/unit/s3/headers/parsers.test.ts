import { expect, test } from 'vitest';
import { parseCopySource } from '../../../../src/s3/headers/copy-source.ts';
import { etagListMatches, parseEtagList, unquoteEtag } from '../../../../src/s3/headers/etag-list.ts';
import { formatHttpDate, formatIsoDate, parseHttpDate } from '../../../../src/s3/headers/http-date.ts';
import { readObjectHeaders, readResponseOverrides } from '../../../../src/s3/headers/object-headers.ts';
import { contentRange, parseCopySourceRange, resolveRange } from '../../../../src/s3/headers/range.ts';
import { parseTaggingHeader } from '../../../../src/s3/headers/tagging-header.ts';
import { addUserMetadata, readUserMetadata } from '../../../../src/s3/headers/user-metadata.ts';

const throwing = (code: string): unknown => expect.objectContaining({ code });

test.each([
  'Sun, 06 Nov 1994 08:49:37 GMT',
  'Sun, 06 Nov 1994 08:49:37 -0000',
  'Sunday, 06-Nov-94 08:49:37 GMT',
  'Sun Nov  6 08:49:37 1994',
  '1994-11-06T08:49:37Z',
  '1994-11-06T08:49:37.000Z',
])('%s is read as a date', (value) => expect(parseHttpDate(value)).toBe(Date.UTC(1994, 10, 6, 8, 49, 37)));

test.each([
  '',
  '0',
  'now',
  '784111777',
  'Sun, 31 Feb 1994 08:49:37 GMT',
  'Sun, 06 Nov 1994 25:49:37 GMT',
  'Sun, 06 Nov 1994 08:49:37 CET',
  '1994-13-06T08:49:37Z',
])('%j is no date', (value) => expect(parseHttpDate(value)).toBeUndefined());

test('dates are written in whole seconds', () => {
  expect(formatHttpDate(Date.UTC(1994, 10, 6, 8, 49, 37, 999))).toBe('Sun, 06 Nov 1994 08:49:37 GMT');
  expect(formatIsoDate(Date.UTC(1994, 10, 6, 8, 49, 37, 999))).toBe('1994-11-06T08:49:37.000Z');
});

test.each([
  ['bytes=0-4', 0, 5],
  ['bytes=5-', 5, 5],
  ['bytes=-3', 7, 3],
  ['bytes=-30', 0, 10],
  ['bytes=2-99', 2, 8],
  ['bytes=9-9', 9, 1],
  ['bytes=0-99999999999999999999', 0, 10],
])('%s of ten bytes begins at %i and has %i', (value, start, length) => {
  expect(resolveRange(value, 10)).toEqual({ start, length });
});

test.each([
  undefined,
  'bytes=',
  'bytes=-',
  'bytes=a-b',
  'bytes=5-2',
  'bytes=0-1,3-4',
  'items=0-1',
  'bytes 0-1',
  'bytes=0x1-2',
  ' ',
])('the range %j is ignored', (value) => expect(resolveRange(value, 10)).toBeUndefined());

test.each([
  ['bytes=10-', 10],
  ['bytes=10-11', 10],
  ['bytes=-0', 10],
  ['bytes=0-', 0],
  ['bytes=-1', 0],
])('%s of %i bytes cannot be satisfied', (value, size) => {
  expect(() => resolveRange(value, size)).toThrow(
    expect.objectContaining({ code: 'InvalidRange', headers: { 'content-range': `bytes */${size}` } }),
  );
});

test('Content-Range names first, last and size', () => {
  expect(contentRange({ start: 2, length: 3 }, 10)).toBe('bytes 2-4/10');
});

test('x-amz-copy-source-range needs both ends within the source', () => {
  expect(parseCopySourceRange('bytes=0-9', 10)).toEqual({ start: 0, length: 10 });
  for (const value of ['bytes=0-', 'bytes=-5', 'bytes=5-2', 'bytes=0-10', '0-4', 'bytes=0-1,2-3']) {
    expect(() => parseCopySourceRange(value, 10)).toThrow(throwing('InvalidArgument'));
  }
});

test.each([
  ['/bucket/key', 'bucket', 'key', undefined],
  ['bucket/a/b', 'bucket', 'a/b', undefined],
  ['bucket%2Fa%20b%2Bc', 'bucket', 'a b+c', undefined],
  ['bucket/a+b', 'bucket', 'a b', undefined],
  ['bucket/%E2%82%AC', 'bucket', '€', undefined],
  ['bucket//a', 'bucket', '/a', undefined],
  ['bucket/../other/key', 'bucket', '../other/key', undefined],
  ['bucket/%252F', 'bucket', '%2F', undefined],
  ['bucket/a?versionId=null', 'bucket', 'a', 'null'],
  ['bucket/a%3FversionId=x?versionId=y', 'bucket', 'a?versionId=x', 'y'],
])('the copy source %s names %s, %s, %s', (value, bucket, key, versionId) => {
  expect(parseCopySource(value)).toEqual({ bucket, key, versionId });
});

test.each(['', '/', 'bucket', '/bucket', 'bucket/', '//key', '%', 'bucket/%zz', 'bucket/%ff', 'bucket/a?versionId='])(
  'the copy source %j is refused',
  (value) => expect(() => parseCopySource(value)).toThrow(throwing('InvalidArgument')),
);

test('a copy source with a key of more than 1,024 bytes is refused', () => {
  expect(() => parseCopySource(`bucket/${'é'.repeat(513)}`)).toThrow(throwing('KeyTooLongError'));
});

test('ETags are read with and without quotes', () => {
  expect(parseEtagList(' "a,b" , c,W/"d",, *')).toEqual(['a,b', 'c', 'd', '*']);
  expect(etagListMatches(['x', '*'], 'a')).toBe(true);
  expect(etagListMatches(['x'], 'a')).toBe(false);
  expect([unquoteEtag('"a"'), unquoteEtag(' a '), unquoteEtag('"')]).toEqual(['a', 'a', '"']);
});

test('stored headers: aws-chunked is not, Content-Type always', () => {
  const headers = new Map([
    ['content-encoding', 'aws-chunked, gzip'],
    ['cache-control', 'no-cache'],
    ['x-other', 'y'],
  ]);
  expect(readObjectHeaders(headers)).toEqual({
    'content-encoding': 'gzip',
    'cache-control': 'no-cache',
    'content-type': 'binary/octet-stream',
  });
  expect(readObjectHeaders(new Map([['content-encoding', 'aws-chunked']]))).toEqual({
    'content-type': 'binary/octet-stream',
  });
});

test('response overrides that could end a header are refused', () => {
  expect(readResponseOverrides(new Map([['response-content-type', 'text/plain']]))).toEqual({
    'content-type': 'text/plain',
  });
  expect(readResponseOverrides(new Map([['prefix', 'x']]))).toBeUndefined();
  for (const value of ['a\r\nSet-Cookie: x', 'a\0', '€']) {
    expect(() => readResponseOverrides(new Map([['response-content-disposition', value]]))).toThrow(
      throwing('InvalidArgument'),
    );
  }
});

test('user metadata keeps UTF-8, names like __proto__ and RFC 2047 words as they came', () => {
  const utf8AsSent = Buffer.from('héllo €').toString('latin1');
  const metadata = readUserMetadata(
    new Map([
      ['x-amz-meta-a', utf8AsSent],
      ['x-amz-meta-__proto__', 'p'],
      ['x-amz-meta-word', '=?UTF-8?B?w6k=?='],
      ['x-amz-meta-latin1', 'caf\u00e9'],
      ['x-amz-other', 'y'],
    ]),
  );
  expect(Object.entries(metadata)).toEqual([
    ['a', 'héllo €'],
    ['__proto__', 'p'],
    ['word', '=?UTF-8?B?w6k=?='],
    ['latin1', 'café'],
  ]);
  const answer: Record<string, string | number> = {};
  addUserMetadata(answer, metadata);
  expect(answer['x-amz-meta-a']).toBe(`=?UTF-8?B?${Buffer.from('héllo €').toString('base64')}?=`);
  expect(answer['x-amz-meta-word']).toBe('=?UTF-8?B?w6k=?=');
});

test('a metadata value that could end a header leaves encoded', () => {
  const answer: Record<string, string | number> = {};
  addUserMetadata(answer, { a: 'x\r\nSet-Cookie: y' });
  expect(answer['x-amz-meta-a']).toMatch(/^=\?UTF-8\?B\?[A-Za-z0-9+/=]+\?=$/);
});

test('user metadata of 2,048 bytes passes, one more is MetadataTooLarge', () => {
  const of = (length: number): Map<string, string> => new Map([['x-amz-meta-ab', 'x'.repeat(length)]]);
  expect(readUserMetadata(of(2046))['ab']).toHaveLength(2046);
  expect(() => readUserMetadata(of(2047))).toThrow(throwing('MetadataTooLarge'));
});

test('tags are read in order, decoded, and refused beyond the limits', () => {
  expect(parseTaggingHeader('a=b&c%20d=e+f&g')).toEqual([
    { key: 'a', value: 'b' },
    { key: 'c d', value: 'e f' },
    { key: 'g', value: '' },
  ]);
  expect(parseTaggingHeader('')).toEqual([]);
  expect(() => parseTaggingHeader('a=b&a=c')).toThrow(throwing('InvalidArgument'));
  expect(() => parseTaggingHeader('a=%zz')).toThrow(throwing('InvalidArgument'));
  expect(() => parseTaggingHeader('=b')).toThrow(throwing('InvalidTag'));
  expect(() => parseTaggingHeader(`${'k'.repeat(129)}=v`)).toThrow(throwing('InvalidTag'));
  expect(() => parseTaggingHeader(`k=${'v'.repeat(257)}`)).toThrow(throwing('InvalidTag'));
  expect(() => parseTaggingHeader('aws:k=v')).toThrow(throwing('InvalidTag'));
  expect(() => parseTaggingHeader('k=%3Cscript%3E')).toThrow(throwing('InvalidTag'));
  expect(() => parseTaggingHeader(Array.from({ length: 11 }, (_, index) => `k${index}=v`).join('&'))).toThrow(
    throwing('BadRequest'),
  );
});
