import { S3Error } from '../errors/s3-error.ts';
import type { Tag } from '../model/object-record.ts';

export type TaggedKind = 'object' | 'bucket';

const TAG_LIMIT: Readonly<Record<TaggedKind, number>> = { object: 10, bucket: 50 };
const KEY_LIMIT = 128;
const VALUE_LIMIT = 256;
const ALLOWED = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
const RESERVED_PREFIX = 'aws:';

/**
 * S3's limits of a set of tags, the first tag that breaks one named. Lengths count UTF-16 units, as S3 keeps tags.
 *
 * @throws S3Error InvalidTag | BadRequest (too many)
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html
 */
export function checkTags(tags: readonly Tag[], kind: TaggedKind): void {
  const seen = new Set<string>();
  for (const { key, value } of tags) {
    if (seen.has(key)) throw invalidTag('Cannot provide multiple Tags with the same key', { TagKey: key });
    seen.add(key);
    if (key === '' || key.length > KEY_LIMIT || !ALLOWED.test(key)) {
      throw invalidTag('The TagKey you have provided is invalid', { TagKey: key });
    }
    if (key.startsWith(RESERVED_PREFIX)) {
      throw invalidTag(
        kind === 'object'
          ? 'Your TagKey cannot be prefixed with aws:'
          : 'System tags cannot be added/updated by requester',
        { TagKey: key },
      );
    }
    if (value.length > VALUE_LIMIT || !ALLOWED.test(value)) {
      throw invalidTag('The TagValue you have provided is invalid', { TagKey: key, TagValue: value });
    }
    if (seen.size > TAG_LIMIT[kind]) {
      throw new S3Error('BadRequest', {
        message: `${kind === 'object' ? 'Object tags' : 'Bucket tag count'} cannot be greater than ${TAG_LIMIT[kind]}`,
      });
    }
  }
}

/** The order in which a set of tags is kept and answered: by key. */
export function inTagOrder(tags: readonly Tag[]): readonly Tag[] {
  return tags.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
}

function invalidTag(message: string, details: Readonly<Record<string, string>>): S3Error {
  return new S3Error('InvalidTag', { message, details });
}
