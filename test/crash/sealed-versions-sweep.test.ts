import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { FaultDiskFs } from '../../src/disk/fault-disk-fs.ts';
import type { CrashMode } from '../../src/disk/simulated-node.ts';
import {
  copySourceHeaders,
  CUSTOMER_HEADERS,
  sealHeaders,
  type VersionView,
  viewHistory,
  withoutIds,
} from '../support/history-view.ts';
import { codeOf, elementOf, type CallOptions, type CallResult } from '../support/service-fixture.ts';
import { settle } from '../support/simulated-clock.ts';
import { SimulatedService } from '../support/simulated-service.ts';

/**
 * Versions, delete markers, locks, holds, tags and every way of encryption, in one row of writes: stopped at the Nth call
 * that changes a disk. `SEALED_SWEEP_STEP=1` visits every one; by default some are.
 */
const STEP = Number(process.env['SEALED_SWEEP_STEP'] ?? 61);
const CODE = { k: 2, m: 1 };
const BUCKET = 'bucket';
/** A simulated clock begins with 2026. */
const UNTIL = '2026-02-01T00:00:00.000Z';

type Histories = Record<string, [boolean, VersionView][]>;

function md5Of(body: string | Buffer): Record<string, string> {
  return { 'content-md5': createHash('md5').update(body).digest('base64') };
}

/** The writes; each resolves when it is acknowledged. Ids of versions are kept as they come. */
class Work {
  readonly ids: string[] = [];
  readonly #call: (operation: string, options: CallOptions) => Promise<CallResult>;

  constructor(service: SimulatedService) {
    this.#call = (operation, options) => service.call(operation, { bucket: BUCKET, isSecure: true, ...options });
  }

  steps(): (() => Promise<unknown>)[] {
    const lock = (mode: string): Record<string, string> => ({
      'x-amz-object-lock-mode': mode,
      'x-amz-object-lock-retain-until-date': UNTIL,
    });
    const call = this.#call;
    const onVersion = (index: number) => ({ key: 'key', query: { versionId: this.ids[index]! } });
    const withBody = (operation: string, index: number, body: string) =>
      call(operation, { ...onVersion(index), body, headers: md5Of(body) });
    return [
      () => call('CreateBucket', { headers: { 'x-amz-bucket-object-lock-enabled': 'true' } }),
      () => this.#put('first', sealHeaders('AES256')),
      () => this.#put('second', sealHeaders('SSE-C')),
      () => this.#put('third', { ...sealHeaders('aws:kms'), ...lock('COMPLIANCE'), 'x-amz-tagging': 'a=b' }),
      () => this.#put('fourth', { 'x-amz-object-lock-legal-hold': 'ON', ...lock('GOVERNANCE') }),
      () => withBody('PutObjectLegalHold', 1, '<LegalHold><Status>ON</Status></LegalHold>'),
      () => call('DeleteObject', { key: 'key' }),
      () =>
        withBody('PutObjectTagging', 0, '<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>'),
      async () => expect(await codeOf(call('DeleteObject', onVersion(1)))).toBe('AccessDenied'),
      async () => expect(await codeOf(call('DeleteObject', onVersion(2)))).toBe('AccessDenied'),
      () => this.#multipart(),
      () => this.#copy(1, 'SSE-C', 'AES256'),
      () => this.#copy(2, 'aws:kms', 'aws:kms'),
      () => call('PutBucketEncryption', this.#bucketDefault()),
      () => this.#put('large '.repeat(60_000), {}),
      () => withBody('PutObjectLegalHold', 1, '<LegalHold><Status>OFF</Status></LegalHold>'),
      () => call('DeleteObject', onVersion(1)),
      () => call('DeleteObject', onVersion(0)),
    ];
  }

  async #put(body: string, headers: Record<string, string>): Promise<void> {
    const put = await this.#call('PutObject', { key: 'key', body, headers: { ...md5Of(body), ...headers } });
    this.ids.push(String(put.headers['x-amz-version-id']));
  }

  async #multipart(): Promise<void> {
    const key = 'parts';
    const created = await this.#call('CreateMultipartUpload', { key, headers: sealHeaders('SSE-C') });
    const uploadId = elementOf(created.body, 'UploadId')!;
    const query = { uploadId, partNumber: '1' };
    const part = await this.#call('UploadPart', {
      key,
      query,
      headers: CUSTOMER_HEADERS,
      body: 'a part '.repeat(9000),
    });
    const listed = `<Part><PartNumber>1</PartNumber><ETag>${part.headers['etag']}</ETag></Part>`;
    const body = `<CompleteMultipartUpload>${listed}</CompleteMultipartUpload>`;
    await this.#call('CompleteMultipartUpload', { key, query: { uploadId }, headers: CUSTOMER_HEADERS, body });
  }

  async #copy(index: number, from: 'SSE-C' | 'aws:kms', to: 'AES256' | 'aws:kms'): Promise<void> {
    const source = { 'x-amz-copy-source': `/${BUCKET}/key?versionId=${this.ids[index]}`, ...copySourceHeaders(from) };
    await this.#call('CopyObject', { key: 'copy', headers: { ...source, ...sealHeaders(to) } });
  }

  #bucketDefault(): CallOptions {
    const body =
      '<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>';
    return { body, headers: md5Of(body) };
  }
}

