import type { ListedVersion, Owner } from '../../model/object-record.ts';
import { formatIsoDate } from '../headers/http-date.ts';
import type { KeyEncoding } from '../listing-parameters.ts';
import { checksumXml, ownerXml } from './listing-xml.ts';
import { xmlGroup, XmlPieces, xmlText } from './write-xml.ts';

/** `Version` and `DeleteMarker` elements, mixed as they are listed. */
export function listedVersionsXml(versions: readonly ListedVersion[], encoding: KeyEncoding): readonly string[] {
  const owners = new Map<Owner, string>();
  const xml = new XmlPieces();
  for (const version of versions) {
    let owner = owners.get(version.owner);
    if (owner === undefined) owners.set(version.owner, (owner = ownerXml(version.owner)));
    const common =
      xmlText('Key', encoding.encode(version.key)) +
      xmlText('VersionId', version.versionId) +
      xmlText('IsLatest', version.isLatest) +
      xmlText('LastModified', formatIsoDate(version.lastModifiedMs));
    xml.add(
      version.isDeleteMarker
        ? xmlGroup('DeleteMarker', common + owner)
        : xmlGroup('Version', common + contentXml(version) + owner + xmlText('StorageClass', version.storageClass)),
    );
  }
  return xml.end();
}

function contentXml(version: ListedVersion): string {
  return xmlText('ETag', `"${version.etag}"`) + checksumXml(version) + xmlText('Size', version.sizeBytes);
}
