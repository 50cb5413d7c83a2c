import { IamError } from '../errors/iam-error.ts';
import { decodePercent } from '../s3/sigv4/percent-encoding.ts';
import type { QueryPair } from '../s3/sigv4/raw-request.ts';

const MAXIMUM_PAIRS = 2000;

/**
 * The form parameters of a request, wherever they stand: query or body. A name that comes twice is refused, so that no
 * two readers of a request can disagree.
 *
 * @param body bytes of an `application/x-www-form-urlencoded` body
 * @throws IamError MalformedQueryString
 */
export function parseQueryParameters(pairs: readonly QueryPair[], body: Buffer): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  const add = (name: string, value: string): void => {
    if (parameters.has(name)) throw malformed(`The parameter ${name} is given more than once.`);
    if (parameters.size >= MAXIMUM_PAIRS) throw malformed('The request has too many parameters.');
    parameters.set(name, value);
  };
  for (const { name, value } of pairs) add(name, value);
  if (body.length === 0) return parameters;
  for (const piece of body.toString('latin1').split('&')) {
    if (piece === '') continue;
    const equals = piece.indexOf('=');
    const name = decodePercent(equals === -1 ? piece : piece.slice(0, equals), { plusIsSpace: true });
    const value = equals === -1 ? '' : decodePercent(piece.slice(equals + 1), { plusIsSpace: true });
    if (name === undefined || value === undefined) throw malformed('The body is not a well-formed form.');
    add(name, value);
  }
  return parameters;
}

function malformed(message: string): IamError {
  return new IamError('MalformedQueryString', message);
}
