import { S3Error } from '../../errors/s3-error.ts';
import { GRANTEE_GROUPS, type AclPermission, type GranteeGroup } from '../../model/access-control.ts';
import { CANNED_ACLS, type AclWish, type CannedAcl, type WishedGrant } from '../../service/access-control.ts';

const CANNED = 'x-amz-acl';
/** In the order in which they are kept. */
const GRANT_HEADERS: readonly (readonly [header: string, permission: AclPermission])[] = [
  ['x-amz-grant-read', 'READ'],
  ['x-amz-grant-write', 'WRITE'],
  ['x-amz-grant-read-acp', 'READ_ACP'],
  ['x-amz-grant-write-acp', 'WRITE_ACP'],
  ['x-amz-grant-full-control', 'FULL_CONTROL'],
];
export const ACL_HEADERS: readonly string[] = [CANNED, ...GRANT_HEADERS.map(([header]) => header)];
/** An object cannot be written into. */
export const OBJECT_ACL_HEADERS: readonly string[] = ACL_HEADERS.filter((header) => header !== 'x-amz-grant-write');
const GROUP_URIS: ReadonlyMap<string, GranteeGroup> = new Map(GRANTEE_GROUPS.map((group) => [groupUri(group), group]));
const GRANT_LIMIT = 100;

export function groupUri(group: GranteeGroup): string {
  return `http://acs.amazonaws.com/groups/${group === 'LogDelivery' ? 's3' : 'global'}/${group}`;
}

/** @throws S3Error InvalidArgument */
export function groupOfUri(uri: string): GranteeGroup {
  const group = GROUP_URIS.get(uri);
  if (group === undefined) throw invalid('Invalid group uri', 'uri', uri);
  return group;
}

/** `undefined`: the headers say nothing of an ACL. @throws S3Error InvalidArgument | InvalidRequest (both ways at once) */
export function readAclHeaders(headers: ReadonlyMap<string, string>): AclWish | undefined {
  const canned = headers.get(CANNED);
  const grants: WishedGrant[] = [];
  for (const [header, permission] of GRANT_HEADERS) {
    const value = headers.get(header);
    if (value !== undefined) grants.push(...readGrantees(header, value).map((grantee) => ({ grantee, permission })));
  }
  if (canned !== undefined && grants.length > 0) {
    throw new S3Error('InvalidRequest', {
      message: 'Specifying both Canned ACLs and Header Grants is not allowed',
    });
  }
  if (grants.length > GRANT_LIMIT) throw new S3Error('MalformedACLError');
  if (canned === undefined) return grants.length === 0 ? undefined : { kind: 'grants', grants };
  if (!(CANNED_ACLS as readonly string[]).includes(canned)) throw invalid('Invalid Argument', CANNED, canned);
  return { kind: 'canned', name: canned as CannedAcl };
}

/** `id="…", uri="…"`. */
function readGrantees(header: string, value: string): WishedGrant['grantee'][] {
  return value.split(',').map((piece) => {
    const match = /^(id|uri|emailaddress)\s*=\s*(?:"([^"]*)"|([^"\s]*))$/i.exec(piece.trim());
    const name = match?.[1]?.toLowerCase();
    const content = match?.[2] ?? match?.[3] ?? '';
    if (name === 'id') return { canonicalId: content };
    if (name === 'uri') return { group: groupOfUri(content) };
    if (name === 'emailaddress') return { email: content };
    throw invalid('Argument format not recognized', header, value);
  });
}

function invalid(message: string, name: string, value: string): S3Error {
  return new S3Error('InvalidArgument', { message, details: { ArgumentName: name, ArgumentValue: value } });
}
