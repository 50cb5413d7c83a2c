import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checksumOfHeader } from '../../src/checksums/checksum-algorithms.ts';
import { DigestPool } from '../../src/checksums/digest-pool.ts';
import { prepareChecksums } from '../../src/checksums/wasm-hashers.ts';
import type { DataStore } from '../../src/data-store/data-store.ts';
import { S3Error } from '../../src/errors/s3-error.ts';
import type { S3ErrorCode } from '../../src/errors/s3-errors.ts';
import { BufferPool } from '../../src/memory/buffer-pool.ts';
import type { Journal } from '../../src/metadata-store/journal/journal.ts';
import { SqliteMetadataStore } from '../../src/metadata-store/sqlite/sqlite-metadata-store.ts';
import type { MetadataStore } from '../../src/metadata-store/metadata-store.ts';
import type { VolumeLedger } from '../../src/model/blob.ts';
import type { Clock } from '../../src/model/clock.ts';
import type { ChecksumAlgorithm } from '../../src/model/object-record.ts';
import { silentLog } from '../../src/observability/log.ts';
import { SystemRandomness } from '../../src/observability/system-clock.ts';
import { OPERATION_TABLE } from '../../src/s3/operation-table.ts';
import type { S3Request, S3Response } from '../../src/s3/operation.ts';
import { BucketService } from '../../src/service/buckets.ts';
import { LifecycleService } from '../../src/service/lifecycle/lifecycle-service.ts';
import { ListingService } from '../../src/service/listing.ts';
import { MultipartService } from '../../src/service/multipart-uploads.ts';
import { ObjectService } from '../../src/service/objects.ts';
import { BucketEncryptionService } from '../../src/service/bucket-encryption.ts';
import type { KeyRing } from '../../src/keys/key-ring.ts';
import type { ServiceStores } from '../../src/service/service-stores.ts';
import type { S3Services } from '../../src/service/services.ts';
import { StorageClasses } from '../../src/service/storage-classes.ts';
import type { DigestExpectation, RequestBody } from '../../src/streams/request-body.ts';
import { MemoryDataStore } from './memory-data-store.ts';
import { MemoryJournal } from './memory-journal.ts';
import { testAccessControl } from './access-control-fixture.ts';
import { ALICE } from './metadata-fixtures.ts';
import { ManualClock } from './simulated-clock.ts';
import { makeTestEncryption } from './encryption-fixture.ts';

export const REGION = 'us-east-1';

export interface CallOptions {
  bucket?: string;
  key?: string;
  query?: Record<string, string>;
  headers?: Record<string, string>;
  body?: Buffer | string | RequestBody;
  isSigned?: boolean;
  isSecure?: boolean;
  /** Throws where the caller may not use a key. */
  authorizeKey?: (action: string, keyArn: string) => Promise<void>;
}

export interface CallResult {
  status: number;
  headers: Record<string, string | number>;
  body: Buffer;
}

/** Handlers of operations on real services, without HTTP: what the pipeline would hand them is built here. */
export interface ServiceFixture {
  readonly services: S3Services;
  readonly stores: ServiceStores;
  readonly ring: KeyRing;
  readonly metadata: MetadataStore;
  readonly clock: ManualClock;
  /** Calls an operation's handler and reads its answer to the end. */
  call(operation: string, options?: CallOptions): Promise<CallResult>;
  createBucket(name: string): Promise<void>;
  put(bucket: string, key: string, body: Buffer | string, headers?: Record<string, string>): Promise<CallResult>;
  get(bucket: string, key: string, headers?: Record<string, string>): Promise<CallResult>;
  stop(): Promise<void>;
}

export interface ServiceFixtureOptions {
  makeDataStore?: (ledger: VolumeLedger) => DataStore;
  journal?: Journal;
  defaultChecksum?: ChecksumAlgorithm | undefined;
  encryption?: Partial<Parameters<typeof makeTestEncryption>[1]>;
}

export interface MemoryFixture extends ServiceFixture {
  readonly data: MemoryDataStore;
}

/** SQLite over a journal in memory, and bytes in memory. */
export async function createMemoryFixture(
  options: Omit<ServiceFixtureOptions, 'makeDataStore'> & {
    smallBlobLimitBytes?: number;
    pieceSizeBytes?: number;
  } = {},
): Promise<MemoryFixture> {
  let data: MemoryDataStore | undefined;
  const fixture = await createServiceFixture({
    ...options,
    makeDataStore: (ledger) => (data = new MemoryDataStore({ ledger, ...options })),
  });
  return { ...fixture, data: data! };
}

