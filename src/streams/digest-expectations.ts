import { checksumOfHeader, isBase64OfLength, parseChecksumAlgorithm } from '../checksums/checksum-algorithms.ts';
import type { ChecksumAlgorithmFacts } from '../checksums/checksum-algorithms.ts';
import { S3Error } from '../errors/s3-error.ts';
import type { ChecksumAlgorithm } from '../model/object-record.ts';
import type { Payload } from './payload.ts';
import type { DigestExpectation } from './request-body.ts';

export interface ExpectationSources {
  readonly headers: ReadonlyMap<string, string>;
  readonly payload: Payload;
  /**
   * False where `x-amz-checksum-*` speaks of something other than this body: in CompleteMultipartUpload it is the
   * object's.
   */
  readonly checksumHeadersDescribeBody: boolean;
  /** Trailers that came, by lower-case name. Asked only after the end of the body. */
  readonly trailer: (name: string) => string | undefined;
}

export interface ParsedExpectations {
  readonly expectations: readonly DigestExpectation[];
  /** Lower-case names of the trailers that must come. */
  readonly announcedTrailers: readonly string[];
}

const NOTHING: ParsedExpectations = { expectations: [], announcedTrailers: [] };

/**
 * Everything the client says the body hashes to.
 * @throws S3Error InvalidDigest (Content-MD5) | InvalidRequest (checksums) | MalformedTrailerError
 */
export function parseExpectations(sources: ExpectationSources): ParsedExpectations {
  const { headers, payload } = sources;
  const expectations: DigestExpectation[] = [];
  if (payload.kind === 'signed') {
    expectations.push({ kind: 'payload-sha256', algorithm: 'SHA256', value: () => payload.sha256Hex });
  }
  const contentMd5 = headers.get('content-md5');
  if (contentMd5 !== undefined) {
    if (!isBase64OfLength(contentMd5, 16))
      throw new S3Error('InvalidDigest', { details: { 'Content-MD5': contentMd5 } });
    expectations.push({ kind: 'content-md5', algorithm: 'MD5', value: () => contentMd5 });
  }
  const announcedTrailers = parseTrailerHeader(headers.get('x-amz-trailer'), payload);
  if (!sources.checksumHeadersDescribeBody) {
    if (announcedTrailers.length > 0) throw unsupportedTrailer();
  } else {
    const inHeader = headerChecksum(headers);
    const inTrailer = trailerChecksum(announcedTrailers, sources);
    if (inHeader !== undefined && inTrailer !== undefined) throw severalChecksums();
    const checksum = inHeader ?? inTrailer;
    if (checksum !== undefined) expectations.push(checksum);
    checkSdkAlgorithm(headers.get('x-amz-sdk-checksum-algorithm'), checksum?.algorithm);
  }
  if (expectations.length === 0 && announcedTrailers.length === 0) return NOTHING;
  return { expectations, announcedTrailers };
}

function headerChecksum(headers: ReadonlyMap<string, string>): DigestExpectation | undefined {
  let found: { facts: ChecksumAlgorithmFacts; value: string } | undefined;
  for (const [name, value] of headers) {
    const facts = name.startsWith('x-amz-checksum-') ? checksumOfHeader(name) : undefined;
    if (facts === undefined) continue;
    if (found !== undefined) throw severalChecksums();
    found = { facts, value };
  }
  if (found === undefined) return undefined;
  const { facts, value } = found;
  if (!isBase64OfLength(value, facts.lengthBytes)) throw invalidValue(facts.headerName);
  return { kind: 'checksum', algorithm: facts.algorithm, value: () => value };
}

function trailerChecksum(announced: readonly string[], { trailer }: ExpectationSources): DigestExpectation | undefined {
  const name = announced[0];
  if (name === undefined) return undefined;
  const facts = checksumOfHeader(name)!;
  const value = (): string => {
    const sent = trailer(name);
    if (sent === undefined) throw new S3Error('MalformedTrailerError');
    if (!isBase64OfLength(sent, facts.lengthBytes)) throw invalidValue(name);
    return sent;
  };
  return { kind: 'checksum', algorithm: facts.algorithm, value };
}

function parseTrailerHeader(value: string | undefined, payload: Payload): string[] {
  if (value === undefined) return [];
  const names = value.split(',').map((name) => name.trim().toLowerCase());
  if (payload.kind !== 'aws-chunked' || !payload.hasTrailer) throw unsupportedTrailer();
  if (names.length !== 1 || checksumOfHeader(names[0]!) === undefined) throw unsupportedTrailer();
  return names;
}

function checkSdkAlgorithm(value: string | undefined, found: ChecksumAlgorithm | undefined): void {
  if (value === undefined) return;
  const algorithm = parseChecksumAlgorithm(value);
  if (algorithm === undefined) throw invalidValue('x-amz-sdk-checksum-algorithm');
  if (found === undefined) {
    throw new S3Error('InvalidRequest', {
      message:
        'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    });
  }
  if (found !== algorithm) throw invalidValue('x-amz-sdk-checksum-algorithm');
}

function invalidValue(headerName: string): S3Error {
  return new S3Error('InvalidRequest', { message: `Value for ${headerName} header is invalid.` });
}

function unsupportedTrailer(): S3Error {
  return new S3Error('InvalidRequest', {
    message: 'The value specified in the x-amz-trailer header is not supported',
  });
}

function severalChecksums(): S3Error {
  return new S3Error('InvalidRequest', {
    message: 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
  });
}
