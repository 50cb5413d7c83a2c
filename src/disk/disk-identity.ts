import { createHash } from 'node:crypto';
import { StoreError } from '../errors/store-error.ts';
import type { ErasureCode } from '../model/erasure-code.ts';
import type { Randomness } from '../model/clock.ts';
import type { DiskFs } from './disk-fs.ts';

export const IDENTITY_FILE = 'disk.json';
/** The last record of formatting; until every disk has it the cluster does not exist. */
export const FORMAT_COMPLETE_FILE = 'format-complete';
/** Held open by the server that uses the disk: see `DiskLock`. */
export const LOCK_FILE = 'lock';
/** The version of everything on a disk: identity, journal, volumes. A disk of a newer version is refused. */
export const DISK_FORMAT_VERSION = 1;

const TEMPORARY_IDENTITY_FILE = 'disk.json.new';
/** 4,096 disks fit; a longer file is not ours. */
const LONGEST_IDENTITY_BYTES = 256 * 1024;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** What `disk.json` says: which disk of which cluster this directory is. Written once, when it is formatted or added. */
export interface DiskIdentity extends ErasureCode {
  readonly clusterId: string;
  readonly diskId: string;
  /** Position in `diskIds`. */
  readonly index: number;
  /** All disks of the cluster, as far as was known when this was written: the journal's newest list wins. */
  readonly diskIds: readonly string[];
  readonly createdAtMs: number;
  /** Last acknowledged sequence of the journal when the disk was added; 0: it is of the first formatting. */
  readonly addedAtSequence: number;
}

/** Files that may lie in a directory before its identity: leftovers of an interrupted format, and what mkfs makes. */
export const FILES_BEFORE_IDENTITY: ReadonlySet<string> = new Set([TEMPORARY_IDENTITY_FILE, LOCK_FILE, 'lost+found']);

/** A random UUID, version 4. */
export function makeUuid(random: Randomness): string {
  const bytes = random.bytes(16);
  bytes[6] = (bytes.readUInt8(6) & 0x0f) | 0x40;
  bytes[8] = (bytes.readUInt8(8) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The content of `disk.json`: readable JSON whose `checksum` covers all other members. */
export function encodeIdentity(identity: DiskIdentity): Buffer {
  const members = {
    formatVersion: DISK_FORMAT_VERSION,
    clusterId: identity.clusterId,
    diskId: identity.diskId,
    index: identity.index,
    k: identity.k,
    m: identity.m,
    diskIds: identity.diskIds,
    createdAt: new Date(identity.createdAtMs).toISOString(),
    addedAtSequence: identity.addedAtSequence,
  };
  return Buffer.from(`${JSON.stringify({ ...members, checksum: checksumOf(members) }, null, 2)}\n`);
}

/** A disk that only a newer server can read: unlike a damaged one it must not be treated as lost. */
export class NewerFormatError extends StoreError {
  constructor(where: string, version: number) {
    super(
      'FormatRefused',
      `${where} has disk format version ${version}; this server knows versions up to ${DISK_FORMAT_VERSION}`,
      { hint: 'start the newer server that wrote it' },
    );
  }
}

/** @throws StoreError FormatRefused: damaged; NewerFormatError. `where` is for messages. */
export function decodeIdentity(content: Buffer, where: string): DiskIdentity {
  let parsed: Record<string, unknown>;
  try {
    parsed = JSON.parse(content.toString('utf8')) as Record<string, unknown>;
  } catch (error) {
    throw damaged(where, 'it is not JSON', error);
  }
  if (typeof parsed !== 'object' || parsed === null) throw damaged(where, 'it is not an object');
  const { checksum, ...members } = parsed;
  const version = members['formatVersion'];
  if (typeof version === 'number' && version > DISK_FORMAT_VERSION) throw new NewerFormatError(where, version);
  if (checksum !== checksumOf(members)) throw damaged(where, 'its checksum does not match');
  const { clusterId, diskId, index, k, m, diskIds, createdAt, addedAtSequence = 0 } = members;
  const createdAtMs = Date.parse(String(createdAt));
  const identity = { clusterId, diskId, index, k, m, diskIds, createdAtMs, addedAtSequence };
  if (!isIdentity(identity)) throw damaged(where, 'its members make no sense');
  return identity;
}

function isIdentity(value: { [Name in keyof DiskIdentity]: unknown }): value is DiskIdentity {
  const { clusterId, diskId, index, k, m, diskIds, createdAtMs, addedAtSequence } = value;
  return (
    typeof clusterId === 'string' &&
    UUID.test(clusterId) &&
    Array.isArray(diskIds) &&
    diskIds.every((id) => typeof id === 'string' && UUID.test(id)) &&
    new Set(diskIds).size === diskIds.length &&
    Number.isInteger(index) &&
    diskIds[index as number] === diskId &&
    Number.isInteger(k) &&
    Number.isInteger(m) &&
    codeProblem({ k: k as number, m: m as number }, diskIds.length) === undefined &&
    Number.isFinite(createdAtMs) &&
    Number.isInteger(addedAtSequence) &&
    (addedAtSequence as number) >= 0
  );
}

/** Says what is wrong with a code for this number of disks; `undefined` when nothing is. */
export function codeProblem({ k, m }: ErasureCode, diskCount: number): string | undefined {
  if (!Number.isInteger(k) || k < 1 || k > 24) return `k must be from 1 to 24, not ${k}`;
  if (!Number.isInteger(m) || m < 0 || m > 6) return `m must be from 0 to 6, not ${m}`;
  if (k + m > diskCount) return `${k}+${m} needs at least ${k + m} disks, not ${diskCount}`;
  return undefined;
}

/**
 * The identity of a directory; `undefined` when it has none.
 * @throws StoreError FormatRefused (damaged, newer) | DiskMissing | DiskFailed
 */
export async function readIdentity(fs: DiskFs, where: string): Promise<DiskIdentity | undefined> {
  if ((await fs.stat(IDENTITY_FILE)) === undefined) return undefined;
  const file = await fs.open(IDENTITY_FILE, 'read');
  try {
    const content = Buffer.alloc(Math.min(LONGEST_IDENTITY_BYTES, await file.sizeBytes()));
    const count = await file.read(content, 0);
    return decodeIdentity(content.subarray(0, count), `${where}/${IDENTITY_FILE}`);
  } finally {
    await file.close();
  }
}

/** Durable and atomic: after a crash the directory has the whole identity or none. */
export async function writeIdentity(fs: DiskFs, identity: DiskIdentity): Promise<void> {
  await fs.unlink(TEMPORARY_IDENTITY_FILE);
  await fs.createDurable(TEMPORARY_IDENTITY_FILE);
  const file = await fs.open(TEMPORARY_IDENTITY_FILE, 'write');
  try {
    await file.write(encodeIdentity(identity), 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await fs.publish(TEMPORARY_IDENTITY_FILE, IDENTITY_FILE);
}

export async function isFormatComplete(fs: DiskFs): Promise<boolean> {
  return (await fs.stat(FORMAT_COMPLETE_FILE)) !== undefined;
}

function checksumOf(members: object): string {
  return createHash('sha256').update(JSON.stringify(members)).digest('hex');
}

function damaged(where: string, why: string, cause?: unknown): StoreError {
  return new StoreError('FormatRefused', `${where} is damaged: ${why}`, {
    hint: 'the other disks carry on without this one; if it is one of the cluster, replace it',
    cause,
  });
}
