import type { ByteRange, DataPiece } from '../../data-store/data-store.ts';
import type { ObjectPart, ObjectRecord } from '../../model/object-record.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { AuthorizeKey, CustomerKey } from './encryption-modes.ts';
import { type EncryptionService, refuseCustomerKey } from './encryption-service.ts';
import type { VersionSealing } from './version-sealing.ts';

/** What a request brings to read an encrypted version. */
export interface ReadPermit {
  readonly customerKey: CustomerKey | undefined;
  readonly authorizeKey: AuthorizeKey;
}

/** An object and what opens it. */
export interface Unsealed {
  /** With its checksums in the clear. */
  readonly object: ObjectRecord;
  /** `undefined`: it is not encrypted. */
  readonly sealing: VersionSealing | undefined;
}

/** @throws as EncryptionService.open; S3Error InvalidRequest (a customer's key for an object that has none) */
export async function unseal(service: EncryptionService, object: ObjectRecord, permit: ReadPermit): Promise<Unsealed> {
  const { bucketId, key, versionId, encryption } = object;
  if (encryption === undefined) {
    refuseCustomerKey(permit.customerKey);
    return { object, sealing: undefined };
  }
  const sealing = await service.open({
    bucketId,
    key,
    versionId: versionId === 'null' ? undefined : versionId,
    encryption,
    customerKey: permit.customerKey,
    authorizeKey: permit.authorizeKey,
  });
  const revealed: ObjectRecord = { ...object };
  if (object.checksum) revealed.checksum = openChecksum(sealing, object.checksum);
  if (object.parts) revealed.parts = object.parts.map((part) => revealPart(sealing, part));
  return { object: revealed, sealing };
}

export function openChecksum<C extends { value: string }>(sealing: VersionSealing, checksum: C): C {
  return { ...checksum, value: sealing.openChecksum(checksum.value) };
}

/** Opened when somebody looks: there may be ten thousand, and most requests look at none. */
function revealPart(sealing: VersionSealing, part: ObjectPart): ObjectPart {
  const { partNumber, sizeBytes, checksum: sealed } = part;
  if (sealed === undefined) return part;
  return {
    partNumber,
    sizeBytes,
    get checksum() {
      return sealing.openChecksum(sealed);
    },
  };
}

export function sealPart(part: ObjectPart, sealing: VersionSealing): ObjectPart {
  const { partNumber, sizeBytes, checksum } = part;
  if (checksum === undefined) return part;
  return { partNumber, sizeBytes, checksum: sealing.sealChecksum({ value: checksum }).value };
}

/** The plain bytes of a range, whether it is encrypted or not. @throws as ObjectReader.open */
export function openRange(
  reader: ObjectReader,
  { object, sealing }: Unsealed,
  range: ByteRange,
): Promise<Buffer | AsyncIterableIterator<DataPiece>> {
  return sealing === undefined ? reader.open(object, range) : reader.openSealed(object, range, sealing);
}

/** The same as a body to be written again. Copies each piece, because the pool takes its buffer back before that. */
export async function* rangeAsBody(reader: ObjectReader, source: Unsealed, range: ByteRange): AsyncGenerator<Buffer> {
  const body = await openRange(reader, source, range);
  if (Buffer.isBuffer(body)) {
    if (body.length > 0) yield body;
    return;
  }
  for await (const piece of body) {
    const copy = Buffer.from(piece.bytes);
    piece.release();
    yield copy;
  }
}
