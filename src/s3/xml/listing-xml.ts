import type { ListedObject, Owner } from '../../model/object-record.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import type { KeyEncoding } from '../listing-parameters.ts';
import { escapeXml, xmlGroup, xmlOptional, xmlText } from './write-xml.ts';

export function ownerXml(owner: Owner): string {
  return xmlGroup('Owner', xmlText('ID', owner.canonicalId) + xmlText('DisplayName', owner.displayName));
}

/**
 * The elements of a page of objects. A page of a thousand keys is written in half a millisecond: what most of its
 * objects have in common is made once and each object adds few pieces, because every piece costs again when the whole
 * is flattened into bytes.
 *
 * @param elementName `Contents`, or `Version` whose entries also carry `extra`
 */
export function listedObjectsXml(
  objects: readonly ListedObject[],
  options: { elementName: string; encoding: KeyEncoding; withOwner: boolean; extra?: string },
): string {
  const { encoding, elementName, withOwner, extra = '' } = options;
  const start = `<${elementName}><Key>`;
  let xml = '';
  let date = '';
  let middle = '';
  let like: ListedObject | undefined;
  let pieces: CommonPieces = { beforeSize: '', end: '', endAndStart: start };
  const known = new Map<string, CommonPieces>();
  for (const object of objects) {
    const itsDate = formatIsoDate(object.lastModifiedMs);
    if (itsDate !== date) {
      date = itsDate;
      middle = flat(`</Key>${extra}<LastModified>${date}</LastModified><ETag>&quot;`);
    }
    xml += pieces.endAndStart;
    if (like === undefined || !isAlike(object, like)) {
      like = object;
      pieces = commonPieces(known, object, { elementName, withOwner, start });
    }
    xml += escapeXml(encoding.encode(object.key)) + middle + object.etag + pieces.beforeSize + object.sizeBytes;
  }
  return xml + pieces.end;
}

/** Of objects that differ in key, date, ETag and size only. */
interface CommonPieces {
  beforeSize: string;
  end: string;
  /** With the beginning of the next object. */
  endAndStart: string;
}

function commonPieces(
  known: Map<string, CommonPieces>,
  object: ListedObject,
  { elementName, withOwner, start }: { elementName: string; withOwner: boolean; start: string },
): CommonPieces {
  const { checksumAlgorithm, checksumType, storageClass, owner } = object;
  const name = `${checksumAlgorithm} ${checksumType} ${storageClass} ${owner.canonicalId} ${owner.displayName}`;
  let pieces = known.get(name);
  if (pieces === undefined) {
    const itsOwner = withOwner ? ownerXml(owner) : '';
    const end = `</Size>${itsOwner}<StorageClass>${storageClass}</StorageClass></${elementName}>`;
    pieces = {
      beforeSize: flat(`&quot;</ETag>${checksumXml(object)}<Size>`),
      end,
      endAndStart: flat(end + start),
    };
    known.set(name, pieces);
  }
  return pieces;
}

function isAlike(object: ListedObject, other: ListedObject): boolean {
  return (
    object.owner === other.owner &&
    object.storageClass === other.storageClass &&
    object.checksumAlgorithm === other.checksumAlgorithm &&
    object.checksumType === other.checksumType
  );
}

function checksumXml({ checksumAlgorithm, checksumType }: ListedObject): string {
  if (checksumAlgorithm === undefined) return '';
  return xmlText('ChecksumAlgorithm', checksumAlgorithm) + xmlOptional('ChecksumType', checksumType);
}

/** The same text as one piece of memory. */
function flat(text: string): string {
  return Buffer.from(text).toString();
}

export function commonPrefixesXml(prefixes: readonly string[], encoding: KeyEncoding): string {
  let xml = '';
  for (const prefix of prefixes) {
    xml += `<CommonPrefixes><Prefix>${escapeXml(encoding.encode(prefix))}</Prefix></CommonPrefixes>`;
  }
  return xml;
}
