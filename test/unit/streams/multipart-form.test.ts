import { describe, expect, it } from 'vitest';
import { formBoundary, MultipartForm, type FormHead } from '../../../src/streams/multipart-form.ts';
import { codeOf } from '../../support/service-fixture.ts';

const BOUNDARY = '----WebKitFormBoundary7MA4YWxk';

async function* pieces(bytes: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let start = 0; start < bytes.length; start += pieceBytes) {
    await Promise.resolve();
    yield bytes.subarray(start, start + pieceBytes);
  }
}

function part(disposition: string, content: string): string {
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n${content}\r\n`;
}

const END = `--${BOUNDARY}--\r\n`;

async function read(body: string | Buffer, pieceBytes = 1000): Promise<FormHead & { file: string }> {
  const form = new MultipartForm(pieces(Buffer.from(body), pieceBytes), BOUNDARY);
  const head = await form.readHead();
  const file: Buffer[] = [];
  for await (const piece of form.file()) file.push(Buffer.from(piece));
  return { ...head, file: Buffer.concat(file).toString() };
}

describe('a form', () => {
  const content = `line\r\n--${BOUNDARY.slice(0, -1)}\r\n-\r\r\n--\r\n`;
  const body =
    part('name="key"', 'a/b') + part('name="é"', 'ü\r\nv') + part('name="file"; filename="x.txt"', content) + END;

  it.each([1, 2, 3, 7, 50, 10_000])('is the same in pieces of %i bytes', async (pieceBytes) => {
    expect(await read(body, pieceBytes)).toEqual({
      fields: [
        { name: 'key', value: 'a/b' },
        { name: 'é', value: 'ü\r\nv' },
      ],
      fileName: 'x.txt',
      file: content,
    });
  });

  it('has its file in the part of that name, whatever others say of themselves', async () => {
    const { fields, file } = await read(part('name="key"; filename="key"', 'k') + part('name="File"', 'f') + END);
    expect([fields, file]).toEqual([[{ name: 'key', value: 'k' }], 'f']);
  });

  it.each([
    ['name="file"; filename="a\\"b"', 'a"b'],
    ['name="file"; filename="C:\\dir\\x"', 'C:\\dir\\x'],
    ['name=file; filename=plain.txt', 'plain.txt'],
    ['name="file"; filename*=UTF-8\'\'%C3%BC.txt', 'ü.txt'],
    ['name="file"', ''],
  ])('reads the name of a file: %s', async (disposition, fileName) => {
    expect((await read(part(disposition, '') + END)).fileName).toBe(fileName);
  });

  it('may be followed by fields, which are not used, and an epilogue', async () => {
    const { fields, file } = await read(part('name="file"', 'f') + part('name="acl"', 'public-read') + END + 'bye');
    expect([fields, file]).toEqual([[], 'f']);
  });

  it.each([
    ['a second file', part('name="file"', 'f') + part('name="file"', 'g') + END, 'InvalidArgument'],
    ['no file', part('name="key"', 'k') + END, 'InvalidArgument'],
    ['no end', part('name="file"', 'f'), 'MalformedPOSTRequest'],
    ['an end within the file', part('name="file"', 'f').slice(0, -2), 'MalformedPOSTRequest'],
    ['nothing', '', 'MalformedPOSTRequest'],
    ['another boundary', part('name="file"', 'f').replaceAll(BOUNDARY, 'x'), 'MalformedPOSTRequest'],
    ['a part without a name', part('filename="x"', 'f') + END, 'MalformedPOSTRequest'],
    ['two names', part('name="a"; name="file"', 'f') + END, 'MalformedPOSTRequest'],
    ['no disposition', `--${BOUNDARY}\r\nContent-Type: a/b\r\n\r\nx\r\n${END}`, 'MalformedPOSTRequest'],
    ['an encoded part', part('name="file"\r\nContent-Transfer-Encoding: base64', 'Zg==') + END, 'MalformedPOSTRequest'],
    [
      'something after a boundary',
      `--${BOUNDARY}x\r\nContent-Disposition: form-data; name=file\r\n\r\n`,
      'MalformedPOSTRequest',
    ],
    [
      'a long field',
      part('name="x"', 'x'.repeat(20_480)) + part('name="file"', 'f') + END,
      'MaxPostPreDataLengthExceeded',
    ],
    ['many fields', part('name="x"', '').repeat(300) + part('name="file"', 'f') + END, 'MaxPostPreDataLengthExceeded'],
    ['a long preamble', 'x'.repeat(30_000), 'MaxPostPreDataLengthExceeded'],
    ['a long head', part(`name="${'x'.repeat(5000)}"`, '') + END, 'MaxPostPreDataLengthExceeded'],
    [
      'much after the file',
      part('name="file"', 'f') + part('name="x"', 'x'.repeat(30_000)) + END,
      'MaxPostPreDataLengthExceeded',
    ],
  ])('is refused with %s', async (_, text, code) => {
    expect(await codeOf(read(text))).toBe(code);
  });

  it('is refused when a field is not UTF-8', async () => {
    expect(await codeOf(read(Buffer.from(part('name="x"', '\xff') + END, 'latin1')))).toBe('MalformedPOSTRequest');
  });
});

it.each([
  ['multipart/form-data; boundary=abc', 'abc'],
  ['Multipart/Form-Data; charset=utf-8; boundary="a b"', 'a b'],
  ['multipart/form-data', undefined],
  ['multipart/form-data; boundary=', undefined],
  [`multipart/form-data; boundary=${'x'.repeat(71)}`, undefined],
  ['application/x-www-form-urlencoded', undefined],
  [undefined, undefined],
])('the boundary of %s is %s', (contentType, boundary) => {
  expect(formBoundary(contentType)).toBe(boundary);
});
