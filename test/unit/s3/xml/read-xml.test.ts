import { expect, test } from 'vitest';
import type { S3Error } from '../../../../src/errors/s3-error.ts';
import { readXml } from '../../../../src/s3/xml/read-xml.ts';
import { list, structure, text } from '../../../../src/s3/xml/xml-schema.ts';

const DELETE = structure({ Object: list(structure({ Key: text, VersionId: text })), Quiet: text });
const NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

function read(document: string | Buffer): ReturnType<typeof readXml<typeof DELETE>> {
  const bytes = typeof document === 'string' ? Buffer.from(document) : document;
  return readXml(bytes, DELETE, { root: 'Delete', known: new Set(['Object', 'Object/Key', 'Object/ETag', 'Quiet']) });
}

function codeOf(document: string | Buffer): string {
  try {
    return `read: ${JSON.stringify(read(document))}`;
  } catch (error) {
    return (error as S3Error).code;
  }
}

const OBJECT = '<Object><Key>a</Key></Object>';

test.each([
  `<Delete>${OBJECT}</Delete>`,
  `<Delete ${NAMESPACE}>${OBJECT}</Delete>`,
  `<?xml version="1.0" encoding="UTF-8"?>\n<Delete>\n  ${OBJECT}\n</Delete>\n`,
  `\ufeff<Delete>${OBJECT}</Delete>`,
  `<s3:Delete xmlns:s3="http://s3.amazonaws.com/doc/2006-03-01/"><s3:Object><s3:Key>a</s3:Key></s3:Object></s3:Delete>`,
  `<Delete><!-- a comment -->${OBJECT}</Delete>`,
  '<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>',
  '<Delete><Object><Key>&#97;</Key></Object></Delete>',
])('reads %j', (document) => {
  expect(read(document)).toEqual({ Object: [{ Key: 'a' }] });
});

test('entities, references and white space of a text arrive exactly', () => {
  const document = '<Delete><Object><Key> &lt;&amp;&gt;&quot;&apos;&#13;&#x1F600;\n </Key></Object></Delete>';
  expect(read(document).Object[0]?.Key).toBe(' <&>"\'\r\u{1f600}\n ');
});

test('results have no prototype', () => {
  const result = read(`<Delete>${OBJECT}</Delete>`);
  expect(Object.getPrototypeOf(result)).toBeNull();
  expect(Object.getPrototypeOf(result.Object[0])).toBeNull();
});

test.each([
  ['a DOCTYPE', `<!DOCTYPE Delete><Delete>${OBJECT}</Delete>`],
  ['a DOCTYPE with entities', `<!DOCTYPE d [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>`],
  ['an external entity', '<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete/>'],
  [
    'a billion laughs',
    '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;"><!ENTITY c "&b;&b;">]><Delete><Object><Key>&c;</Key></Object></Delete>',
  ],
  ['an unknown entity', '<Delete><Object><Key>&nbsp;</Key></Object></Delete>'],
  ['a processing instruction', `<Delete><?php x ?>${OBJECT}</Delete>`],
  ['a style sheet', `<?xml-stylesheet href="x"?><Delete>${OBJECT}</Delete>`],
  ['another encoding', `<?xml version="1.0" encoding="ISO-8859-1"?><Delete>${OBJECT}</Delete>`],
  ['invalid UTF-8', Buffer.from([0x3c, 0x44, 0xff, 0x3e])],
  ['UTF-16', Buffer.from(`<Delete>${OBJECT}</Delete>`, 'utf16le')],
  ['a raw control character', '<Delete><Object><Key>\u0001</Key></Object></Delete>'],
  ['a reference to NUL', '<Delete><Object><Key>&#0;</Key></Object></Delete>'],
  ['another document element', `<Other>${OBJECT}</Other>`],
  ['a foreign namespace', `<Delete xmlns="http://example.com/">${OBJECT}</Delete>`],
  ['a foreign namespace within', '<Delete><Object xmlns="http://example.com/"><Key>a</Key></Object></Delete>'],
  ['an undeclared prefix', '<Delete><x:Object/></Delete>'],
  ['an element twice', '<Delete><Quiet>true</Quiet><Quiet>true</Quiet></Delete>'],
  ['a key twice', '<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>'],
  ['an unknown element', '<Delete><Something/></Delete>'],
  ['an element named __proto__', '<Delete><__proto__><Key>a</Key></__proto__></Delete>'],
  ['an element named constructor', '<Delete><Object><constructor>a</constructor></Object></Delete>'],
  ['an element within a text', '<Delete><Object><Key>a<b/></Key></Object></Delete>'],
  ['text between elements', `<Delete>text${OBJECT}</Delete>`],
  ['two document elements', '<Delete/><Delete/>'],
  ['an open element', `<Delete>${OBJECT}`],
  ['nothing', ' '],
  ['an attribute twice', '<Delete a="1" a="2"/>'],
  ['JSON', '{"Object":[]}'],
])('%s is MalformedXML', (_what, document) => {
  expect(codeOf(document)).toBe('MalformedXML');
});

test('an element that S3 knows and the schema has not is NotImplemented, by its path', () => {
  try {
    read('<Delete><Object><Key>a</Key><ETag>b</ETag></Object></Delete>');
    expect.fail('read');
  } catch (error) {
    expect(error).toMatchObject({ code: 'NotImplemented', details: { Element: 'Object/ETag' } });
  }
});

test.each([
  ['10^5 attributes', `<Delete ${Array.from({ length: 100_000 }, (_, index) => `a${index}="x"`).join(' ')}/>`],
  ['depth 10^5', '<Delete>'.repeat(100_000)],
  ['depth 10^5 within what is allowed', `<Delete>${'<Object>'.repeat(100_000)}`],
  ['a flood of references', `<Delete><Object><Key>${'&#120;'.repeat(300_000)}</Key>`],
  ['a flood of elements', `<Delete>${'<Object></Object>'.repeat(100_000)}</Delete><x/>`],
  ['an attribute of 2 MB', `<Delete a="${'x'.repeat(2_000_000)}" b="x`],
  ['a name of 2 MB', `<${'x'.repeat(2_000_000)}>`],
  ['a comment of 2 MB', `<Delete><!--${'-x'.repeat(1_000_000)}`],
  ['a flood of CDATA', `<Delete><Object><Key>${'<![CDATA[x]]>'.repeat(100_000)}</Key>`],
])('%s is refused, whatever its size', (_what, document) => {
  expect(codeOf(document)).toBe('MalformedXML');
});
