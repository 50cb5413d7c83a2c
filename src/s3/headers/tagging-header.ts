import { S3Error } from '../../errors/s3-error.ts';

export interface Tag {
  key: string;
  value: string;
}

/** S3's limits of object tags: ten, keys of 128 and values of 256 characters. */
const OBJECT_TAG_LIMIT = 10;
const TAG_KEY = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u;
const TAG_VALUE = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u;

/**
 * `x-amz-tagging`: tags as URL query parameters, in order.
 *
 * @throws S3Error InvalidArgument (encoding, duplicates) | InvalidTag (length or characters) | BadRequest (more than ten)
 */
export function parseTaggingHeader(value: string): Tag[] {
  const tags: Tag[] = [];
  for (const pair of value.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const key = decode(equals === -1 ? pair : pair.slice(0, equals), value);
    tags.push({ key, value: equals === -1 ? '' : decode(pair.slice(equals + 1), value) });
  }
  checkTags(tags, value);
  return tags;
}

function checkTags(tags: readonly Tag[], header: string): void {
  if (tags.length > OBJECT_TAG_LIMIT) {
    throw new S3Error('BadRequest', { message: `Object tags cannot be greater than ${OBJECT_TAG_LIMIT}` });
  }
  const seen = new Set<string>();
  for (const { key, value } of tags) {
    if (seen.has(key)) throw malformed(header);
    seen.add(key);
    if (!TAG_KEY.test(key) || key.startsWith('aws:')) {
      throw new S3Error('InvalidTag', {
        message: 'The TagKey you have provided is invalid',
        details: { TagKey: key },
      });
    }
    if (!TAG_VALUE.test(value)) {
      throw new S3Error('InvalidTag', {
        message: 'The TagValue you have provided is invalid',
        details: { TagKey: key, TagValue: value },
      });
    }
  }
}

function decode(text: string, header: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw malformed(header, cause);
  }
}

function malformed(header: string, cause?: unknown): S3Error {
  return new S3Error('InvalidArgument', {
    message:
      "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.",
    details: { ArgumentName: 'x-amz-tagging', ArgumentValue: header },
    ...(cause === undefined ? {} : { cause }),
  });
}
