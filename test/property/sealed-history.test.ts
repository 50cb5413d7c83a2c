import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { digestOf } from '../../src/checksums/digest-of.ts';
import { S3Error } from '../../src/errors/s3-error.ts';
import {
  copySourceHeaders,
  CUSTOMER_HEADERS,
  type SealMode,
  sealHeaders,
  type VersionView,
  viewHistory,
} from '../support/history-view.ts';
import {
  createMemoryFixture,
  elementOf,
  elementsOf,
  type CallOptions,
  type CallResult,
  type MemoryFixture,
} from '../support/service-fixture.ts';

/** Versions, null versions, delete markers, locks, tags and all ways of encryption, together, against the plainest model. */
const HOUR = 3_600_000;
const KEYS = ['a', 'b/c'];
const MODES: readonly SealMode[] = ['plain', 'AES256', 'aws:kms', 'SSE-C'];

interface Lock {
  mode: 'GOVERNANCE' | 'COMPLIANCE';
  hours: number;
}

type Step =
  | {
      do: 'put' | 'multipart';
      key: number;
      mode: SealMode | 'default';
      size: number;
      tag?: string;
      lock?: Lock;
      isHeld: boolean;
    }
  | { do: 'copy'; key: number; from: number; version: number; mode: SealMode | 'default' }
  | { do: 'delete'; key: number }
  | { do: 'delete-version'; key: number; version: number; bypasses: boolean }
  | { do: 'tag'; key: number; version: number; tag: string | undefined }
  | { do: 'hold'; key: number; version: number; status: 'ON' | 'OFF' }
  | { do: 'default'; mode: 'AES256' | 'aws:kms' | undefined }
  | { do: 'versioning'; status: 'Enabled' | 'Suspended' }
  | { do: 'rotate' }
  | { do: 'wait'; hours: number };

const key = fc.nat(KEYS.length - 1);
const version = fc.nat(4);
const sealing = fc.constantFrom<SealMode | 'default'>(...MODES, 'default');
const tag = fc.constantFrom('red', 'blue');
const lock = fc.record({
  mode: fc.constantFrom<Lock['mode']>('GOVERNANCE', 'COMPLIANCE'),
  hours: fc.integer({ min: 1, max: 30 }),
});
const write = fc.record(
  {
    do: fc.constantFrom('put' as const, 'put' as const, 'multipart' as const),
    key,
    mode: sealing,
    size: fc.constantFrom(0, 1, 50, 65_536, 65_537),
    tag,
    lock,
    isHeld: fc.boolean(),
  },
  { requiredKeys: ['do', 'key', 'mode', 'size', 'isHeld'] },
);
const copy = fc.record({ do: fc.constant('copy' as const), key, from: key, version, mode: sealing });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: write },
  { weight: 3, arbitrary: copy },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('delete-version' as const), key, version, bypasses: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('tag' as const), key, version, tag: fc.option(tag, { nil: undefined }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('hold' as const), key, version, status: fc.constantFrom('ON', 'OFF') }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('default' as const),
      mode: fc.constantFrom('AES256', 'aws:kms', undefined),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('versioning' as const), status: fc.constantFrom('Enabled', 'Suspended') }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'rotate' as const }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const), hours: fc.integer({ min: 1, max: 20 }) }) },
);

type Content = Exclude<VersionView, { marker: true }>;

interface Version {
  id: string;
  view: VersionView;
  lock?: { mode: Lock['mode']; untilMs: number };
}

let s3: MemoryFixture;
let bucketCount = 0;
beforeAll(async () => {
  s3 = await createMemoryFixture();
});
afterAll(() => s3.stop());

function md5Of(body: string): Record<string, string> {
  return { 'content-md5': digestOf('MD5', Buffer.from(body)).toString('base64') };
}

/** One bucket, and what should be in it: newest first. */
class Bucket {
  readonly name = `bucket-${++bucketCount}`;
  readonly #hasLocks: boolean;
  readonly #versions = new Map<string, Version[]>(KEYS.map((name) => [name, []]));
  #versioning: 'Off' | 'Enabled' | 'Suspended';
  #default: 'AES256' | 'aws:kms' | undefined;
  #bodies = 0;

  constructor(hasLocks: boolean) {
    this.#hasLocks = hasLocks;
    this.#versioning = hasLocks ? 'Enabled' : 'Off';
  }

  async create(): Promise<void> {
    const headers = this.#hasLocks ? { 'x-amz-bucket-object-lock-enabled': 'true' } : {};
    await this.#call('CreateBucket', { headers });
  }

