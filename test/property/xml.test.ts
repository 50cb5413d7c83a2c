import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { S3Error } from '../../src/errors/s3-error.ts';
import { encodeKeyForUrl, xmlDocument, xmlGroup, xmlText } from '../../src/s3/xml/write-xml.ts';
import { readXml } from '../../src/s3/xml/read-xml.ts';
import { list, structure, text } from '../../src/s3/xml/xml-schema.ts';

const LISTING = structure({ Name: text, Contents: list(structure({ Key: text, Tag: list(text) })), Marker: text });

/** What XML 1.0 can hold; control characters are written as references that no strict parser takes. */
const xmlString = fc
  .string({ unit: 'binary', maxLength: 40 })
  // eslint-disable-next-line no-control-regex -- as above
  .filter((value) => !/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(value));

test('what is written is read back exactly', () => {
  fc.assert(
    fc.property(
      xmlString,
      fc.array(fc.record({ key: xmlString, tags: fc.array(xmlString, { maxLength: 3 }) }), { maxLength: 5 }),
      (name, contents) => {
        const document = xmlDocument(
          'List',
          xmlText('Name', name) +
            contents
              .map(({ key, tags }) =>
                xmlGroup('Contents', xmlText('Key', key) + tags.map((tag) => xmlText('Tag', tag)).join('')),
              )
              .join(''),
        );
        const read = readXml(Buffer.from(document), LISTING, { root: 'List' });
        expect(read.Name).toBe(name);
        expect(read.Marker).toBeUndefined();
        expect(read.Contents.map(({ Key, Tag }) => ({ key: Key, tags: Tag }))).toEqual(contents);
      },
    ),
    { numRuns: 500 },
  );
});

test('encoding-type=url gives every key back, whether a plus is a space or not', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (key) => {
      const encoded = encodeKeyForUrl(key);
      expect(decodeURIComponent(encoded)).toBe(key);
      expect(decodeURIComponent(encoded.replaceAll('+', ' '))).toBe(key);
      expect(encoded).toMatch(/^[\x21-\x7e]*$/);
      expect(encoded).not.toMatch(/[&<>"]/);
    }),
    { numRuns: 500 },
  );
});

test('any bytes are read or refused with an S3Error, never anything else', () => {
  const pieces = [
    '<List>',
    '</List>',
    '<Name>',
    '</Name>',
    '<Contents>',
    '<Key>',
    '&amp;',
    '&#1;',
    '<!--',
    ']]>',
    '<?',
    '<!DOCTYPE',
    ' a="b"',
    'x',
  ];
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
        fc.array(fc.constantFrom(...pieces), { maxLength: 20 }).map((parts) => Buffer.from(parts.join(''))),
      ),
      (bytes) => {
        try {
          readXml(bytes, LISTING, { root: 'List' });
        } catch (error) {
          expect(error).toBeInstanceOf(S3Error);
        }
      },
    ),
    { numRuns: 2_000 },
  );
});
