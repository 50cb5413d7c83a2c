import { S3Error } from '../errors/s3-error.ts';
import type { ChunkSignatureVerifier } from './payload.ts';

const TRAILER_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):(.*)$/;
const SIGNATURE_NAME = 'x-amz-trailer-signature';

/**
 * The section behind the last chunk. AWS's own example ends a trailer with LF CRLF, SDKs with CRLF: blank lines are
 * skipped, and with a `verifier` the signature over what was read must follow as the last line.
 * @param section one character per byte
 * @returns lower-case names and values, exactly the announced ones
 * @throws S3Error MalformedTrailerError | SignatureDoesNotMatch
 */
export function parseTrailers(
  section: string,
  options: { announced: readonly string[]; verifier: ChunkSignatureVerifier | undefined },
): ReadonlyMap<string, string> {
  const trailers = new Map<string, string>();
  let signature: string | undefined;
  for (const line of section.split(/\r?\n/)) {
    if (line === '') continue;
    const match = TRAILER_LINE.exec(line);
    if (match === null || signature !== undefined) throw new S3Error('MalformedTrailerError');
    const name = match[1]!.toLowerCase();
    const value = match[2]!.trim();
    if (name === SIGNATURE_NAME && options.verifier !== undefined) {
      signature = value;
    } else if (trailers.has(name) || !options.announced.includes(name)) {
      throw new S3Error('MalformedTrailerError');
    } else {
      trailers.set(name, value);
    }
  }
  for (const name of options.announced) if (!trailers.has(name)) throw new S3Error('MalformedTrailerError');
  if (options.verifier !== undefined) {
    if (signature === undefined) throw new S3Error('MalformedTrailerError');
    const canonicalTrailers = [...trailers.keys()].sort().map((name) => `${name}:${trailers.get(name)}\n`);
    options.verifier.verifyTrailer({ canonicalTrailers: canonicalTrailers.join(''), signature });
  }
  return trailers;
}
