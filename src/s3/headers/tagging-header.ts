import { S3Error } from '../../errors/s3-error.ts';
import type { Tag } from '../../model/object-record.ts';
import { checkTags, inTagOrder } from '../../service/tag-rules.ts';

/**
 * `x-amz-tagging`: tags as URL query parameters. `undefined` when it is not there; in the order of their keys.
 *
 * @throws S3Error InvalidArgument (encoding, duplicates) | InvalidTag (length or characters) | BadRequest (more than ten)
 */
export function readTaggingHeader(headers: ReadonlyMap<string, string>): readonly Tag[] | undefined {
  const value = headers.get('x-amz-tagging');
  return value === undefined ? undefined : parseTaggingHeader(value);
}

export function parseTaggingHeader(value: string): readonly Tag[] {
  const tags: Tag[] = [];
  const keys = new Set<string>();
  for (const pair of value.split('&')) {
    if (pair === '') continue;
    const [key = '', tagValue = '', ...rest] = pair.split('=').map((text) => decode(text, value));
    if (rest.length > 0 || keys.has(key)) throw malformed(value);
    keys.add(key);
    tags.push({ key, value: tagValue });
  }
  checkTags(tags, 'object');
  return inTagOrder(tags);
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
