import type { RequestBody } from './request-body.ts';

/**
 * A body of unknown length with its first bytes taken: one that ends within `limitBytes` has a length then. Consumes
 * `body`; what comes back is iterated in its place.
 * @throws what the iteration throws
 */
export async function peekBody(body: RequestBody, limitBytes: number): Promise<RequestBody> {
  const iterator = body[Symbol.asyncIterator]();
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  let isAtEnd = false;
  while (sizeBytes <= limitBytes && !isAtEnd) {
    const next = await iterator.next();
    if (next.done === true) isAtEnd = true;
    else {
      pieces.push(next.value);
      sizeBytes += next.value.length;
    }
  }
  return {
    lengthBytes: isAtEnd ? sizeBytes : undefined,
    expectations: body.expectations,
    async *[Symbol.asyncIterator]() {
      yield* pieces.splice(0);
      if (!isAtEnd) yield* { [Symbol.asyncIterator]: () => iterator };
    },
  };
}
