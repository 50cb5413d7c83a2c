import { IamError } from '../errors/iam-error.ts';
import { integer, optional, text } from './parameter.ts';

/** Of every List operation of IAM. */
export const PAGING_PARAMETERS = {
  Marker: optional(text({ min: 1, max: 2048 })),
  MaxItems: optional(integer({ min: 1, max: 1000 })),
};

const DEFAULT_ITEMS = 100;

export interface Page<T> {
  readonly items: readonly T[];
  readonly IsTruncated: boolean;
  readonly Marker: string | undefined;
}

/**
 * One page of a list that is in memory, ascending by `nameOf`. A marker is the last name of the page before, so that
 * what is added or removed in between moves nothing.
 * @throws IamError ValidationError
 */
export function pageOf<T>(
  all: readonly T[],
  { Marker, MaxItems }: { Marker: string | undefined; MaxItems: number | undefined },
  nameOf: (item: T) => string,
): Page<T> {
  const after = Marker === undefined ? undefined : decodeMarker(Marker);
  const rest = after === undefined ? all : all.filter((item) => nameOf(item) > after);
  const items = rest.slice(0, MaxItems ?? DEFAULT_ITEMS);
  const IsTruncated = items.length < rest.length;
  return { items, IsTruncated, Marker: IsTruncated ? encodeMarker(nameOf(items.at(-1)!)) : undefined };
}

function encodeMarker(name: string): string {
  return Buffer.from(name).toString('base64url');
}

function decodeMarker(marker: string): string {
  const name = Buffer.from(marker, 'base64url').toString();
  if (encodeMarker(name) !== marker) throw new IamError('ValidationError', 'Invalid Marker.');
  return name;
}
