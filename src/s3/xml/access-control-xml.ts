import { S3Error } from '../../errors/s3-error.ts';
import { ACL_PERMISSIONS, type AclPermission, type Grant } from '../../model/access-control.ts';
import type { Owner } from '../../model/object-record.ts';
import type { AclWish, WishedGrant } from '../../service/access-control.ts';
import { groupOfUri, groupUri, readAclHeaders } from '../headers/acl-headers.ts';
import type { S3Request } from '../operation.ts';
import { ownerXml } from './listing-xml.ts';
import { readXmlBody } from './read-xml-body.ts';
import { xmlDocument, xmlGroup, xmlText } from './write-xml.ts';
import { list, structure, text, type XmlResult } from './xml-schema.ts';

const GRANTEE = structure({ ID: text, DisplayName: text, URI: text, EmailAddress: text });
const GRANT = structure({ Grantee: GRANTEE, Permission: text });
const POLICY = structure({
  Owner: structure({ ID: text, DisplayName: text }),
  AccessControlList: structure({ Grant: list(GRANT) }),
});
const GRANT_LIMIT = 100;

/** Groups first, as the order of grants means nothing. */
export function accessControlDocument(owner: Owner, grants: readonly Grant[]): string {
  const sorted = grants.toSorted((a, b) => Number('group' in b.grantee) - Number('group' in a.grantee));
  return xmlDocument(
    'AccessControlPolicy',
    ownerXml(owner) + xmlGroup('AccessControlList', sorted.map(grantXml).join('')),
  );
}

function grantXml({ grantee, permission }: Grant): string {
  const [type, inner] =
    'group' in grantee
      ? ['Group', xmlText('URI', groupUri(grantee.group))]
      : ['CanonicalUser', xmlText('ID', grantee.canonicalId) + xmlText('DisplayName', grantee.displayName)];
  const element = `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="${type}">${inner}</Grantee>`;
  return xmlGroup('Grant', element + xmlText('Permission', permission));
}

/**
 * What PutBucketAcl and PutObjectAcl ask for, by headers or by a document.
 *
 * @throws S3Error MissingSecurityHeader (neither) | UnexpectedContent (both) | MalformedACLError | InvalidArgument |
 *   InvalidRequest | BadDigest
 */
export async function readAcl(request: S3Request): Promise<AclWish> {
  const byHeaders = readAclHeaders(request.headers);
  const hasBody = request.body.lengthBytes !== 0;
  if (byHeaders !== undefined) {
    if (hasBody) throw new S3Error('UnexpectedContent');
    return byHeaders;
  }
  if (!hasBody) throw new S3Error('MissingSecurityHeader', { details: { MissingHeaderName: 'x-amz-acl' } });
  const document = await readDocument(request);
  const ownerId = document.Owner?.ID;
  if (ownerId === undefined || document.AccessControlList === undefined) throw new S3Error('MalformedACLError');
  const { Grant: grants } = document.AccessControlList;
  if (grants.length > GRANT_LIMIT) throw new S3Error('MalformedACLError');
  return { kind: 'grants', ownerId, grants: grants.map(readGrant) };
}

async function readDocument(request: S3Request): Promise<XmlResult<typeof POLICY>> {
  try {
    return await readXmlBody(request, POLICY);
  } catch (error) {
    if (!(error instanceof S3Error) || error.code !== 'MalformedXML') throw error;
    throw new S3Error('MalformedACLError', { cause: error });
  }
}

function readGrant({ Grantee: grantee, Permission: permission }: XmlResult<typeof GRANT>): WishedGrant {
  if (grantee === undefined || !(ACL_PERMISSIONS as readonly (string | undefined)[]).includes(permission)) {
    throw new S3Error('MalformedACLError');
  }
  const named = [grantee.ID, grantee.URI, grantee.EmailAddress].filter((value) => value !== undefined);
  if (named.length !== 1) throw new S3Error('MalformedACLError');
  const known = permission as AclPermission;
  if (grantee.URI !== undefined) return { grantee: { group: groupOfUri(grantee.URI) }, permission: known };
  if (grantee.EmailAddress !== undefined) return { grantee: { email: grantee.EmailAddress }, permission: known };
  return { grantee: { canonicalId: grantee.ID! }, permission: known };
}
