import { ACL_PERMISSIONS, GRANTEE_GROUPS, type Grant } from '../../model/access-control.ts';
import type { LegalHold, Retention } from '../../model/object-lock.ts';
import type {
  ChecksumAlgorithm,
  ChecksumType,
  ObjectAttributes,
  ObjectHeaders,
  ObjectPart,
  Tag,
} from '../../model/object-record.ts';
import { ByteReader, corrupt } from './byte-reader.ts';
import { ByteWriter } from './byte-writer.ts';
import type { AppendedPart, EncodedAttributes } from './journal-record.ts';

/**
 * The attributes of a version in their stored form, the same bytes in journal and index.
 *
 *     checksum  3 × (1 + index in CHECKSUM_ALGORITHMS) + (0 no type, 1 FULL_OBJECT, 2 COMPOSITE); 0: no checksum
 *     details   flags varint (1 headers, 2 user metadata, 4 checksum value, 8 tags, 16 retention, 32 legal hold, 64
 *               encryption, 128 ACL), then each that is there: headers, user metadata, tags: list(name string, value string);
 *               checksum value: string; retention: mode byte (1 GOVERNANCE, 2 COMPLIANCE), retainUntilMs signed; legal
 *               hold: byte (0 OFF, 1 ON); encryption: bytes (service/encryption); ACL: list(permission byte, 1 + index in ACL_PERMISSIONS, grantee byte: 0 an
 *               account, then canonical id string, display name string; else 1 + index in GRANTEE_GROUPS). Flags from 16
 *               on are of format 2
 *     parts     list(partNumber less the one before varint, sizeBytes varint, optional(checksum string))
 */
const CHECKSUM_ALGORITHMS: readonly ChecksumAlgorithm[] = [
  'CRC32',
  'CRC32C',
  'CRC64NVME',
  'SHA1',
  'SHA256',
  'SHA512',
  'MD5',
  'XXHASH64',
  'XXHASH3',
  'XXHASH128',
];
const NOTHING = Buffer.alloc(0);
const HEADERS = 1;
const USER_METADATA = 2;
const CHECKSUM_VALUE = 4;
const TAGS = 8;
const RETENTION = 16;
const LEGAL_HOLD = 32;
const ENCRYPTION = 64;
const ACL = 128;
/** The order is part of the format. */
const RETENTION_MODES = ['GOVERNANCE', 'COMPLIANCE'] as const;
/** Others are of format 2: a former server would take what they announce for something else. */
export const FORMAT_1_DETAILS_FLAGS = HEADERS | USER_METADATA | CHECKSUM_VALUE | TAGS;

export function encodeChecksumKind(algorithm: ChecksumAlgorithm | undefined, type: ChecksumType | undefined): number {
  const index = algorithm === undefined ? 0 : CHECKSUM_ALGORITHMS.indexOf(algorithm) + 1;
  return index * 3 + (type === undefined ? 0 : type === 'FULL_OBJECT' ? 1 : 2);
}

export function decodeChecksumKind(checksum: number): {
  algorithm: ChecksumAlgorithm | undefined;
  type: ChecksumType | undefined;
} {
  const index = Math.floor(checksum / 3);
  if (index > CHECKSUM_ALGORITHMS.length) throw corrupt(`unknown checksum algorithm ${index}`);
  const type = checksum % 3;
  return {
    algorithm: index === 0 ? undefined : CHECKSUM_ALGORITHMS[index - 1],
    type: type === 0 ? undefined : type === 1 ? 'FULL_OBJECT' : 'COMPOSITE',
  };
}

export interface Details {
  headers: ObjectHeaders;
  userMetadata: Readonly<Record<string, string>>;
  checksumValue: string | undefined;
  tags: readonly Tag[] | undefined;
  retention: Retention | undefined;
  legalHold: LegalHold | undefined;
  encryption: Buffer | undefined;
  acl: readonly Grant[] | undefined;
}

/** One for all: encoding is synchronous and never re-entered. */
const scratch = new ByteWriter(1024);

