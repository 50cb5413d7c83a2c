import { createHash } from 'node:crypto';
import { S3Error } from '../../src/errors/s3-error.ts';
import type { CallOptions, CallResult } from './service-fixture.ts';

export const SSE = 'x-amz-server-side-encryption';

export type SealMode = 'plain' | 'AES256' | 'aws:kms' | 'SSE-C';

const CUSTOMER_KEY = Buffer.alloc(32, 11);
/** On every request that touches an SSE-C version. */
export const CUSTOMER_HEADERS: Record<string, string> = {
  [`${SSE}-customer-algorithm`]: 'AES256',
  [`${SSE}-customer-key`]: CUSTOMER_KEY.toString('base64'),
  [`${SSE}-customer-key-md5`]: createHash('md5').update(CUSTOMER_KEY).digest('base64'),
};

/** On uploads. */
export function sealHeaders(mode: SealMode): Record<string, string> {
  if (mode === 'SSE-C') return CUSTOMER_HEADERS;
  return mode === 'plain' ? {} : { [SSE]: mode };
}

/** Of the source of a copy. */
export function copySourceHeaders(mode: SealMode): Record<string, string> {
  if (mode !== 'SSE-C') return {};
  return Object.fromEntries(
    Object.entries(CUSTOMER_HEADERS).map(([name, value]) => [name.replace('x-amz-', 'x-amz-copy-source-'), value]),
  );
}

/** A version or delete marker as a client sees all of it; `versionId` apart. */
export type VersionView =
  | { marker: true }
  | {
      body: string;
      mode: SealMode;
      tags: string;
      hold: 'ON' | 'OFF';
      /** Mode and end of the retention, or nothing. */
      retention: string;
    };

export interface ListedView {
  versionId: string;
  isLatest: boolean;
  view: VersionView;
}

type Call = (operation: string, options: CallOptions) => Promise<CallResult>;

/** All versions of a bucket, by key and the newest first, each read by its id in every way there is. */
export async function viewHistory(call: Call, bucket: string): Promise<Record<string, ListedView[]>> {
  const listed = (await call('ListObjectVersions', { bucket })).body.toString();
  const histories: Record<string, ListedView[]> = {};
  for (const [, element = '', fields = ''] of listed.matchAll(/<(Version|DeleteMarker)>(.*?)<\/\1>/gs)) {
    const of = (name: string): string => new RegExp(`<${name}>(.*?)</${name}>`, 's').exec(fields)?.[1] ?? '';
    const [key, versionId] = [of('Key'), of('VersionId')];
    const isMarker = element === 'DeleteMarker';
    const view: VersionView = isMarker ? { marker: true } : await viewVersion(call, { bucket, key, versionId });
    (histories[key] ??= []).push({ versionId, isLatest: of('IsLatest') === 'true', view });
  }
  return histories;
}

async function viewVersion(
  call: Call,
  { bucket, key, versionId }: { bucket: string; key: string; versionId: string },
): Promise<VersionView> {
  const at = { bucket, key, query: { versionId }, isSecure: true };
  const read = async (operation: string): Promise<CallResult> => {
    try {
      return await call(operation, at);
    } catch (error) {
      if (!(error instanceof S3Error) || error.code !== 'InvalidRequest') throw error;
      return await call(operation, { ...at, headers: CUSTOMER_HEADERS });
    }
  };
  const { headers, body } = await read('GetObject');
  const isCustomers = headers[`${SSE}-customer-algorithm`] !== undefined;
  const tagging = (await call('GetObjectTagging', at)).body.toString();
  const until = headers['x-amz-object-lock-retain-until-date'];
  return {
    body: body.length > 200 ? createHash('sha256').update(body).digest('hex') : body.toString(),
    mode: isCustomers ? 'SSE-C' : ((headers[SSE] ?? 'plain') as SealMode),
    tags: [...tagging.matchAll(/<Key>(.*?)<\/Key><Value>(.*?)<\/Value>/gs)].map(([, k, v]) => `${k}=${v}`).join('&'),
    hold: headers['x-amz-object-lock-legal-hold'] === 'ON' ? 'ON' : 'OFF',
    retention: until === undefined ? '' : `${headers['x-amz-object-lock-mode']} ${Date.parse(String(until))}`,
  };
}

/** The same without ids, which are random. */
export function withoutIds(histories: Record<string, ListedView[]>): Record<string, [boolean, VersionView][]> {
  return Object.fromEntries(
    Object.entries(histories).map(([key, versions]) => [key, versions.map(({ isLatest, view }) => [isLatest, view])]),
  );
}
