import type { ListedObject, Owner } from '../../model/object-record.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import type { KeyEncoding } from '../listing-parameters.ts';
import { escapeXml, xmlGroup, xmlOptional, xmlText } from './write-xml.ts';

const START = '<Contents><Key>';

export function ownerXml(owner: Owner): string {
  return xmlGroup('Owner', xmlText('ID', owner.canonicalId) + xmlText('DisplayName', owner.displayName));
}

/**
 * The elements of a page of objects. A page of a thousand keys is written in half a millisecond: what most of its
 * objects have in common is made once and each object adds few pieces, because every piece costs again when the whole
 * is flattened into bytes.
 */
export function listedObjectsXml(
  objects: readonly ListedObject[],
  { encoding, withOwner }: { encoding: KeyEncoding; withOwner: boolean },
): string {
  let xml = '';
  let date = '';
  let middle = '';
  let like: ListedObject | undefined;
  let pieces: CommonPieces = { beforeSize: '', end: '', endAndStart: START };
  const known = new Map<string, CommonPieces>();
  for (const object of objects) {
    const itsDate = formatIsoDate(object.lastModifiedMs);
    if (itsDate !== date) {
      date = itsDate;
      middle = flat(`</Key><LastModified>${date}</LastModified><ETag>&quot;`);
    }
    xml += pieces.endAndStart;
    if (like === undefined || !isAlike(object, like)) {
      like = object;
      pieces = commonPieces(known, object, withOwner);
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

function commonPieces(known: Map<string, CommonPieces>, object: ListedObject, withOwner: boolean): CommonPieces {
  const { checksumAlgorithm, checksumType, storageClass, owner } = object;
  const name = `${checksumAlgorithm} ${checksumType} ${storageClass} ${owner.canonicalId} ${owner.displayName}`;
  let pieces = known.get(name);
  if (pieces === undefined) {
    const itsOwner = withOwner ? ownerXml(owner) : '';
    const end = `</Size>${itsOwner}<StorageClass>${storageClass}</StorageClass></Contents>`;
    pieces = {
      beforeSize: flat(`&quot;</ETag>${checksumXml(object)}<Size>`),
      end,
      endAndStart: flat(end + START),
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

export function checksumXml({ checksumAlgorithm, checksumType }: ListedObject): string {
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