export function encodeDetails(details: Details): Buffer {
  const headers = Object.entries(details.headers);
  const userMetadata = Object.entries(details.userMetadata);
  const { checksumValue, tags, retention, legalHold, encryption, acl } = details;
  const flags =
    (headers.length > 0 ? HEADERS : 0) |
    (userMetadata.length > 0 ? USER_METADATA : 0) |
    (checksumValue === undefined ? 0 : CHECKSUM_VALUE) |
    (tags === undefined ? 0 : TAGS) |
    (retention === undefined ? 0 : RETENTION) |
    (legalHold === undefined ? 0 : LEGAL_HOLD) |
    (encryption === undefined ? 0 : ENCRYPTION) |
    (acl === undefined ? 0 : ACL);
  if (flags === 0) return NOTHING;
  scratch.clear();
  scratch.varint(flags);
  if (flags & HEADERS) writePairs(headers);
  if (flags & USER_METADATA) writePairs(userMetadata);
  if (checksumValue !== undefined) scratch.string(checksumValue);
  if (tags !== undefined) writePairs(tags.map((tag) => [tag.key, tag.value]));
  if (retention !== undefined) {
    scratch.byte(RETENTION_MODES.indexOf(retention.mode) + 1);
    scratch.signedVarint(retention.retainUntilMs);
  }
  if (legalHold !== undefined) scratch.byte(legalHold === 'ON' ? 1 : 0);
  if (encryption !== undefined) scratch.bytes(encryption);
  if (acl !== undefined) writeGrants(acl);
  return scratch.toBuffer();
}

export function decodeDetails(encoded: Buffer): Details {
  const details: Details = {
    headers: {},
    userMetadata: {},
    checksumValue: undefined,
    tags: undefined,
    retention: undefined,
    legalHold: undefined,
    encryption: undefined,
    acl: undefined,
  };
  if (encoded.length === 0) return details;
  const reader = new ByteReader(encoded);
  const flags = reader.varint();
  if (flags & HEADERS) details.headers = recordOf(readPairs(reader));
  if (flags & USER_METADATA) details.userMetadata = recordOf(readPairs(reader));
  if (flags & CHECKSUM_VALUE) details.checksumValue = reader.string();
  if (flags & TAGS) details.tags = readPairs(reader).map(([key, value]) => ({ key, value }));
  if (flags & RETENTION) details.retention = readRetention(reader);
  if (flags & LEGAL_HOLD) details.legalHold = reader.byte() === 1 ? 'ON' : 'OFF';
  // A copy: a row's buffer is the index's own.
  if (flags & ENCRYPTION) details.encryption = Buffer.from(reader.bytes());
  if (flags & ACL) details.acl = reader.list(() => readGrant(reader));
  return details;
}

function writeGrants(grants: readonly Grant[]): void {
  scratch.varint(grants.length);
  for (const { grantee, permission } of grants) {
    scratch.byte(ACL_PERMISSIONS.indexOf(permission) + 1);
    scratch.byte('group' in grantee ? GRANTEE_GROUPS.indexOf(grantee.group) + 1 : 0);
    if ('group' in grantee) continue;
    scratch.string(grantee.canonicalId);
    scratch.string(grantee.displayName);
  }
}

function readGrant(reader: ByteReader): Grant {
  const permission = ACL_PERMISSIONS[reader.byte() - 1];
  const kind = reader.byte();
  const group = GRANTEE_GROUPS[kind - 1];
  if (permission === undefined || (kind !== 0 && group === undefined)) throw corrupt('unknown grant of an ACL');
  if (group !== undefined) return { grantee: { group }, permission };
  return { grantee: { canonicalId: reader.string(), displayName: reader.string() }, permission };
}

function readRetention(reader: ByteReader): Retention {
  const mode = RETENTION_MODES[reader.byte() - 1];
  if (mode === undefined) throw corrupt('unknown mode of retention');
  return { mode, retainUntilMs: reader.signedVarint() };
}

export function encodeParts(parts: readonly ObjectPart[] | undefined): Buffer {
  if (parts === undefined) return NOTHING;
  scratch.clear();
  scratch.varint(parts.length);
  let before = 0;
  for (const part of parts) {
    scratch.varint(part.partNumber - before);
    before = part.partNumber;
    scratch.varint(part.sizeBytes);
    scratch.byte(part.checksum === undefined ? 0 : 1);
    if (part.checksum !== undefined) scratch.string(part.checksum);
  }
  return scratch.toBuffer();
}

