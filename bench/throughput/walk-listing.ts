import type { Figure } from './figure.ts';
import { HttpConnection } from './http-connection.ts';
import { KEYS_PER_USER, TREE_PREFIX } from './key-space.ts';
import { checkPage, expectedPage } from './list-operation.ts';
import type { ServerUnderTest } from './server-under-test.ts';
import { signedHead } from './sign-request.ts';
import { percentile } from './statistics.ts';

const PAGE_SIZE = 1000;
const READ_BUFFER_BYTES = 256 * 1024;

interface WalkOptions {
  bucket: string;
  keyCount: number;
  hasDelimiter: boolean;
}

/** Follows the continuation tokens of one listing to its end on one connection, and checks every name. */
export async function walkListing(
  server: ServerUnderTest,
  { bucket, keyCount, hasDelimiter }: WalkOptions,
): Promise<{ figures: Figure[]; problems: string[] }> {
  const connection = new HttpConnection(server.address, READ_BUFFER_BYTES);
  await connection.open();
  const durations: number[] = [];
  const problems: string[] = [];
  const total = hasDelimiter ? Math.ceil(keyCount / KEYS_PER_USER) : keyCount;
  const query = `list-type=2&max-keys=${PAGE_SIZE}${hasDelimiter ? `&delimiter=%2F&prefix=${encodeURIComponent(TREE_PREFIX)}` : ''}`;
  let token = '';
  for (let first = 0; first < total; first += PAGE_SIZE) {
    const rest = token === '' ? '' : `&continuation-token=${encodeURIComponent(token)}`;
    const head = signedHead(server.signer, { method: 'GET', path: `/${bucket}?${query}${rest}` });
    const began = performance.now();
    const { status, text } = await connection.send({ head });
    durations.push(performance.now() - began);
    const problem =
      status === 200
        ? checkPage(text, expectedPage({ first, hasDelimiter }, { pageSize: PAGE_SIZE, keyCount }))
        : `${status} ${text.slice(0, 200)}`;
    if (problem !== undefined) problems.push(`listing from end to end: WRONG page of ${first}: ${problem}`);
    token = /<NextContinuationToken>([^<]+)/.exec(text)?.[1] ?? '';
    if (token === '') break;
  }
  connection.close();
  return { figures: walkFigures(durations, { server: server.name, hasDelimiter, total }), problems };
}

function walkFigures(
  durations: readonly number[],
  { server, hasDelimiter, total }: { server: string; hasDelimiter: boolean; total: number },
): Figure[] {
  const name = hasDelimiter ? 'walk.delimiter' : 'walk.keys';
  const how = `${total} ${hasDelimiter ? 'common prefixes' : 'keys'} in pages of ${PAGE_SIZE}, one connection, each checked`;
  const p50 = (part: readonly number[]): number => percentile(Float64Array.from(part).sort(), 0.5);
  const tenth = Math.max(1, Math.floor(durations.length / 10));
  const seconds = durations.reduce((sum, ms) => sum + ms, 0) / 1000;
  return [
    { id: `${name}.rate`, server, value: total / seconds, unit: 'names/s', how },
    { id: `${name}.p50`, server, value: p50(durations), unit: 'ms', how },
    {
      id: `${name}.first-tenth`,
      server,
      value: p50(durations.slice(0, tenth)),
      unit: 'ms',
      how: `p50 of its first pages`,
    },
    { id: `${name}.last-tenth`, server, value: p50(durations.slice(-tenth)), unit: 'ms', how: `p50 of its last pages` },
  ];
}
