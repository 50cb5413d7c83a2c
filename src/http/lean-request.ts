import { IncomingMessage, type IncomingHttpHeaders } from 'node:http';

/** Names that node and the listener look at, by their length. */
const NAMES_BY_LENGTH: ReadonlyMap<number, 'host' | 'expect' | 'content-length' | 'transfer-encoding'> = new Map(
  (['host', 'expect', 'content-length', 'transfer-encoding'] as const).map((name) => [name.length, name]),
);
/** Of these node keeps the first when they are repeated; others it joins. */
const FIRST_COUNTS = new Set(['host', 'content-length']);

const headersOfNode = Object.getOwnPropertyDescriptor(IncomingMessage.prototype, 'headers')!;

/**
 * A request whose `headers` holds only what node and the listener ask for. Node makes an object of all headers for each
 * request, just to look for `Expect`; the S3 pipeline reads `rawHeaders`, once and by its own rules.
 */
export class LeanRequest extends IncomingMessage {
  few: IncomingHttpHeaders | undefined;
  hasAll = false;
}

Object.defineProperty(LeanRequest.prototype, 'headers', {
  ...headersOfNode,
  get(this: LeanRequest): IncomingHttpHeaders {
    return this.hasAll ? (headersOfNode.get!.call(this) as IncomingHttpHeaders) : (this.few ??= fewHeaders(this));
  },
});

/** For routes that read all of them. */
export function useAllHeaders(request: IncomingMessage): void {
  if (request instanceof LeanRequest) request.hasAll = true;
}

function fewHeaders({ rawHeaders }: IncomingMessage): IncomingHttpHeaders {
  const few: IncomingHttpHeaders = {};
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const raw = rawHeaders[index]!;
    const name = NAMES_BY_LENGTH.get(raw.length);
    if (name === undefined || raw.toLowerCase() !== name) continue;
    const earlier = few[name];
    if (earlier === undefined) few[name] = rawHeaders[index + 1]!;
    else if (!FIRST_COUNTS.has(name)) few[name] = `${earlier}, ${rawHeaders[index + 1]!}`;
  }
  return few;
}
