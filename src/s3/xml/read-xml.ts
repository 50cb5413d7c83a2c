import { SaxesParser, type SaxesTagNS } from 'saxes';
import { S3Error } from '../../errors/s3-error.ts';
import { S3_NAMESPACE } from './write-xml.ts';
import type { XmlList, XmlNode, XmlResult, XmlStructure } from './xml-schema.ts';

const DEPTH_LIMIT = 16;
const ATTRIBUTE_LIMIT = 16;

const utf8 = new TextDecoder('utf-8', { fatal: true });

export interface ReadXmlOptions {
  /** Name of the document element. */
  root: string;
  /** Paths below the root (`Object/Key`) that S3 defines; those the schema does not have are answered 501. */
  known?: ReadonlySet<string>;
  /** In place of S3's. */
  namespace?: string;
}

/**
 * Reads a client's XML into plain values without prototypes, strictly by `schema`. The bytes are hostile until proved
 * otherwise: only UTF-8; no DOCTYPE, no processing instruction, no entity beyond XML's five and numeric ones; bounded
 * depth and attributes; no element twice that may occur once; no text between elements; S3's namespace or none. The
 * caller bounds the size; time is linear in it.
 *
 * @throws S3Error MalformedXML | NotImplemented for an element that S3 defines and the schema does not have
 */
export function readXml<S extends XmlStructure<Record<string, XmlNode | XmlList<XmlNode>>>>(
  bytes: Buffer,
  schema: S,
  options: ReadXmlOptions,
): XmlResult<S> {
  let document: string;
  try {
    document = utf8.decode(bytes);
  } catch (cause) {
    throw malformed('not valid UTF-8', cause);
  }
  const reader = new XmlReader(schema, options);
  try {
    return reader.read(document) as XmlResult<S>;
  } catch (error) {
    if (error instanceof S3Error) throw error;
    throw malformed('not well-formed', error);
  }
}

interface Frame {
  readonly node: XmlNode;
  /** Path below the root, empty for the root itself. */
  readonly path: string;
  /** Null-prototype object under construction; unused for text. */
  readonly value: Record<string, unknown>;
  text: string;
}

class XmlReader {
  readonly #schema: XmlNode;
  readonly #options: ReadXmlOptions;
  readonly #stack: Frame[] = [];
  #attributeCount = 0;
  #result: unknown;

  constructor(schema: XmlNode, options: ReadXmlOptions) {
    this.#schema = schema;
    this.#options = options;
  }

  read(document: string): unknown {
    const parser = new SaxesParser({ xmlns: true, position: false, forceXMLVersion: true, defaultXMLVersion: '1.0' });
    parser.on('error', (error) => {
      throw error;
    });
    parser.on('xmldecl', ({ encoding }) => {
      if (encoding !== undefined && !/^utf-?8$/i.test(encoding)) throw malformed(`encoding ${encoding}`);
    });
    parser.on('doctype', () => {
      throw malformed('DOCTYPE');
    });
    parser.on('processinginstruction', () => {
      throw malformed('processing instruction');
    });
    parser.on('attribute', () => {
      if (++this.#attributeCount > ATTRIBUTE_LIMIT) throw malformed('too many attributes');
    });
    parser.on('opentag', (tag) => this.#open(tag));
    parser.on('closetag', () => this.#close());
    parser.on('text', (text) => this.#addText(text));
    parser.on('cdata', (text) => this.#addText(text));
    parser.write(document).close();
    if (this.#result === undefined) throw malformed('no document element');
    return this.#result;
  }

  #open(tag: SaxesTagNS): void {
    this.#attributeCount = 0;
    if (tag.uri !== '' && tag.uri !== (this.#options.namespace ?? S3_NAMESPACE)) throw malformed('foreign namespace');
    const parent = this.#stack.at(-1);
    if (parent === undefined) {
      if (tag.local !== this.#options.root) throw malformed(`document element ${tag.local}`);
      this.#push(this.#schema, '');
      return;
    }
    if (this.#stack.length >= DEPTH_LIMIT) throw malformed('too deep');
    const path = parent.path === '' ? tag.local : `${parent.path}/${tag.local}`;
    const member = parent.node.kind === 'structure' ? parent.node.members.get(tag.local) : undefined;
    if (member === undefined) {
      if (this.#options.known?.has(path)) {
        throw new S3Error('NotImplemented', {
          message: 'An element you provided implies functionality that is not implemented',
          details: { Element: path },
        });
      }
      throw malformed(`unexpected element ${tag.local}`);
    }
    if (member.kind !== 'list' && tag.local in parent.value) throw malformed(`element ${tag.local} twice`);
    this.#push(member.kind === 'list' ? member.element : member, path);
  }

  #push(node: XmlNode, path: string): void {
    const value = Object.create(null) as Record<string, unknown>;
    if (node.kind === 'structure') {
      for (const [name, member] of node.members) if (member.kind === 'list') value[name] = [];
    }
    this.#stack.push({ node, path, value, text: '' });
  }

  #close(): void {
    const frame = this.#stack.pop()!;
    const value = frame.node.kind === 'text' ? frame.text : frame.value;
    const parent = this.#stack.at(-1);
    if (parent === undefined) {
      this.#result = value;
      return;
    }
    const name = frame.path.slice(frame.path.lastIndexOf('/') + 1);
    const slot = parent.value[name];
    if (Array.isArray(slot)) slot.push(value);
    else parent.value[name] = value;
  }

  #addText(text: string): void {
    const frame = this.#stack.at(-1);
    if (frame?.node.kind === 'text') frame.text += text;
    else if (text.trim() !== '') throw malformed('text between elements');
  }
}

function malformed(hint: string, cause?: unknown): S3Error {
  return new S3Error('MalformedXML', { hint, ...(cause === undefined ? {} : { cause }) });
}
