import { S3Error } from '../../errors/s3-error.ts';

/** Bound through the payload line of the canonical request, so it need not be listed. */
const EXEMPT = 'x-amz-content-sha256';

/**
 * Whoever holds a signature must not be able to add what it does not cover: Host and every `x-amz-*` header that is
 * present must be among the signed ones.
 * @throws S3Error AccessDenied with the names in HeadersNotSigned
 */
export function requireSignedHeaders(headers: ReadonlyMap<string, string>, signedHeaders: readonly string[]): void {
  let missing: string[] | undefined;
  for (const name of headers.keys()) {
    const mustBeSigned = name === 'host' || (name.startsWith('x-amz-') && name !== EXEMPT);
    if (mustBeSigned && !signedHeaders.includes(name)) (missing ??= []).push(name);
  }
  if (missing === undefined) return;
  throw new S3Error('AccessDenied', {
    message: 'There were headers present in the request which were not signed',
    details: { HeadersNotSigned: missing.sort().join(', ') },
  });
}