/** `parts` with more of them, numbered on; the same as if all had been encoded together. */
export function appendParts(parts: Buffer, added: readonly AppendedPart[]): Buffer {
  const reader = new ByteReader(parts);
  const count = parts.length === 0 ? 0 : reader.varint();
  scratch.clear();
  scratch.varint(count + added.length);
  const head = scratch.toBuffer();
  scratch.clear();
  for (const { sizeBytes, checksum } of added) {
    scratch.varint(1);
    scratch.varint(sizeBytes);
    scratch.byte(checksum === undefined ? 0 : 1);
    if (checksum !== undefined) scratch.string(checksum);
  }
  return Buffer.concat([head, parts.subarray(reader.offset), scratch.toBuffer()]);
}

export function decodeParts(encoded: Buffer): ObjectPart[] | undefined {
  if (encoded.length === 0) return undefined;
  const reader = new ByteReader(encoded);
  let before = 0;
  return reader.list(() => {
    const part: ObjectPart = { partNumber: before + reader.varint(), sizeBytes: reader.varint() };
    before = part.partNumber;
    if (reader.byte() === 1) part.checksum = reader.string();
    return part;
  });
}

export function encodeStorageClass(storageClass: string): string {
  return storageClass === 'STANDARD' ? '' : storageClass;
}

export function decodeStorageClass(storageClass: string): string {
  return storageClass === '' ? 'STANDARD' : storageClass;
}

export function encodeAttributes(attributes: ObjectAttributes): EncodedAttributes {
  const { checksum } = attributes;
  return {
    etag: attributes.etag,
    sizeBytes: attributes.sizeBytes,
    storageClass: encodeStorageClass(attributes.storageClass),
    checksum: encodeChecksumKind(checksum?.algorithm, checksum?.type),
    details: encodeDetails({
      headers: attributes.headers,
      userMetadata: attributes.userMetadata,
      checksumValue: checksum?.value,
      tags: attributes.tags,
      retention: attributes.retention,
      legalHold: attributes.legalHold,
      encryption: attributes.encryption,
      acl: attributes.acl,
    }),
    parts: encodeParts(attributes.parts),
  };
}

export function decodeAttributes(encoded: EncodedAttributes): ObjectAttributes {
  const details = decodeDetails(encoded.details);
  const kind = decodeChecksumKind(encoded.checksum);
  const parts = decodeParts(encoded.parts);
  const attributes: ObjectAttributes = {
    etag: encoded.etag,
    sizeBytes: encoded.sizeBytes,
    headers: details.headers,
    userMetadata: details.userMetadata,
    storageClass: decodeStorageClass(encoded.storageClass),
  };
  if (kind.algorithm !== undefined && kind.type !== undefined && details.checksumValue !== undefined) {
    attributes.checksum = { algorithm: kind.algorithm, type: kind.type, value: details.checksumValue };
  }
  if (details.tags !== undefined) attributes.tags = details.tags;
  if (details.retention !== undefined) attributes.retention = details.retention;
  if (details.legalHold !== undefined) attributes.legalHold = details.legalHold;
  if (details.encryption !== undefined) attributes.encryption = details.encryption;
  if (details.acl !== undefined) attributes.acl = details.acl;
  if (parts !== undefined) attributes.parts = parts;
  return attributes;
}

function writePairs(pairs: readonly (readonly [string, string])[]): void {
  scratch.varint(pairs.length);
  for (const [name, value] of pairs) {
    scratch.string(name);
    scratch.string(value);
  }
}

function readPairs(reader: ByteReader): [string, string][] {
  return reader.list(() => [reader.string(), reader.string()]);
}

/** As `Object.fromEntries`, which is slow for one or two: a header named __proto__ is one like any other. */
function recordOf(pairs: readonly (readonly [string, string])[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (const [name, value] of pairs) {
    if (name === '__proto__') {
      Object.defineProperty(record, name, { value, writable: true, enumerable: true, configurable: true });
    } else {
      record[name] = value;
    }
  }
  return record;
}
