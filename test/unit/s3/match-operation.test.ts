import { expect, test } from 'vitest';
import type { S3Error } from '../../../src/errors/s3-error.ts';
import { matchOperation } from '../../../src/s3/match-operation.ts';
import { OPERATION_INPUTS } from '../../../src/s3/model/operation-inputs.ts';
import { OPERATION_TABLE } from '../../../src/s3/operation-table.ts';

interface Shape {
  method: string;
  path: string;
  headers: string[];
}

function match({ method, path, headers }: Shape): string {
  const [pathname = '', search = ''] = path.split('?');
  const [, bucket = '', key = ''] = /^\/([^/]*)\/?(.*)$/.exec(pathname)!;
  const query = new Map(new URLSearchParams(search));
  return matchOperation({ method, bucket, key, query, headers: new Map(headers.map((name) => [name, 'x'])) }).name;
}

function refusal(shape: Shape): S3Error {
  try {
    return expect.fail(`matched ${match(shape)}`);
  } catch (error) {
    return error as S3Error;
  }
}

const PATHS = { service: '/', bucket: '/bucket', object: '/bucket/key', other: '/WriteGetObjectResponse' };

test.each(OPERATION_TABLE.map((row) => [row.name, row] as const))('%s is chosen by its own selectors', (_name, row) => {
  const path = `${PATHS[row.target]}?${row.selectors.join('&')}`;
  expect(match({ method: row.method, path, headers: [...row.selectingHeaders] })).toBe(row.sameRequestAs ?? row.name);
});

test.each([
  ['GET', '/', 'ListBuckets'],
  ['GET', '/?x-id=ListDirectoryBuckets', 'ListBuckets'],
  ['GET', '/bucket', 'ListObjects'],
  ['GET', '/bucket/', 'ListObjects'],
  ['GET', '/bucket?list-type=2&prefix=a', 'ListObjectsV2'],
  ['GET', '/bucket?analytics', 'ListBucketAnalyticsConfigurations'],
  ['GET', '/bucket?analytics&id=1', 'GetBucketAnalyticsConfiguration'],
  ['GET', '/bucket/key?partNumber=1', 'GetObject'],
  ['GET', '/bucket/key?uploadId=1', 'ListParts'],
  ['GET', '/bucket/key?acl&versionId=null', 'GetObjectAcl'],
  ['PUT', '/bucket/key?partNumber=1&uploadId=1', 'UploadPart'],
  ['POST', '/bucket?delete', 'DeleteObjects'],
  ['POST', '/bucket', 'PostObject'],
  ['OPTIONS', '/bucket/key', 'PreflightRequest'],
  ['PUT', '/bucket/key?x-id=PutObject&unknown=1', 'PutObject'],
])('%s %s is %s', (method, path, name) => expect(match({ method, path, headers: [] })).toBe(name));

test.each([
  ['PUT', '/bucket/key?uploadId=x', 'InvalidArgument'],
  ['PUT', '/bucket/key?partNumber=1', 'InvalidArgument'],
  ['PUT', '/bucket/key?uploads', 'MethodNotAllowed'],
  ['PUT', '/bucket/key?delete', 'InvalidArgument'],
  ['PUT', '/bucket/key?policy', 'InvalidArgument'],
  ['DELETE', '/bucket?versions', 'MethodNotAllowed'],
  ['DELETE', '/bucket/key?partNumber=1&uploadId=1', 'MethodNotAllowed'],
  ['DELETE', '/bucket?uploads', 'MethodNotAllowed'],
  ['GET', '/bucket/key?uploads', 'MethodNotAllowed'],
  ['GET', '/bucket/key?list-type=2', 'InvalidArgument'],
  ['GET', '/bucket?list-type=1', 'InvalidArgument'],
  ['GET', '/bucket?acl&policy', 'InvalidArgument'],
  ['GET', '/bucket?id=1', 'InvalidArgument'],
  ['GET', '/?acl', 'InvalidArgument'],
  ['HEAD', '/bucket/key?acl', 'MethodNotAllowed'],
  ['HEAD', '/bucket?delete', 'MethodNotAllowed'],
  ['PUT', '/bucket/key?versionId=x', 'InvalidArgument'],
  ['POST', '/', 'MethodNotAllowed'],
  ['POST', '/bucket/key', 'MethodNotAllowed'],
  ['PATCH', '/bucket/key', 'MethodNotAllowed'],
  ['DELETE', '/', 'MethodNotAllowed'],
])('%s %s is refused with %s', (method, path, code) => {
  const error = refusal({ method, path, headers: [] });
  expect(error.code).toBe(code);
  if (code === 'MethodNotAllowed') {
    expect(error.headers['allow']!.split(', ')).not.toContain(method);
    expect(error.details['Method']).toBe(method);
  }
});

test('every selector on a request whose winner does not use it is refused, whatever the method and target', () => {
  const names = new Set(
    OPERATION_TABLE.flatMap(({ selectors }) => selectors.map((selector) => selector.split('=')[0]!)),
  );
  for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'DELETE']) {
    for (const path of ['/', '/bucket', '/bucket/key']) {
      for (const name of names) {
        let winner: string;
        try {
          winner = match({ method, path: `${path}?${name}=x`, headers: [] });
        } catch {
          continue;
        }
        const row = OPERATION_TABLE.find((candidate) => candidate.name === winner)!;
        const used = [
          ...row.selectors.map((selector) => selector.split('=')[0]!),
          ...(OPERATION_INPUTS[winner]?.query ?? []),
        ];
        expect(used, `${method} ${path}?${name}`).toContain(name);
      }
    }
  }
});

test.each([
  ['PUT', '/bucket', 'x-amz-copy-source'],
  ['PUT', '/bucket/key', 'x-amz-rename-source'],
  ['POST', '/bucket/key?uploads', 'x-amz-copy-source'],
  ['GET', '/bucket/key', 'x-amz-copy-source'],
])('%s %s with the selecting header %s of another operation is refused', (method, path, header) => {
  expect(refusal({ method, path, headers: [header] }).code).toBe('InvalidRequest');
});

test('a copy source makes PutObject a CopyObject and UploadPart an UploadPartCopy', () => {
  const headers = ['x-amz-copy-source'];
  expect(match({ method: 'PUT', path: '/bucket/key', headers })).toBe('CopyObject');
  expect(match({ method: 'PUT', path: '/bucket/key?partNumber=1&uploadId=1', headers })).toBe('UploadPartCopy');
});
