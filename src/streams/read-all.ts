import { S3Error } from '../errors/s3-error.ts';
import { HttpRequestBody } from './http-request-body.ts';
import type { RequestBody } from './request-body.ts';

/** A whole body in memory. @throws S3Error EntityTooLarge before more than `limitBytes` are kept, and as iteration does */
export async function readAll(body: RequestBody, limitBytes: number): Promise<Buffer> {
  return joined(await readPieces(body, limitBytes));
}

/** The same in the pieces it came in, for whoever copies them into a buffer of its own. */
export async function readPieces(body: RequestBody, limitBytes: number): Promise<readonly Buffer[]> {
  if (body instanceof HttpRequestBody) return body.readPieces(limitBytes);
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of body) {
    sizeBytes += piece.length;
    if (sizeBytes > limitBytes) {
      throw new S3Error('EntityTooLarge', { details: { ProposedSize: sizeBytes, MaxSizeAllowed: limitBytes } });
    }
    pieces.push(piece);
  }
  return pieces;
}

/** One piece is not copied. */
export function joined(pieces: readonly Buffer[]): Buffer {
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}