  #call(operation: string, options: CallOptions): Promise<CallResult> {
    return s3.call(operation, { bucket: this.name, isSecure: true, ...options });
  }

  async run(one: Step): Promise<void> {
    switch (one.do) {
      case 'put':
      case 'multipart':
        return await this.#write(one);
      case 'copy':
        return await this.#copy(one);
      case 'delete':
        return await this.#delete(KEYS[one.key]!);
      case 'delete-version':
        return await this.#deleteVersion(one);
      case 'tag':
        return await this.#tag(one);
      case 'hold':
        return await this.#hold(one);
      case 'default':
        return await this.#setDefault(one.mode);
      case 'versioning':
        if (!this.#hasLocks) await this.#setVersioning(one.status);
        return;
      case 'rotate':
        await s3.ring.rotate('sse-s3');
        return;
      case 'wait':
        s3.clock.jumpWallClock(one.hours * HOUR);
    }
  }

  async #write(one: Extract<Step, { do: 'put' | 'multipart' }>): Promise<void> {
    const name = KEYS[one.key]!;
    const body = `${++this.#bodies} `.repeat(one.size + 1).slice(0, one.size);
    const locked = this.#hasLocks ? one.lock : undefined;
    const isHeld = this.#hasLocks && one.isHeld;
    const untilMs = s3.clock.nowMs() + (locked?.hours ?? 0) * HOUR;
    const headers: Record<string, string> = {
      ...(one.mode === 'default' ? {} : sealHeaders(one.mode)),
      ...(one.tag === undefined ? {} : { 'x-amz-tagging': `colour=${one.tag}` }),
      ...(isHeld ? { 'x-amz-object-lock-legal-hold': 'ON' } : {}),
      ...(locked === undefined
        ? {}
        : {
            'x-amz-object-lock-mode': locked.mode,
            'x-amz-object-lock-retain-until-date': new Date(untilMs).toISOString(),
          }),
    };
    // "plain" asks for nothing, so the bucket's default counts.
    const mode = this.#effective(one.mode);
    const id =
      one.do === 'put' ? await this.#put(name, body, headers) : await this.#multipart(name, body, headers, mode);
    const view: Content = {
      body: body.length > 200 ? digestOf('SHA256', Buffer.from(body)).toString('hex') : body,
      mode,
      tags: one.tag === undefined ? '' : `colour=${one.tag}`,
      hold: isHeld ? 'ON' : 'OFF',
      retention: locked === undefined ? '' : `${locked.mode} ${untilMs}`,
    };
    this.#add(name, { id, view, ...(locked === undefined ? {} : { lock: { mode: locked.mode, untilMs } }) });
  }

  #effective(mode: SealMode | 'default'): SealMode {
    return mode === 'plain' || mode === 'default' ? (this.#default ?? 'plain') : mode;
  }

  async #put(name: string, body: string, headers: Record<string, string>): Promise<string> {
    const put = await this.#call('PutObject', { key: name, body, headers: { ...md5Of(body), ...headers } });
    return String(put.headers['x-amz-version-id'] ?? 'null');
  }

  async #multipart(name: string, body: string, headers: Record<string, string>, mode: SealMode): Promise<string> {
    const created = await this.#call('CreateMultipartUpload', { key: name, headers });
    const uploadId = elementOf(created.body, 'UploadId')!;
    const own = mode === 'SSE-C' ? CUSTOMER_HEADERS : {};
    const query = { uploadId, partNumber: '1' };
    const part = await this.#call('UploadPart', { key: name, query, headers: { ...own, ...md5Of(body) }, body });
    const listed = `<Part><PartNumber>1</PartNumber><ETag>${part.headers['etag']}</ETag></Part>`;
    const completed = await this.#call('CompleteMultipartUpload', {
      key: name,
      query: { uploadId },
      headers: own,
      body: `<CompleteMultipartUpload>${listed}</CompleteMultipartUpload>`,
    });
    return String(completed.headers['x-amz-version-id'] ?? 'null');
  }

  async #copy({ key: to, from, version: index, mode: wanted }: Extract<Step, { do: 'copy' }>): Promise<void> {
    const source = this.#versions.get(KEYS[from]!)![index];
    if (source === undefined || 'marker' in source.view) return;
    const mode = this.#effective(wanted);
    // Onto itself with nothing new S3 refuses a copy.
    if (from === to && wanted !== 'SSE-C' && wanted !== 'AES256' && wanted !== 'aws:kms') return;
    const headers = {
      'x-amz-copy-source': `/${this.name}/${KEYS[from]}?versionId=${source.id}`,
      ...copySourceHeaders(source.view.mode),
      ...(wanted === 'default' ? {} : sealHeaders(wanted)),
    };
    const copied = await this.#call('CopyObject', { key: KEYS[to]!, headers });
    const { body, tags } = source.view;
    const view: Content = { body, tags, mode, hold: 'OFF', retention: '' };
    this.#add(KEYS[to]!, { id: String(copied.headers['x-amz-version-id'] ?? 'null'), view });
  }

  #add(name: string, made: Version): void {
    const before = this.#versions.get(name)!;
    expect(made.id === 'null').toBe(this.#versioning !== 'Enabled');
    this.#versions.set(name, [made, ...before.filter(({ id }) => id !== made.id)]);
  }

  async #delete(name: string): Promise<void> {
    const { headers } = await this.#call('DeleteObject', { key: name });
    if (this.#versioning === 'Off') {
      this.#versions.set(name, []);
      return;
    }
    expect(headers['x-amz-delete-marker']).toBe('true');
    this.#add(name, { id: String(headers['x-amz-version-id']), view: { marker: true } });
  }

  async #deleteVersion({ key: at, version: index, bypasses }: Extract<Step, { do: 'delete-version' }>): Promise<void> {
    const name = KEYS[at]!;
    const versions = this.#versions.get(name)!;
    const found = versions[index];
    if (found === undefined) return;
    const headers: Record<string, string> = bypasses ? { 'x-amz-bypass-governance-retention': 'true' } : {};
    const removing = this.#call('DeleteObject', { key: name, query: { versionId: found.id }, headers });
    if (this.#isProtected(found, bypasses)) {
      await expect(removing).rejects.toMatchObject({ code: 'AccessDenied' });
      return;
    }
    await removing;
    this.#versions.set(
      name,
      versions.filter((each) => each !== found),
    );
  }

  #isProtected({ view, lock: retained }: Version, bypasses: boolean): boolean {
    if ('marker' in view) return false;
    if (view.hold === 'ON') return true;
    if (retained === undefined || retained.untilMs <= s3.clock.nowMs()) return false;
    return retained.mode === 'COMPLIANCE' || !bypasses;
  }

  async #tag({ key: at, version: index, tag: value }: Extract<Step, { do: 'tag' }>): Promise<void> {
    const found = this.#versions.get(KEYS[at]!)![index];
    if (found === undefined || 'marker' in found.view) return;
    const query = { versionId: found.id };
    if (value === undefined) await this.#call('DeleteObjectTagging', { key: KEYS[at]!, query });
    else {
      const body = `<Tagging><TagSet><Tag><Key>colour</Key><Value>${value}</Value></Tag></TagSet></Tagging>`;
      const headers = md5Of(body);
      await this.#call('PutObjectTagging', { key: KEYS[at]!, query, body, headers });
    }
    found.view = { ...found.view, tags: value === undefined ? '' : `colour=${value}` };
  }

  async #hold({ key: at, version: index, status }: Extract<Step, { do: 'hold' }>): Promise<void> {
    const found = this.#versions.get(KEYS[at]!)![index];
    if (!this.#hasLocks || found === undefined || 'marker' in found.view) return;
    const body = `<LegalHold><Status>${status}</Status></LegalHold>`;
    const headers = md5Of(body);
    await this.#call('PutObjectLegalHold', { key: KEYS[at]!, query: { versionId: found.id }, body, headers });
    found.view = { ...found.view, hold: status };
  }

  async #setDefault(mode: 'AES256' | 'aws:kms' | undefined): Promise<void> {
    this.#default = mode;
    if (mode === undefined) {
      await this.#call('DeleteBucketEncryption', {});
      return;
    }
    const rule = `<ApplyServerSideEncryptionByDefault><SSEAlgorithm>${mode}</SSEAlgorithm></ApplyServerSideEncryptionByDefault>`;
    const body = `<ServerSideEncryptionConfiguration><Rule>${rule}</Rule></ServerSideEncryptionConfiguration>`;
    const headers = md5Of(body);
    await this.#call('PutBucketEncryption', { body, headers });
  }

  async #setVersioning(status: 'Enabled' | 'Suspended'): Promise<void> {
    this.#versioning = status;
    const record = await s3.services.buckets.requireBucket(this.name);
    await s3.services.buckets.putConfiguration(record, { name: 'versioning', value: { status } });
  }

  /** Everything by its id, and the current object as GET without one and a listing show it. */
  async check(): Promise<void> {
    const histories = await viewHistory((operation, options) => s3.call(operation, options), this.name);
    for (const name of KEYS) {
      const versions = this.#versions.get(name)!;
      const expected = versions.map(({ id, view }, index) => ({ versionId: id, isLatest: index === 0, view }));
      expect(histories[name] ?? []).toEqual(expected);
      const [current] = versions;
      const headers =
        current !== undefined && 'mode' in current.view && current.view.mode === 'SSE-C' ? CUSTOMER_HEADERS : {};
      const got = await this.#call('GetObject', { key: name, headers }).catch((error: unknown) => {
        if (!(error instanceof S3Error)) throw error;
        return error.code;
      });
      if (current === undefined || 'marker' in current.view) expect(got).toBe('NoSuchKey');
      else expect((got as CallResult).headers['x-amz-version-id'] ?? 'null').toBe(current.id);
    }
    const { body } = await this.#call('ListObjectsV2', {});
    const listed = KEYS.filter((name) => {
      const [current] = this.#versions.get(name)!;
      return current !== undefined && !('marker' in current.view);
    });
    expect(elementsOf(body, 'Key')).toEqual(listed);
  }
}

test.each([true, false])(
  'whatever is written, sealed, copied, tagged, locked and deleted: the history is that of the model (locks: %s)',
  { timeout: 120_000 },
  async (hasLocks) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 8, maxLength: 30 }), async (steps) => {
        const bucket = new Bucket(hasLocks);
        await bucket.create();
        for (const one of steps) await bucket.run(one);
        await bucket.check();
      }),
      { numRuns: 25 },
    );
  },
);
