import { S3Error } from '../../errors/s3-error.ts';
import type { PublicAccessBlock } from '../../model/bucket-access.ts';
import { xmlText } from './write-xml.ts';
import { structure, text, type XmlResult } from './xml-schema.ts';

export const PUBLIC_ACCESS_BLOCK = structure({
  BlockPublicAcls: text,
  IgnorePublicAcls: text,
  BlockPublicPolicy: text,
  RestrictPublicBuckets: text,
});

/** One that is not named is off. @throws S3Error MalformedXML */
export function readPublicAccessBlock(body: XmlResult<typeof PUBLIC_ACCESS_BLOCK>): PublicAccessBlock {
  return {
    blockPublicAcls: readBoolean(body.BlockPublicAcls),
    ignorePublicAcls: readBoolean(body.IgnorePublicAcls),
    blockPublicPolicy: readBoolean(body.BlockPublicPolicy),
    restrictPublicBuckets: readBoolean(body.RestrictPublicBuckets),
  };
}

export function publicAccessBlockXml(block: PublicAccessBlock): string {
  return (
    xmlText('BlockPublicAcls', block.blockPublicAcls) +
    xmlText('IgnorePublicAcls', block.ignorePublicAcls) +
    xmlText('BlockPublicPolicy', block.blockPublicPolicy) +
    xmlText('RestrictPublicBuckets', block.restrictPublicBuckets)
  );
}

function readBoolean(value: string | undefined): boolean {
  const word = value?.trim().toLowerCase() ?? 'false';
  if (word !== 'true' && word !== 'false') throw new S3Error('MalformedXML');
  return word === 'true';
}
