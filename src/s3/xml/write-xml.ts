/**
 * Writes S3's XML straight into strings: for listings, errors and every document that carries a client's bytes.
 * Characters that XML 1.0 cannot hold (most control characters) become numeric references, as AWS sends them: not
 * well-formed, but the only way to name such a key without `encoding-type=url`.
 */
export const XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n';
export const S3_NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

// eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
const NEEDS_ESCAPE = /[&<>"\u0000-\u001f\u007f-\u009f\ufffe\uffff]/;
// eslint-disable-next-line no-control-regex -- as above
const ESCAPED = /[&<>"\u0000-\u0008\u000b-\u001f\u007f-\u009f\ufffe\uffff]/g;

export function escapeXml(text: string): string {
  return NEEDS_ESCAPE.test(text) ? text.replace(ESCAPED, escapeCharacter) : text;
}

// eslint-disable-next-line no-control-regex -- as above
const UNPRINTABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

/** Characters that XML cannot hold replaced, so that every client can read the rest. */
export function printableXml(text: string): string {
  return text.replace(UNPRINTABLE, '\ufffd');
}

function escapeCharacter(character: string): string {
  switch (character) {
    case '&':
      return '&amp;';
    case '<':
      return '&lt;';
    case '>':
      return '&gt;';
    case '"':
      return '&quot;';
    default:
      return `&#x${character.charCodeAt(0).toString(16).toUpperCase()};`;
  }
}

/** `<name>escaped value</name>`. */
export function xmlText(name: string, value: string | number | boolean): string {
  return `<${name}>${typeof value === 'string' ? escapeXml(value) : value}</${name}>`;
}

/** `xmlText`, or nothing when there is no value. */
export function xmlOptional(name: string, value: string | number | boolean | undefined): string {
  return value === undefined ? '' : xmlText(name, value);
}

/** `<name>inner</name>` around XML that is already written. */
export function xmlGroup(name: string, inner: string): string {
  return `<${name}>${inner}</${name}>`;
}

/** A whole document with S3's namespace around XML that is already written. */
export function xmlDocument(rootName: string, inner: string): string {
  return `${XML_DECLARATION}<${rootName} xmlns="${S3_NAMESPACE}">${inner}</${rootName}>`;
}

/** Elements gathered into pieces of some kilobytes, for `xmlDocumentBytes`. */
export class XmlPieces {
  readonly pieces: string[] = [];
  #open = '';
  #openCount = 0;

  add(element: string): void {
    this.#open += element;
    if (++this.#openCount === ELEMENTS_PER_PIECE) this.#finish();
  }

  #finish(): void {
    this.pieces.push(this.#open);
    this.#open = '';
    this.#openCount = 0;
  }

  end(): readonly string[] {
    if (this.#openCount > 0) this.#finish();
    return this.pieces;
  }
}

const ELEMENTS_PER_PIECE = 50;
/** Of one unit of UTF-16 in UTF-8. */
const LONGEST_CHARACTER_BYTES = 3;

/**
 * `xmlDocument` as bytes, from pieces of a document that may have thousands of elements: as one string, which is a tree
 * of all that was ever added to it, V8 takes four times as long to bring it into a row.
 */
export function xmlDocumentBytes(rootName: string, pieces: readonly string[]): Buffer {
  const all = [`${XML_DECLARATION}<${rootName} xmlns="${S3_NAMESPACE}">`, ...pieces, `</${rootName}>`];
  let characters = 0;
  for (const piece of all) characters += piece.length;
  let bytes = Buffer.allocUnsafe(characters);
  let length = 0;
  for (const piece of all) {
    const room = bytes.length - length;
    if (room < piece.length * LONGEST_CHARACTER_BYTES && room < Buffer.byteLength(piece)) {
      bytes = Buffer.concat([bytes.subarray(0, length)], bytes.length * LONGEST_CHARACTER_BYTES);
    }
    length += bytes.write(piece, length);
  }
  return bytes.subarray(0, length);
}

/** A whole document without a namespace: S3's errors. */
export function plainXmlDocument(rootName: string, inner: string): string {
  return `${XML_DECLARATION}<${rootName}>${inner}</${rootName}>`;
}

const URL_SAFE = /^[A-Za-z0-9\-_.~/!*'()]*$/;

/** `encoding-type=url`: percent-encoded UTF-8, `/` kept, a space as `%20`, so that either way to decode gives the key. */
export function encodeKeyForUrl(text: string): string {
  return URL_SAFE.test(text) ? text : encodeURIComponent(text).replaceAll('%2F', '/');
}
