import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { S3Error } from '../errors/s3-error.ts';

const CHECK_BYTES = 4;

/**
 * A position in a listing as an opaque token: base64url of a short check and the entry's UTF-8 bytes. The check tells a
 * token of ours from anything else; it is no secret, because a token says nothing that `start-after` could not say.
 */
export function makeContinuationToken(entry: string): string {
  const bytes = Buffer.from(entry);
  return Buffer.concat([checkOf(bytes), bytes]).toString('base64url');
}

/** @throws S3Error InvalidArgument when the token is not one of ours */
export function readContinuationToken(token: string): string {
  const bytes = Buffer.from(token, 'base64url');
  const entry = bytes.subarray(CHECK_BYTES);
  if (bytes.length <= CHECK_BYTES || !checkOf(entry).equals(bytes.subarray(0, CHECK_BYTES)) || !isUtf8(entry)) {
    throw new S3Error('InvalidArgument', {
      message: 'The continuation token provided is incorrect',
      details: { ArgumentName: 'continuation-token' },
    });
  }
  return entry.toString();
}

function checkOf(bytes: Buffer): Buffer {
  return createHash('sha256').update('continuation:').update(bytes).digest().subarray(0, CHECK_BYTES);
}
