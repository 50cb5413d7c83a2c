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

/** A whole document without a namespace: S3's errors. */
export function plainXmlDocument(rootName: string, inner: string): string {
  return `${XML_DECLARATION}<${rootName}>${inner}</${rootName}>`;
}

const URL_SAFE = /^[A-Za-z0-9\-_.~/!*'()]*$/;

/** `encoding-type=url`: percent-encoded UTF-8, `/` kept, a space as `%20`, so that either way to decode gives the key. */
export function encodeKeyForUrl(text: string): string {
  return URL_SAFE.test(text) ? text : encodeURIComponent(text).replaceAll('%2F', '/');
}
