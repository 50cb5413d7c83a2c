import type { ListedObject, Owner } from '../../model/object-record.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import type { KeyEncoding } from '../listing-parameters.ts';
import { escapeXml, xmlGroup, xmlText } from './write-xml.ts';

export function ownerXml(owner: Owner): string {
  return xmlGroup('Owner', xmlText('ID', owner.canonicalId) + xmlText('DisplayName', owner.displayName));
}

/**
 * The elements of a page of objects. A page of a thousand keys is written in about a millisecond: plain strings, and the
 * owner's element is made once for a run of objects of the same owner.
 *
 * @param elementName `Contents`, or `Version` whose entries also carry `extra`
 */
export function listedObjectsXml(
  objects: readonly ListedObject[],
  options: { elementName: string; encoding: KeyEncoding; withOwner: boolean; extra?: string },
): string {
  const { encoding, elementName, withOwner, extra = '' } = options;
  let xml = '';
  let lastOwnerId = '';
  let lastOwnerXml = '';
  for (const object of objects) {
    if (withOwner && object.owner.canonicalId !== lastOwnerId) {
      lastOwnerId = object.owner.canonicalId;
      lastOwnerXml = ownerXml(object.owner);
    }
    xml += `<${elementName}><Key>${escapeXml(encoding.encode(object.key))}</Key>${extra}<LastModified>${formatIsoDate(object.lastModifiedMs)}</LastModified><ETag>&quot;${object.etag}&quot;</ETag>`;
    if (object.checksumAlgorithm !== undefined) {
      xml += `<ChecksumAlgorithm>${object.checksumAlgorithm}</ChecksumAlgorithm>`;
      if (object.checksumType !== undefined) xml += `<ChecksumType>${object.checksumType}</ChecksumType>`;
    }
    xml += `<Size>${object.sizeBytes}</Size>${lastOwnerXml}<StorageClass>${object.storageClass}</StorageClass></${elementName}>`;
  }
  return xml;
}

export function commonPrefixesXml(prefixes: readonly string[], encoding: KeyEncoding): string {
  let xml = '';
  for (const prefix of prefixes) {
    xml += `<CommonPrefixes><Prefix>${escapeXml(encoding.encode(prefix))}</Prefix></CommonPrefixes>`;
  }
  return xml;
}
