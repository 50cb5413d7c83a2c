import { expect, test } from 'vitest';
import type { S3Error } from '../../../../src/errors/s3-error.ts';
import {
  checkCopySourceConditions,
  checkReadConditions,
  readWriteConditions,
} from '../../../../src/s3/headers/conditions.ts';

const MODIFIED = Date.UTC(2026, 0, 2, 3, 4, 5, 999);
const TARGET = { etag: 'abc', lastModifiedMs: MODIFIED };
const BEFORE = 'Fri, 02 Jan 2026 03:04:04 GMT';
const AT = 'Fri, 02 Jan 2026 03:04:05 GMT';
const AFTER = 'Fri, 02 Jan 2026 03:04:06 GMT';

function outcome(headers: Record<string, string>, check = checkReadConditions): string {
  try {
    check(new Map(Object.entries(headers)), TARGET);
    return 'ok';
  } catch (error) {
    return (error as S3Error).code;
  }
}

test.each([
  [{}, 'ok'],
  [{ 'if-match': '"abc"' }, 'ok'],
  [{ 'if-match': 'abc' }, 'ok'],
  [{ 'if-match': 'W/"abc"' }, 'ok'],
  [{ 'if-match': '*' }, 'ok'],
  [{ 'if-match': '"x", "abc"' }, 'ok'],
  [{ 'if-match': '"x"' }, 'PreconditionFailed'],
  [{ 'if-none-match': '"abc"' }, 'NotModified'],
  [{ 'if-none-match': '*' }, 'NotModified'],
  [{ 'if-none-match': '"x"' }, 'ok'],
  [{ 'if-modified-since': BEFORE }, 'ok'],
  [{ 'if-modified-since': AT }, 'NotModified'],
  [{ 'if-modified-since': AFTER }, 'NotModified'],
  [{ 'if-modified-since': 'yesterday' }, 'ok'],
  [{ 'if-unmodified-since': BEFORE }, 'PreconditionFailed'],
  [{ 'if-unmodified-since': AT }, 'ok'],
  [{ 'if-unmodified-since': 'yesterday' }, 'ok'],
  [{ 'if-match': '"abc"', 'if-unmodified-since': BEFORE }, 'ok'],
  [{ 'if-none-match': '"x"', 'if-modified-since': AFTER }, 'ok'],
  [{ 'if-match': '"x"', 'if-none-match': '"abc"' }, 'PreconditionFailed'],
])('a read with %j is %s', (headers, expected) => {
  expect(outcome(headers as Record<string, string>)).toBe(expected);
});

test('a 304 carries ETag, Last-Modified and what it is given', () => {
  try {
    checkReadConditions(new Map([['if-none-match', '*']]), TARGET, { 'cache-control': 'no-store' });
    expect.fail('passed');
  } catch (error) {
    expect((error as S3Error).headers).toEqual({ 'cache-control': 'no-store', etag: '"abc"', 'last-modified': AT });
  }
});

test.each([
  [{ 'x-amz-copy-source-if-none-match': '"abc"' }, 'PreconditionFailed'],
  [{ 'x-amz-copy-source-if-modified-since': AFTER }, 'PreconditionFailed'],
  [{ 'x-amz-copy-source-if-match': '"x"' }, 'PreconditionFailed'],
  [{ 'x-amz-copy-source-if-match': '"abc"', 'x-amz-copy-source-if-unmodified-since': BEFORE }, 'ok'],
  [{ 'if-none-match': '"abc"' }, 'ok'],
])('a copy with %j is %s', (headers, expected) => {
  expect(outcome(headers as Record<string, string>, checkCopySourceConditions)).toBe(expected);
});

test('conditions of a write are read, or refused, never dropped', () => {
  const read = (headers: Record<string, string>): unknown => readWriteConditions(new Map(Object.entries(headers)));
  expect(read({})).toBeUndefined();
  expect(read({ 'if-match': '"a", b', 'if-none-match': '*' })).toEqual({ ifMatch: ['a', 'b'], ifNoneMatch: ['*'] });
  expect(read({ 'x-amz-if-match-last-modified-time': AT, 'x-amz-if-match-size': '7' })).toEqual({
    ifMatchLastModifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    ifMatchSizeBytes: 7,
  });
  for (const headers of [
    { 'if-match': '' },
    { 'if-none-match': ' , ' },
    { 'x-amz-if-match-size': '-1' },
    { 'x-amz-if-match-last-modified-time': 'x' },
  ]) {
    expect(() => read(headers as Record<string, string>)).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
  }
});