interface World {
  service: SimulatedService;
  faults: FaultDiskFs[];
}

async function begin(seed: number): Promise<World> {
  const faults: FaultDiskFs[] = [];
  const clock = { nowMs: () => 0, monotonicMs: () => 0, schedule: () => () => {} };
  const wrap = (fs: ConstructorParameters<typeof FaultDiskFs>[0], index: number): FaultDiskFs =>
    (faults[index] = new FaultDiskFs(fs, clock));
  const service = await SimulatedService.format({ code: CODE, seed, wrap });
  await service.start();
  return { service, faults };
}

async function viewOf(service: SimulatedService): Promise<Histories> {
  if ((await service.process.metadata.getBucket(BUCKET)) === undefined) return {};
  const call = (operation: string, options: CallOptions) => service.withTime(service.call(operation, options));
  return withoutIds(await viewHistory(call, BUCKET));
}

/** What is there after none, one, … all of the writes. */
async function statesOfAWholeRun(): Promise<Histories[]> {
  const { service } = await begin(1);
  const states = [await viewOf(service)];
  for (const step of new Work(service).steps()) {
    await service.withTime(step());
    states.push(await viewOf(service));
  }
  await service.destroy();
  return states;
}

/** `undefined`: the work ended before the Nth call. Else how many writes were acknowledged. */
async function crashAt(world: World, nth: number, mode: CrashMode): Promise<number | undefined> {
  const { service, faults } = world;
  const steps = new Work(service).steps();
  let [calls, acknowledged] = [0, 0];
  const state = { hasCrashed: false, hasEnded: false };
  const action = (): void => {
    calls += 1;
    if (calls !== nth) return;
    state.hasCrashed = true;
    service.cluster.crash(mode);
  };
  for (const fault of faults) {
    fault.addFault({ operation: 'mutation', times: 1e9, effect: { kind: 'do', action } });
  }
  const working = (async () => {
    for (const step of steps) {
      await step();
      if (state.hasCrashed) return;
      acknowledged += 1;
    }
  })().finally(() => (state.hasEnded = true));
  working.catch(() => undefined);
  for (let turn = 0; !state.hasCrashed && !state.hasEnded; turn += 1) {
    await settle();
    if (turn > 50) await service.cluster.clock.advance(20);
    if (turn > 30_000) throw new Error('work never ended');
  }
  if (!state.hasCrashed) await working;
  for (const fault of faults) fault.clearFaults();
  return state.hasCrashed ? acknowledged : undefined;
}

test.each(['drop-all', 'random', 'keep-all'] as const)(
  'a crash (%s) at the Nth changing call: every acknowledged version, marker, lock, tag and envelope is there, and what was under way is whole or not at all',
  { timeout: 240_000 },
  async (mode) => {
    const states = await statesOfAWholeRun();
    const first = { 'drop-all': 1, random: 14, 'keep-all': 27 }[mode];
    let visits = 0;
    for (let nth = first; ; nth += STEP) {
      const world = await begin(nth);
      const { service } = world;
      const acknowledged = await crashAt(world, nth, mode);
      if (acknowledged === undefined) {
        await service.destroy();
        break;
      }
      visits += 1;
      await service.crash('keep-all', 'lost');
      const absent = nth % (CODE.k + CODE.m + 1);
      if (absent < 3) service.cluster.detach([absent]);
      await service.start();
      const found = await viewOf(service);
      const what = `crash at call ${nth}, ${acknowledged} acknowledged`;
      expect([states[acknowledged], states[acknowledged + 1]], what).toContainEqual(found);
      await expectLocksHold(service, found, what);
      await service.destroy();
    }
    expect(visits).toBeGreaterThan(2);
  },
);

async function expectLocksHold(service: SimulatedService, before: Histories, what: string): Promise<void> {
  if (!('key' in before)) return;
  const call = (operation: string, options: CallOptions) => service.withTime(service.call(operation, options));
  const histories = await viewHistory(call, BUCKET);
  for (const { versionId, view } of histories['key']!) {
    if ('marker' in view || (view.hold === 'OFF' && view.retention === '')) continue;
    const removing = call('DeleteObject', { bucket: BUCKET, key: 'key', query: { versionId } });
    expect(await codeOf(removing), what).toBe('AccessDenied');
  }
  await call('PutObject', {
    bucket: BUCKET,
    key: 'later',
    body: 'later',
    headers: { ...md5Of('later'), ...sealHeaders('AES256') },
  });
  const after = await viewOf(service);
  const { later, ...rest } = after;
  expect(rest, what).toEqual(before);
  expect(later, what).toMatchObject([[true, { body: 'later', mode: 'AES256' }]]);
}
