import type { ListedObject, Owner } from '../../model/object-record.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import type { KeyEncoding } from '../listing-parameters.ts';
import { escapeXml, xmlGroup, XmlPieces, xmlOptional, xmlText } from './write-xml.ts';

const START = '<Contents><Key>';

export function ownerXml(owner: Owner): string {
  return xmlGroup('Owner', xmlText('ID', owner.canonicalId) + xmlText('DisplayName', owner.displayName));
}

/**
 * The elements of a page of objects. A page of a thousand keys is written in a third of a millisecond: what most of its
 * objects have in common is made once, and each object adds few strings.
 */
export function listedObjectsXml(
  objects: readonly ListedObject[],
  { encoding, withOwner }: { encoding: KeyEncoding; withOwner: boolean },
): readonly string[] {
  const xml = new XmlPieces();
  let second = Number.NaN;
  let middle = '';
  let like: ListedObject | undefined;
  let pieces: CommonPieces = { beforeSize: '', end: '', endAndStart: START };
  const known = new Map<string, CommonPieces>();
  for (const object of objects) {
    const itsSecond = Math.floor(object.lastModifiedMs / 1000);
    if (itsSecond !== second) {
      second = itsSecond;
      middle = betweenKeyAndETag(second);
    }
    const { endAndStart } = pieces;
    if (like === undefined || !isAlike(object, like)) {
      like = object;
      pieces = commonPieces(known, object, withOwner);
    }
    const key = escapeXml(encoding.encode(object.key));
    xml.add(endAndStart + key + middle + object.etag + pieces.beforeSize + object.sizeBytes);
  }
  xml.add(pieces.end);
  return xml.end();
}

const knownMiddles = new Map<number, string>();
const MIDDLE_LIMIT = 1024;

/** By second: keys that lie together were often written together, or in a few runs. */
function betweenKeyAndETag(second: number): string {
  let middle = knownMiddles.get(second);
  if (middle === undefined) {
    middle = flat(`</Key><LastModified>${formatIsoDate(second * 1000)}</LastModified><ETag>&quot;`);
    if (knownMiddles.size >= MIDDLE_LIMIT) knownMiddles.clear();
    knownMiddles.set(second, middle);
  }
  return middle;
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

export function commonPrefixesXml(prefixes: readonly string[], encoding: KeyEncoding): readonly string[] {
  const xml = new XmlPieces();
  for (const prefix of prefixes) {
    xml.add(`<CommonPrefixes><Prefix>${escapeXml(encoding.encode(prefix))}</Prefix></CommonPrefixes>`);
  }
  return xml.end();
}
