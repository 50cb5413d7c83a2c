import { expect, test } from 'vitest';
import { xmlDocument, xmlDocumentBytes, XmlPieces, xmlText } from '../../../../src/s3/xml/write-xml.ts';

test.each([
  ['ASCII', 'key'],
  ['characters of three bytes', '€uro'],
  ['characters of four bytes', '\u{1f600}'],
  ['half a surrogate pair', '\ud83d'],
])('a document in pieces has the bytes of the same document as one string: %s', (_, key) => {
  for (const count of [0, 1, 49, 50, 51, 1000]) {
    const keys = Array.from({ length: count }, (_each, i) => xmlText('Key', `${key}${i}`));
    const pieces = new XmlPieces();
    for (const element of keys) pieces.add(element);
    const bytes = xmlDocumentBytes('List', [xmlText('Count', count), ...pieces.end()]);
    expect(bytes.toString()).toBe(Buffer.from(xmlDocument('List', xmlText('Count', count) + keys.join(''))).toString());
  }
});