export async function createServiceFixture(options: ServiceFixtureOptions): Promise<ServiceFixture> {
  await prepareChecksums();
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-service-'));
  const clock = new ManualClock();
  const metadata = new SqliteMetadataStore({
    journal: options.journal ?? new MemoryJournal(),
    indexPath: join(folder, 'index.sqlite'),
    clock,
    randomness: new SystemRandomness(),
    log: silentLog,
  });
  await metadata.start(() => {});
  const ledger = ledgerOf(metadata);
  const dataStore = options.makeDataStore?.(ledger) ?? new MemoryDataStore({ ledger });
  await dataStore.start();
  const digests = new DigestPool({ workerCount: 1 });
  const randomness = new SystemRandomness();
  const { encryption, ring } = await makeTestEncryption(metadata, { clock, randomness, ...options.encryption });
  const stores: ServiceStores = {
    encryption,
    metadataStore: metadata,
    dataStore,
    bodyBuffers: new BufferPool({ slotSizeBytes: 256 * 1024, budgetBytes: 4 * 1024 * 1024 }),
    digests,
    clock,
    randomness,
    defaultChecksum: 'defaultChecksum' in options ? options.defaultChecksum : 'CRC64NVME',
  };
  const services = createServices(stores, clock);
  const call = (operation: string, callOptions: CallOptions = {}): Promise<CallResult> =>
    callOperation(services, clock, operation, callOptions);
  return {
    services,
    stores,
    ring,
    metadata,
    clock,
    call,
    createBucket: (name) => services.buckets.createBucket({ name, owner: ALICE, locationConstraint: undefined }),
    put: (bucket, key, body, headers = {}) => call('PutObject', { bucket, key, body, headers }),
    get: (bucket, key, headers = {}) => call('GetObject', { bucket, key, headers }),
    stop: async () => {
      await dataStore.stop();
      await digests.stop();
      await metadata.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

export function createServices(stores: ServiceStores, clock: Clock): S3Services {
  const { metadataStore } = stores;
  const buckets = new BucketService({
    metadataStore,
    clock,
    region: REGION,
    blocksCustomerKeys: false,
    blocksPublicAccess: true,
  });
  const objects = new ObjectService(stores);
  const storageClasses = new StorageClasses({
    ...stores,
    bucketClasses: [{ pattern: 'reduced-*', storageClass: 'REDUCED_REDUNDANCY' }],
  });
  return {
    region: REGION,
    clock,
    buckets,
    accessControl: testAccessControl(),
    accountPublicAccess: { of: () => undefined, set: async () => {} },
    bucketEncryption: new BucketEncryptionService({ metadataStore, serverDefault: undefined }),
    listing: new ListingService({ metadataStore, buckets }),
    objects,
    multipart: new MultipartService(stores, objects),
    lifecycle: new LifecycleService({
      buckets,
      randomness: stores.randomness,
      storageClasses: () => storageClasses.names(),
      onChange: () => {},
    }),
    allowsCustomerKeysOverHttp: false,
    storageClasses,
  };
}

/** How the data store speaks to the journal. */
export function ledgerOf(metadata: MetadataStore): VolumeLedger {
  return {
    epoch: () => metadata.epoch(),
    nextIdentifier: () => metadata.nextIdentifier(),
    openVolume: async (volume) => metadata.commit({ type: 'OpenVolume', volume }),
    sealVolume: async (volumeId, lengthBytes) => metadata.commit({ type: 'SealVolume', volumeId, lengthBytes }),
    dropVolume: async (volumeId) => metadata.commit({ type: 'DropVolume', volumeId }),
    confirmDrop: async (volumeId, diskIds) => metadata.commit({ type: 'ConfirmDrop', volumeId, diskIds }),
    moveShard: async (move) => metadata.commit({ type: 'MoveShard', ...move }),
    listVolumes: () => metadata.listVolumes(),
    whenDecided: async () => metadata.commit({ type: 'RecordDamage', damage: [] }),
  };
}

export async function callOperation(
  services: S3Services,
  clock: Clock,
  name: string,
  options: CallOptions,
): Promise<CallResult> {
  const operation = OPERATION_TABLE.find((row) => row.name === name);
  if (!operation || operation.handler === 'not-implemented') throw new Error(`no handler for ${name}`);
  const { bucket = '', key = '', query = {}, headers = {}, isSigned = true } = options;
  const headerMap = new Map(Object.entries(headers));
  const request: S3Request = {
    requestId: 'TEST',
    operation,
    method: operation.method,
    resource: `/${bucket}/${key}`,
    bucket,
    key,
    query: new Map(Object.entries(query)),
    queryPairs: Object.entries(query).map(([name, value]) => ({ name, value })),
    headers: headerMap,
    principal: { type: isSigned ? 'root' : 'anonymous', accessKeyId: isSigned ? 'ALICE' : '', owner: ALICE },
    isSigned,
    isSecure: options.isSecure ?? false,
    host: 'localhost:9000',
    body: bodyOf(options.body ?? '', name === 'CompleteMultipartUpload' ? new Map() : headerMap),
    signal: new AbortController().signal,
    nowMs: clock.nowMs(),
    authorizeKey: options.authorizeKey ?? (async () => {}),
    authorize: async () => {},
    authorizeWithBody: async () => {},
    mayDo: async () => true,
    log: silentLog,
  };
  const response = await operation.handler(request, services);
  const body = await readResponse(response);
  // What SDKs do: an operation that took long may fail after its status was sent.
  const code = response.body instanceof Object && !Buffer.isBuffer(response.body) ? failureIn(body) : undefined;
  if (code !== undefined) throw new S3Error(code as S3ErrorCode);
  return { status: response.status, headers: { ...response.headers }, body };
}

function failureIn(document: Buffer): string | undefined {
  if (!document.subarray(0, 5).equals(Buffer.from('<?xml'))) return undefined;
  return /^<\?xml[^>]*>\s*<Error><Code>(\w+)<\/Code>/.exec(document.toString())?.[1];
}

/** A body in pieces of 10,000 bytes that claims what the headers say. */
export function bodyOf(content: Buffer | string | RequestBody, headers: ReadonlyMap<string, string>): RequestBody {
  if (typeof content !== 'string' && !Buffer.isBuffer(content)) return content;
  const bytes = Buffer.from(content);
  const expectations: DigestExpectation[] = [];
  for (const [header, value] of headers) {
    const checksum = checksumOfHeader(header);
    if (checksum) expectations.push({ kind: 'checksum', algorithm: checksum.algorithm, value: () => value });
    if (header === 'content-md5') expectations.push({ kind: 'content-md5', algorithm: 'MD5', value: () => value });
    if (header === 'x-amz-content-sha256') {
      expectations.push({ kind: 'payload-sha256', algorithm: 'SHA256', value: () => value });
    }
  }
  return {
    lengthBytes: bytes.length,
    expectations,
    async *[Symbol.asyncIterator]() {
      for (let offset = 0; offset < bytes.length; offset += 10_000) {
        await Promise.resolve();
        yield bytes.subarray(offset, offset + 10_000);
      }
    },
  };
}

async function readResponse({ body }: S3Response): Promise<Buffer> {
  if (body === undefined) return Buffer.alloc(0);
  if (typeof body === 'string' || Buffer.isBuffer(body)) return Buffer.from(body);
  const pieces: Buffer[] = [];
  for await (const piece of body) {
    pieces.push(Buffer.from(piece.bytes));
    piece.release();
  }
  return Buffer.concat(pieces);
}

/** The code a promise is rejected with, as S3 says it; fails when it is fulfilled. */
export async function errorOf(promise: Promise<unknown>): Promise<S3Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof S3Error) return error;
    throw error;
  }
  throw new Error('expected an S3Error');
}

export async function codeOf(promise: Promise<unknown>): Promise<S3ErrorCode> {
  return (await errorOf(promise)).code;
}

/** The text of the first element of that name. */
export function elementOf(xml: Buffer | string, name: string): string | undefined {
  return new RegExp(`<${name}>([^<]*)</${name}>`).exec(String(xml))?.[1];
}

export function elementsOf(xml: Buffer | string, name: string): string[] {
  return [...String(xml).matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, 'g'))].map((match) => match[1]!);
}
