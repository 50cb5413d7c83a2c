import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { digestOf } from '../../src/checksums/digest-of.ts';
import { S3Error } from '../../src/errors/s3-error.ts';
import { createMemoryFixture, elementsOf, type CallResult, type MemoryFixture } from '../support/service-fixture.ts';

const HOUR = 3_600_000;
const KEYS = ['a', 'b'];

type Mode = 'GOVERNANCE' | 'COMPLIANCE';
type Step =
  | { do: 'put' | 'copy' | 'multipart'; key: number; lock: { mode: Mode; hours: number } | undefined; isHeld: boolean }
  | { do: 'delete'; key: number; version: number; bypasses: boolean }
  | { do: 'delete-many'; bypasses: boolean }
  | { do: 'cover'; key: number }
  | { do: 'retain'; key: number; version: number; mode: Mode; hours: number; bypasses: boolean }
  | { do: 'unretain'; key: number; version: number; bypasses: boolean }
  | { do: 'hold'; key: number; version: number; status: 'ON' | 'OFF' }
  | { do: 'tag'; key: number; version: number }
  | { do: 'default'; mode: Mode | undefined }
  | { do: 'wait'; hours: number }
  | { do: 'suspend' | 'delete-bucket' };

const mode = fc.constantFrom<Mode>('GOVERNANCE', 'COMPLIANCE');
const key = fc.nat(KEYS.length - 1);
const version = fc.nat(5);
const hours = fc.integer({ min: 1, max: 40 });
const bypasses = fc.boolean();
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constantFrom('put' as const, 'put' as const, 'copy' as const, 'multipart' as const),
    key,
    lock: fc.option(fc.record({ mode, hours }), { nil: undefined }),
    isHeld: fc.boolean(),
  }),
  fc.record({ do: fc.constant('delete' as const), key, version, bypasses }),
  fc.record({ do: fc.constant('delete' as const), key, version, bypasses }),
  fc.record({ do: fc.constant('delete-many' as const), bypasses }),
  fc.record({ do: fc.constant('cover' as const), key }),
  fc.record({ do: fc.constant('retain' as const), key, version, mode, hours, bypasses }),
  fc.record({ do: fc.constant('unretain' as const), key, version, bypasses }),
  fc.record({ do: fc.constant('hold' as const), key, version, status: fc.constantFrom('ON' as const, 'OFF' as const) }),
  fc.record({ do: fc.constant('tag' as const), key, version }),
  fc.record({ do: fc.constant('default' as const), mode: fc.option(mode, { nil: undefined }) }),
  fc.record({ do: fc.constant('wait' as const), hours }),
  fc.record({ do: fc.constantFrom('suspend' as const, 'delete-bucket' as const) }),
);

/** What was promised of a version, in the plainest words: until when each kind of promise lasts. */
interface Promised {
  key: string;
  versionId: string;
  body: string;
  meta: string;
  complianceUntilMs: number;
  governanceUntilMs: number;
  isHeld: boolean;
}

let s3: MemoryFixture;
let bucketCount = 0;
beforeAll(async () => {
  s3 = await createMemoryFixture();
});
afterAll(() => s3.stop());

/** One bucket with Object Lock, driven through the handlers as clients drive it, beside the promises it has made. */
class LockedBucket {
  readonly #bucket = `bucket-${++bucketCount}`;
  readonly #promises: Promised[] = [];
  #default: Mode | undefined;
  #writes = 0;

