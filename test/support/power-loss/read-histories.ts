import { createHash } from 'node:crypto';
import { S3Error } from '../../../src/errors/s3-error.ts';
import type { S3ErrorCode } from '../../../src/errors/s3-errors.ts';
import { type CallOptions, type CallResult, elementOf } from '../service-fixture.ts';
import type { TestServer } from '../server-process.ts';
import { signRequest } from '../signed-client.ts';
import { describeHistory, VERSIONED_BUCKET, type VersionFacts } from './version-workload.ts';

type Call = (operation: string, options: CallOptions) => Promise<CallResult>;

/**
 * Reads every version of every key and compares it with what it may be.
 * @param allowed key → histories, as `describeHistory` says them
 * @returns one sentence for each promise that does not hold
 */
export async function checkHistories(call: Call, allowed: ReadonlyMap<string, readonly string[]>): Promise<string[]> {
  const violations: string[] = [];
  for (const [key, histories] of allowed) {
    try {
      const history = describeHistory(await readHistory(call, key));
      if (!histories.includes(history)) violations.push(`${key}: its versions may not be ${history}`);
    } catch (error) {
      violations.push(`${key}: unreadable: ${String(error)}`);
    }
  }
  return violations;
}

/** Newest version first. */
export async function readHistory(call: Call, key: string): Promise<VersionFacts[]> {
  const listing = { bucket: VERSIONED_BUCKET, query: { prefix: key } };
  const answer = await absent(call('ListObjectVersions', listing), 'NoSuchBucket');
  if (answer === undefined) return [];
  const entries = [...answer.body.toString().matchAll(/<(Version|DeleteMarker)>(.*?)<\/\1>/gs)];
  return Promise.all(
    entries.map(async ([, kind, entry = '']) => {
      const versionId = elementOf(entry, 'VersionId') ?? '';
      return kind === 'DeleteMarker' ? { versionId } : { versionId, content: await readContent(call, key, versionId) };
    }),
  );
}

async function readContent(call: Call, key: string, versionId: string) {
  const at = { bucket: VERSIONED_BUCKET, key, query: { versionId } };
  const { body, headers } = await call('GetObject', at);
  const tagging = (await call('GetObjectTagging', at)).body.toString();
  const tags = [...tagging.matchAll(/<Tag>(.*?)<\/Tag>/gs)].map(
    ([, tag = '']) => `${elementOf(tag, 'Key')}=${elementOf(tag, 'Value')}`,
  );
  const lock = 'NoSuchObjectLockConfiguration';
  const retention = await absent(call('GetObjectRetention', at), lock);
  const legalHold = await absent(call('GetObjectLegalHold', at), lock);
  return {
    sha256: createHash('sha256').update(body).digest('hex'),
    tags: tags.join('&'),
    encryption: String(headers['x-amz-server-side-encryption'] ?? ''),
    retention: retention === undefined ? '' : (elementOf(retention.body, 'RetainUntilDate') ?? '?'),
    legalHold: legalHold === undefined ? '' : (elementOf(legalHold.body, 'Status') ?? '?'),
  };
}

async function absent(answer: Promise<CallResult>, code: S3ErrorCode): Promise<CallResult | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof S3Error && error.code === code) return undefined;
    throw error;
  }
}

const SELECTORS: Readonly<Record<string, string>> = {
  ListObjectVersions: 'versions',
  GetObjectTagging: 'tagging',
  GetObjectRetention: 'retention',
  GetObjectLegalHold: 'legal-hold',
};

/** Calls reading operations of a server that runs. */
export function callOver(server: TestServer): Call {
  return async (operation, { bucket = '', key = '', query = {} }) => {
    const selector = SELECTORS[operation];
    const parameters = Object.entries({ ...(selector !== undefined && { [selector]: '' }), ...query });
    const text = parameters.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&');
    const { host, hostname, port } = new URL(server.endpoint);
    const path = `/${bucket}/${key}${text === '' ? '' : `?${text}`}`;
    const signed = signRequest({ host: hostname, port: Number(port) }, server, { path, signQuery: true });
    const answer = await fetch(`http://${host}${signed.path}`);
    const body = Buffer.from(await answer.arrayBuffer());
    if (!answer.ok) throw new S3Error((elementOf(body, 'Code') ?? 'InternalError') as S3ErrorCode);
    return { status: answer.status, headers: Object.fromEntries(answer.headers), body };
  };
}
