import type { Owner } from '../../model/object-record.ts';
import { ownerXml } from './listing-xml.ts';
import { xmlDocument, xmlGroup, xmlText } from './write-xml.ts';

/** The ACL of everything here: full control for its owner, as `x-amz-acl: private` states. */
export function ownersAclDocument(owner: Owner): string {
  const grantee = `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">${
    xmlText('ID', owner.canonicalId) + xmlText('DisplayName', owner.displayName)
  }</Grantee>`;
  const grant = xmlGroup('Grant', grantee + xmlText('Permission', 'FULL_CONTROL'));
  return xmlDocument('AccessControlPolicy', ownerXml(owner) + xmlGroup('AccessControlList', grant));
}
