import { S3Error } from '../../errors/s3-error.ts';
import type { Tag } from '../../model/object-record.ts';
import { checkTags, inTagOrder, type TaggedKind } from '../../service/tag-rules.ts';
import type { S3Request } from '../operation.ts';
import { readXml } from './read-xml.ts';
import { readXmlBody } from './read-xml-body.ts';
import { xmlDocument, xmlGroup, xmlText } from './write-xml.ts';
import { list, structure, text, type XmlResult } from './xml-schema.ts';

const TAG_SET = structure({ Tag: list(structure({ Key: text, Value: text })) });
const TAGGING = structure({ TagSet: TAG_SET });

/** `Tags` of CreateBucket has the shape of a TagSet. */
export { TAG_SET };

/**
 * The body of PutObjectTagging and PutBucketTagging. In the order of their keys.
 *
 * @throws S3Error MissingRequestBodyError | MalformedXML | InvalidTag | BadRequest (too many) | BadDigest
 */
export async function readTagging(request: S3Request, kind: TaggedKind): Promise<readonly Tag[]> {
  const { TagSet: tagSet } = await readXmlBody(request, TAGGING);
  if (tagSet === undefined) throw new S3Error('MalformedXML');
  return readTagSet(tagSet, kind);
}

/** The `tagging` field of a form. @throws S3Error MalformedXML | InvalidTag | BadRequest (too many) */
export function readTaggingField(field: string): readonly Tag[] {
  const { TagSet: tagSet } = readXml(Buffer.from(field), TAGGING, { root: 'Tagging' });
  if (tagSet === undefined) throw new S3Error('MalformedXML');
  return readTagSet(tagSet, 'object');
}

/** @throws S3Error MalformedXML | InvalidTag | BadRequest (too many) */
export function readTagSet(tagSet: XmlResult<typeof TAG_SET>, kind: TaggedKind): readonly Tag[] {
  const tags = tagSet.Tag.map(({ Key: key, Value: value }): Tag => {
    if (key === undefined || value === undefined) throw new S3Error('MalformedXML');
    return { key, value };
  });
  checkTags(tags, kind);
  return inTagOrder(tags);
}

export function taggingXml(tags: readonly Tag[]): string {
  const elements = tags.map(({ key, value }) => xmlGroup('Tag', xmlText('Key', key) + xmlText('Value', value)));
  return xmlDocument('Tagging', xmlGroup('TagSet', elements.join('')));
}
