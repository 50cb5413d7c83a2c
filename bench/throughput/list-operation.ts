import type { Failure, ListPage } from './job.ts';
import { KEYS_PER_USER, TREE_PREFIX, treeKey, treeUser } from './key-space.ts';
import { type Lane, type Operation, type Scope, failureOf, kindNumber, wrong } from './operations.ts';
import { signedHead } from './sign-request.ts';

const FIRST_COLLECTED_BYTES = 512 * 1024;

/** Keeps the body of one answer in a buffer that is used again. */
class Collector {
  #buffer = Buffer.allocUnsafe(FIRST_COLLECTED_BYTES);
  #length = 0;

  begin(): void {
    this.#length = 0;
  }

  write(bytes: Buffer, start: number, end: number): void {
    if (this.#length + end - start > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(2 * (this.#length + end - start));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    bytes.copy(this.#buffer, this.#length, start, end);
    this.#length += end - start;
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

const collectors = new WeakMap<Lane, Collector>();

interface ListOptions {
  keyCount: number;
  pageSize: number;
  page: ListPage;
}

/**
 * One page of ListObjectsV2 from a known place, checked key by key the first time it is read; the same bytes again need no
 * second check. `sizeBytes` of it is 0: a page counts as one operation.
 */
export function listOperation(scope: Scope, options: ListOptions): Operation {
  const { page, pageSize, keyCount } = options;
  const path = `/${scope.bucket}?${listQuery(page, pageSize)}`;
  const head = signedHead(scope.signer, { method: 'GET', path });
  let known: Buffer | undefined;
  return {
    kind: kindNumber('LIST'),
    operationId: page.first,
    sizeBytes: 0,
    run: async (lane): Promise<Failure | undefined> => {
      const collector = collectors.get(lane) ?? new Collector();
      collectors.set(lane, collector);
      collector.begin();
      const answer = await lane.connection.send({ head, sink: collector });
      if (answer.status !== 200) return failureOf(answer, `GET ${path}`);
      if (known?.equals(collector.bytes) === true) return undefined;
      const text = collector.bytes.toString('utf8');
      const problem = checkPage(text, expectedPage(page, { pageSize, keyCount }));
      if (problem !== undefined) return wrong('wrong listing', `GET ${path}: ${problem}`);
      known = Buffer.from(collector.bytes);
      return undefined;
    },
  };
}

function listQuery({ first, hasDelimiter }: ListPage, pageSize: number): string {
  const before = first === 0 ? '' : hasDelimiter ? treeKey(first * KEYS_PER_USER - 1) : treeKey(first - 1);
  const rest = hasDelimiter ? `&delimiter=%2F&prefix=${encodeURIComponent(TREE_PREFIX)}` : '';
  const start = before === '' ? '' : `&start-after=${encodeURIComponent(before)}`;
  return `list-type=2&max-keys=${pageSize}${rest}${start}`;
}

export interface ExpectedPage {
  element: 'Key' | 'Prefix';
  /** In order. */
  names: string[];
  isTruncated: boolean;
}

export function expectedPage(
  { first, hasDelimiter }: ListPage,
  { pageSize, keyCount }: { pageSize: number; keyCount: number },
): ExpectedPage {
  const total = hasDelimiter ? Math.ceil(keyCount / KEYS_PER_USER) : keyCount;
  const end = Math.min(total, first + pageSize);
  const nameOf = hasDelimiter ? treeUser : treeKey;
  return {
    element: hasDelimiter ? 'Prefix' : 'Key',
    names: Array.from({ length: end - first }, (_, index) => nameOf(first + index)),
    isTruncated: end < total,
  };
}

/** What is wrong with a page, or undefined. */
export function checkPage(text: string, { element, names, isTruncated }: ExpectedPage): string | undefined {
  // With a delimiter the request's own prefix stands before the common prefixes.
  let at = element === 'Prefix' ? Math.max(0, text.indexOf('<CommonPrefixes>')) : 0;
  const [open, close] = [`<${element}>`, `</${element}>`];
  for (const [index, expected] of names.entries()) {
    const found = text.indexOf(open, at);
    const end = text.indexOf(close, found);
    if (found === -1 || end === -1) return `${index} names instead of ${names.length}`;
    const name = text.slice(found + open.length, end);
    if (name !== expected) return `name ${index} is ${name} instead of ${expected}`;
    at = end;
  }
  const rest = text.slice(at);
  if (rest.includes(open) && !rest.slice(rest.indexOf(open)).startsWith(`${open}${TREE_PREFIX}${close}`)) {
    return `more than ${names.length} names`;
  }
  if (/<IsTruncated>true/.test(text) !== isTruncated) return `IsTruncated is not ${isTruncated}`;
  return undefined;
}
