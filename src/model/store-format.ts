import { S3Error } from '../errors/s3-error.ts';

/**
 * The on-disk format of a store is a fact of its journal, not of the program: an upgraded server keeps writing the format
 * it finds, byte for byte, so that the former version still opens the store, until `holdfast upgrade --finalize`.
 */
export const NEWEST_STORE_FORMAT = 2;

/** By format: the first version of Holdfast that opens it, and what it brings. */
export const STORE_FORMATS: Readonly<Record<number, { neededVersion: string; brings: string }>> = {
  1: { neededVersion: '0.1.0', brings: 'objects, multipart uploads, volumes' },
  2: {
    neededVersion: '0.2.0',
    brings:
      'versioning, object lock, bucket tagging, lifecycle, encryption, storage classes with a code of their own, users and roles',
  },
};

/**
 * For what is written in a newer format only. Services ask before they do any work; the commit asks again.
 * @throws S3Error NotImplemented, which names the command that raises the format
 */
export function requireStoreFormat(formatVersion: number, needed: number, feature: string): void {
  if (formatVersion >= needed) return;
  throw new S3Error('NotImplemented', {
    message: `${feature} needs on-disk format ${needed}; this store is kept in format ${formatVersion}, which the former version of Holdfast can open. "holdfast upgrade --finalize" raises it.`,
  });
}