  async create(): Promise<this> {
    await s3.call('CreateBucket', { bucket: this.#bucket, headers: { 'x-amz-bucket-object-lock-enabled': 'true' } });
    return this;
  }

  async run(it: Step): Promise<void> {
    switch (it.do) {
      case 'put':
      case 'copy':
      case 'multipart':
        return this.#write(it);
      case 'cover':
        await this.#try('DeleteObject', { key: KEYS[it.key]! });
        return;
      case 'wait':
        s3.clock.jumpWallClock(it.hours * HOUR);
        return;
      case 'suspend':
        await this.#try('PutBucketVersioning', {
          body: '<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>',
        });
        return;
      case 'delete-bucket':
        if (await this.#try('DeleteBucket', {})) await this.create();
        return;
      case 'default':
        return this.#setDefault(it.mode);
      case 'delete-many':
        return this.#deleteMany(it.bypasses);
      default:
        return this.#change(it);
    }
  }

  /** Every version whose promise holds is there with its bytes, its metadata and its lock. */
  async check(): Promise<void> {
    const nowMs = s3.clock.nowMs();
    for (const { key: name, versionId, body, meta, ...until } of this.#promises) {
      const isPromised = until.isHeld || Math.max(until.complianceUntilMs, until.governanceUntilMs) > nowMs;
      if (!isPromised) continue;
      const got = await s3.call('GetObject', { bucket: this.#bucket, key: name, query: { versionId } });
      expect([got.body.toString(), got.headers['x-amz-meta-a']]).toEqual([body, meta]);
      if (until.complianceUntilMs > nowMs) {
        expect(got.headers['x-amz-object-lock-mode']).toBe('COMPLIANCE');
        expect(Date.parse(String(got.headers['x-amz-object-lock-retain-until-date']))).toBe(until.complianceUntilMs);
      }
    }
  }

  async #write(it: Extract<Step, { do: 'put' | 'copy' | 'multipart' }>): Promise<void> {
    const name = KEYS[it.key]!;
    const meta = String(++this.#writes);
    const untilMs = it.lock && s3.clock.nowMs() + it.lock.hours * HOUR;
    const headers: Record<string, string> = { 'x-amz-meta-a': meta };
    if (it.lock) {
      headers['x-amz-object-lock-mode'] = it.lock.mode;
      headers['x-amz-object-lock-retain-until-date'] = new Date(untilMs!).toISOString();
    }
    if (it.isHeld) headers['x-amz-object-lock-legal-hold'] = 'ON';
    let body = `body ${meta}`;
    let written: CallResult;
    if (it.do === 'put') {
      written = await s3.call('PutObject', { bucket: this.#bucket, key: name, body, headers: digested(body, headers) });
    } else if (it.do === 'multipart') {
      written = await this.#multipart(name, body, headers);
    } else {
      const source = this.#promises.find((promise) => promise.isHeld);
      if (source === undefined) return;
      const from = `${this.#bucket}/${source.key}?versionId=${source.versionId}`;
      const copied = { 'x-amz-copy-source': from, 'x-amz-metadata-directive': 'REPLACE', ...headers };
      written = await s3.call('CopyObject', { bucket: this.#bucket, key: name, headers: copied });
      body = source.body;
    }
    const given = it.lock?.mode ?? this.#default;
    const until = untilMs ?? s3.clock.nowMs() + 24 * HOUR;
    this.#promises.push({
      key: name,
      versionId: String(written.headers['x-amz-version-id']),
      body,
      meta,
      complianceUntilMs: given === 'COMPLIANCE' ? until : 0,
      governanceUntilMs: given === 'GOVERNANCE' ? until : 0,
      isHeld: it.isHeld,
    });
  }

  async #multipart(name: string, body: string, headers: Record<string, string>): Promise<CallResult> {
    const target = { bucket: this.#bucket, key: name };
    const uploadId = elementsOf((await s3.call('CreateMultipartUpload', { ...target, headers })).body, 'UploadId')[0]!;
    const query = { uploadId, partNumber: '1' };
    const part = await s3.call('UploadPart', { ...target, query, body, headers: digested(body) });
    const list = `<Part><PartNumber>1</PartNumber><ETag>${String(part.headers['etag'])}</ETag></Part>`;
    const document = `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`;
    return s3.call('CompleteMultipartUpload', { ...target, query: { uploadId }, body: document });
  }

  async #setDefault(wanted: Mode | undefined): Promise<void> {
    const rule = `<Rule><DefaultRetention><Mode>${wanted}</Mode><Days>1</Days></DefaultRetention></Rule>`;
    const body = `<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>${wanted ? rule : ''}</ObjectLockConfiguration>`;
    if (await this.#try('PutObjectLockConfiguration', { body })) this.#default = wanted;
  }

  async #deleteMany(isBypassing: boolean): Promise<void> {
    const objects = this.#promises.map(
      (promise) => `<Object><Key>${promise.key}</Key><VersionId>${promise.versionId}</VersionId></Object>`,
    );
    if (objects.length === 0) return;
    const body = `<Delete>${objects.join('')}</Delete>`;
    const { body: answer } = (await this.#try('DeleteObjects', { body, headers: bypass(isBypassing) }))!;
    const deleted = /<Deleted>.*?<\/Deleted>/g;
    for (const [entry] of answer.toString().matchAll(deleted)) {
      const versionId = /<VersionId>(.*)<\/VersionId>/.exec(entry)![1]!;
      this.#removed(
        this.#promises.find((promise) => promise.versionId === versionId)!,
        isBypassing,
      );
    }
  }

  async #change(it: Extract<Step, { version: number }>): Promise<void> {
    const ofKey = this.#promises.filter((promise) => promise.key === KEYS[it.key]);
    const target = ofKey[it.version % Math.max(1, ofKey.length)];
    if (target === undefined) return;
    const request = { key: target.key, query: { versionId: target.versionId } };
    switch (it.do) {
      case 'delete':
        if (await this.#try('DeleteObject', { ...request, headers: bypass(it.bypasses) })) {
          this.#removed(target, it.bypasses);
        }
        return;
      case 'hold': {
        const body = `<LegalHold><Status>${it.status}</Status></LegalHold>`;
        if (await this.#try('PutObjectLegalHold', { ...request, body })) target.isHeld = it.status === 'ON';
        return;
      }
      case 'tag':
        await this.#try('PutObjectTagging', { ...request, body: '<Tagging><TagSet/></Tagging>' });
        return;
      case 'unretain':
        if (await this.#try('PutObjectRetention', { ...request, body: '<Retention/>', headers: bypass(it.bypasses) })) {
          this.#retained(target, undefined, it.bypasses);
        }
        return;
      case 'retain': {
        const untilMs = s3.clock.nowMs() + it.hours * HOUR;
        const date = new Date(untilMs).toISOString();
        const body = `<Retention><Mode>${it.mode}</Mode><RetainUntilDate>${date}</RetainUntilDate></Retention>`;
        if (await this.#try('PutObjectRetention', { ...request, body, headers: bypass(it.bypasses) })) {
          this.#retained(target, { mode: it.mode, untilMs }, it.bypasses);
        }
      }
    }
  }

  #retained(target: Promised, given: { mode: Mode; untilMs: number } | undefined, isBypassing: boolean): void {
    const nowMs = s3.clock.nowMs();
    if (target.complianceUntilMs > nowMs) {
      expect(given?.mode).toBe('COMPLIANCE');
      expect(given!.untilMs).toBeGreaterThanOrEqual(target.complianceUntilMs);
    }
    if (target.governanceUntilMs > nowMs && !isBypassing) {
      expect(given?.mode).toBe('GOVERNANCE');
      expect(given!.untilMs).toBeGreaterThanOrEqual(target.governanceUntilMs);
    }
    target.complianceUntilMs = given?.mode === 'COMPLIANCE' ? given.untilMs : 0;
    target.governanceUntilMs = given?.mode === 'GOVERNANCE' ? given.untilMs : 0;
  }

  #removed(target: Promised, isBypassing: boolean): void {
    const nowMs = s3.clock.nowMs();
    expect(target.isHeld).toBe(false);
    expect(target.complianceUntilMs).toBeLessThanOrEqual(nowMs);
    if (!isBypassing) expect(target.governanceUntilMs).toBeLessThanOrEqual(nowMs);
    this.#promises.splice(this.#promises.indexOf(target), 1);
  }

  /** `undefined`: refused, as S3 refuses. */
  async #try(
    operation: string,
    request: { key?: string; query?: Record<string, string>; body?: string; headers?: Record<string, string> },
  ): Promise<CallResult | undefined> {
    const headers = request.body === undefined ? request.headers : digested(request.body, request.headers);
    try {
      return await s3.call(operation, { ...request, bucket: this.#bucket, ...(headers ? { headers } : {}) });
    } catch (error) {
      if (error instanceof S3Error && error.status < 500) return undefined;
      throw error;
    }
  }
}

function digested(body: string, headers: Record<string, string> = {}): Record<string, string> {
  return { ...headers, 'content-md5': digestOf('MD5', Buffer.from(body)).toString('base64') };
}

function bypass(isBypassing: boolean): Record<string, string> {
  return isBypassing ? { 'x-amz-bypass-governance-retention': 'true' } : {};
}

test('whatever is done, a locked version keeps its bytes and metadata until its promises end', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const bucket = await new LockedBucket().create();
      for (const it of steps) {
        await bucket.run(it);
        await bucket.check();
      }
    }),
    { numRuns: 60 },
  );
});
