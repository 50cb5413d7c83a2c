import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { CredentialStore } from './access/credential-store.ts';
import type { Principal } from './access/principal.ts';
import type { KeyCommands } from './admin/key-report.ts';
import { AdminServer } from './admin/admin-server.ts';
import { answerHealth, Readiness } from './admin/readiness.ts';
import { addRemoteStatusRoute } from './admin/remote-status.ts';
import type { StatusReport } from './admin/status-report.ts';
import { DigestPool } from './checksums/digest-pool.ts';
import { CipherPool } from './encryption/cipher-pool.ts';
import { prepareChecksums } from './checksums/wasm-hashers.ts';
import type { Composition, Server, ServerFacts, ServerOptions } from './cli/server-types.ts';
import { clockMemory } from './composition/clock-memory.ts';
import { identityCommands } from './composition/identity-commands.ts';
import { keyCommands } from './composition/key-commands.ts';
import { explainLive } from './composition/explain-live.ts';
import { formatStorage } from './composition/format-storage.ts';
import { readLiveStatus } from './composition/live-status.ts';
import { MetadataVolumeLedger } from './composition/metadata-volume-ledger.ts';
import { inspectFile } from './composition/inspect/inspect-file.ts';
import { recoverFromShards } from './composition/recover/recover-from-shards.ts';
import { refuseUnfinishedRecovery } from './composition/recover/recovery-mark.ts';
import { explainOffline, readOfflineStatus } from './composition/offline-status.ts';
import { codeOf, indexPathOf, makeMetadata, type Metadata, openDisks } from './composition/open-metadata.ts';
import type { AutoReplacer } from './composition/auto-replacer.ts';
import { type DiskManager, placesOf } from './composition/disk-manager.ts';
import { type Access, makeAccess, makeAccessControl, openIdentities } from './composition/make-access.ts';
import { makeBodyBuffers, makeDataStore } from './composition/make-data-store.ts';
import {
  makeEncryption,
  makeKeyArns,
  type OpenKeyRing,
  openKeyRing,
  serverDefaultOf,
} from './composition/make-encryption.ts';
import { makeAutoReplacer, makeDiskManager } from './composition/make-disk-manager.ts';
import { type Healing, makeHealing } from './composition/make-healing.ts';
import { type Audit, makeAudit } from './composition/make-audit.ts';
import { callerCounters, makeCallers } from './composition/make-callers.ts';
import { type Lifecycle, makeLifecycle } from './composition/make-lifecycle.ts';
import { recodeControl } from './composition/recode-control.ts';
import { VolumeFollower } from './composition/volume-follower.ts';
import type { StripedDataStore } from './data-store/striped-data-store.ts';
import type { LocalDiskSet } from './disk/local-disk-set.ts';
import { isStoreError, StoreError } from './errors/store-error.ts';
import { isQueryRequest, QueryRequestHandler } from './iam/handle-query-request.ts';
import { IndexInspection } from './metadata-store/sqlite/index-inspection.ts';
import { createListener, type Listener } from './http/listener.ts';
import { TlsCertificates } from './http/tls-certificates.ts';
import { NEWEST_STORE_FORMAT } from './model/store-format.ts';
import { ClockWatch } from './observability/clock-watch.ts';
import { EventLoopDelayMonitor } from './observability/event-loop-delay.ts';
import type { BufferPool } from './memory/buffer-pool.ts';
import { IdleMemory } from './observability/idle-memory.ts';
import { RequestMetrics } from './observability/request-metrics.ts';
import { S3RequestHandler } from './s3/handle-request.ts';
import { parseRawRequest, virtualHostedBucket } from './s3/sigv4/raw-request.ts';
import { RequestAuthenticator } from './s3/sigv4/request-authenticator.ts';
import { BucketEncryptionService } from './service/bucket-encryption.ts';
import { BucketService } from './service/buckets.ts';
import { LifecycleService } from './service/lifecycle/lifecycle-service.ts';
import { ListingService } from './service/listing.ts';
import { MultipartService } from './service/multipart-uploads.ts';
import { ObjectService } from './service/objects.ts';
import type { EncryptionService } from './service/encryption/encryption-service.ts';
import type { ServiceStores } from './service/service-stores.ts';
import type { S3Services } from './service/services.ts';
import { StorageClasses } from './service/storage-classes.ts';
import { StallWatchdog } from './streams/stall-watchdog.ts';

/** Header lines beyond this are refused; Node drops silently beyond its own limit. */
const MAXIMUM_HEADER_COUNT = 512;
/** Between two attempts to start on too few disks, if something has changed among them … */
const WAIT_FOR_DISKS_MS = 1000;
/** … and if nothing was seen to: an attempt reads the ends of all journals. */
const ATTEMPTS_SKIPPED = 9;

/** The stores and what works on them; exists once the disks are open. */
interface Storage {
  bodyBuffers: BufferPool;
  disks: LocalDiskSet;
  metadata: Metadata;
  volumes: VolumeFollower;
  diskManager: DiskManager;
  autoReplacer: AutoReplacer | undefined;
  dataStore: StripedDataStore;
  healing: Healing;
  lifecycle: Lifecycle;
}

/**
 * One running server: the only place that knows concrete classes. `start` opens the listeners first, so that health is
 * answered during recovery; S3 is answered 503 until `#services` is set. What `start` opened, `stop` closes in the
 * opposite order, however far the start came.
 */
class HoldfastServer implements Server {
  readonly #options: ServerOptions;
  readonly #readiness: Readiness;
  readonly #metrics = new RequestMetrics();
  readonly #eventLoop: EventLoopDelayMonitor;
  readonly #idleMemory: IdleMemory;
  readonly #digests = new DigestPool();
  readonly #ciphers = new CipherPool();
  readonly #watchdog: StallWatchdog;
  #tls: TlsCertificates | undefined;
  #listener: Listener | undefined;
  #admin: AdminServer | undefined;
  #disks: LocalDiskSet | undefined;
  #metadata: Metadata | undefined;
  #inspection: IndexInspection | undefined;
  #storage: Storage | undefined;
  #credentials: CredentialStore | undefined;
  #keyRing: OpenKeyRing | undefined;
  #keys: KeyCommands | undefined;
  #services: S3Services | undefined;
  readonly #access: Access;
  #closeIdentities = async (): Promise<void> => {};
  readonly #callers: ReturnType<typeof makeCallers>;
  readonly #audit: Audit | undefined;
  readonly #authenticator: RequestAuthenticator;
  readonly #handler: S3RequestHandler;
  readonly #iam: QueryRequestHandler;
  #startedAtMs = 0;
  readonly #clockWatch: ClockWatch;
  #isStopping = false;

  constructor(options: ServerOptions) {
    this.#options = options;
    const { clock, config, onProgress } = options;
    this.#readiness = new Readiness(clock, onProgress);
    this.#eventLoop = new EventLoopDelayMonitor(clock);
    this.#clockWatch = new ClockWatch({ clock, log: options.log });
    this.#idleMemory = new IdleMemory({ clock, requests: this.#metrics });
    this.#watchdog = new StallWatchdog({
      clock,
      minimumBytesPerSecond: config.limits.minimumRate,
      stallTimeoutMs: config.limits.stallTimeout,
    });
    this.#access = makeAccess(options, {
      store: () => this.#openMetadata(),
      rootCredentials: () => this.#credentials,
    });
    this.#callers = makeCallers(options);
    this.#audit = makeAudit(options);
    this.#metrics.callers = () => callerCounters(this.#callers.limits, this.#audit);
    this.#authenticator = this.#makeAuthenticator();
    this.#handler = this.#makeHandler();
    this.#iam = this.#makeIam();
  }

  async start(): Promise<ServerFacts> {
    this.#eventLoop.start();
    await prepareChecksums();
    await this.#openListener();
    const disks = await openDisks(this.#options);
    this.#disks = disks;
    const adminEndpoints = await this.#openAdmin();
    const metadata = await this.#recoverMetadata(disks);
    const storage = this.#assemble(disks, metadata);
    this.#storage = storage;
    const credentials = this.#makeCredentials(disks);
    const { isCreated } = await credentials.open(metadata.store);
    this.#closeIdentities = await openIdentities(this.#access, this.#options, {
      store: metadata.store,
      clusterId: disks.clusterId,
      credentials,
    });
    this.#credentials = credentials;
    await this.#clockWatch.start(clockMemory(metadata.store, metadata.journal.lastRecordAtMs));
    await storage.diskManager.start();
    await storage.healing.recoder.load();
    this.#readiness.enter('opening-volumes', 0);
    await storage.dataStore.start();
    storage.healing.start();
    storage.autoReplacer?.start();
    const { ring } = (this.#keyRing = await openKeyRing(this.#options, { disks, metadata }));
    this.#throwIfStopping();
    const arns = makeKeyArns(this.#options, credentials.owner.accountId);
    this.#keys = keyCommands(ring, arns);
    const encryption = makeEncryption(this.#options, {
      ring,
      ciphers: this.#ciphers,
      arns,
      formatVersion: () => metadata.store.formatVersion(),
    });
    this.#services = this.#makeServices(storage, encryption);
    storage.lifecycle.start();
    this.#startedAtMs = this.#options.clock.nowMs();
    this.#readiness.ready();
    this.#idleMemory.start();
    return this.#facts({ storage, credentials, isCreated, adminEndpoints });
  }

  /**
   * Waits for disks while fewer are present than a start needs: they may be mounted one after the other. Nothing is
   * decided, and every request is answered 503, until then.
   */
  async #recoverMetadata(disks: LocalDiskSet): Promise<Metadata> {
    const { clock, log } = this.#options;
    const inspection = (this.#inspection = new IndexInspection(indexPathOf(this.#options)));
    for (;;) {
      const metadata = makeMetadata(this.#options, disks, { inspection, trustedTime: this.#clockWatch });
      this.#metadata = metadata;
      let isChanged = false;
      const unwatch = disks.onChange(() => (isChanged = true));
      try {
        await metadata.store.start(({ phase, fraction, detail }) => {
          // Ready means that S3 is served: that is said later.
          if (phase !== 'ready') this.#readiness.enter(phase, fraction, detail);
        });
        await refuseUnfinishedRecovery(disks.disks, metadata.store);
        this.#throwIfStopping();
        return metadata;
      } catch (error) {
        if (!isStoreError(error, 'QuorumLost') || this.#isStopping) throw error;
        log.error({ err: error, hint: error.hint }, 'too few disks are present to start; waiting for more');
        this.#readiness.enter('waiting-for-disks', 0, error.message);
        await metadata.store.stop();
        for (let skipped = 0; skipped <= ATTEMPTS_SKIPPED; skipped += 1) {
          await new Promise<void>((resolve) => clock.schedule(WAIT_FOR_DISKS_MS, resolve));
          this.#throwIfStopping();
          if (isChanged) break;
        }
      } finally {
        unwatch();
      }
    }
  }

  #throwIfStopping(): void {
    if (this.#isStopping) throw new StoreError('NotReady', 'the server was stopped while it started');
  }

  #assemble(disks: LocalDiskSet, metadata: Metadata): Storage {
    const metadataStore = metadata.store;
    const bodyBuffers = makeBodyBuffers(this.#options);
    const ledger = new MetadataVolumeLedger(metadataStore);
    const code = codeOf(metadata.journal, disks);
    const dataStore = makeDataStore(this.#options, { disks, code, ledger, bodyBuffers, checksums: this.#digests });
    metadata.watchConfiguration(({ k, m }) => dataStore.setCode({ k, m }));
    const requestsInFlight = (): number => this.#metrics.inFlight;
    const diskManager = makeDiskManager(this.#options, { disks, metadata, dataStore });
    const autoReplacer = makeAutoReplacer(this.#options, { disks, diskManager });
    const healing = makeHealing(this.#options, { disks, metadataStore, dataStore, diskManager, requestsInFlight });
    const lifecycle = makeLifecycle(this.#options, {
      metadataStore,
      dataStore,
      isTimeTrusted: () => this.#clockWatch.trustedNowMs() !== undefined,
      requestsInFlight,
    });
    const volumes = new VolumeFollower(metadataStore);
    return { bodyBuffers, disks, metadata, volumes, diskManager, autoReplacer, dataStore, healing, lifecycle };
  }

  async #openListener(): Promise<void> {
    const { clock, config, log, randomness } = this.#options;
    const { limits, s3, tls } = config;
    if (tls.certificates.length > 0) {
      this.#tls = await TlsCertificates.load({ pairs: tls.certificates, log: log.child({ part: 'tls' }), clock });
    }
    this.#listener = await createListener({
      addresses: s3.listen,
      tls: this.#tls,
      limits: {
        maximumConnections: limits.connections,
        maximumConnectionsPerAddress: limits.connectionsPerAddress,
        maximumHeaderBytes: limits.headerSize,
        maximumHeaderCount: MAXIMUM_HEADER_COUNT,
      },
      timeouts: { headersMs: limits.headerTimeout, keepAliveMs: limits.keepAlive },
      discard: { discardBytes: limits.discardSize, discardMs: limits.discardTime },
      watchdog: this.#watchdog,
      onExchange: (exchange) =>
        isQueryRequest(exchange.request, s3.domains) ? this.#iam.handle(exchange) : this.#handler.handle(exchange),
      metrics: this.#metrics,
      proxies: this.#callers.proxies,
      onFinished: this.#audit && ((exchange, durationMs) => this.#audit?.finished(exchange, durationMs)),
      registerRoutes: (app) => this.#addServerRoutes(app),
      isServerRoute: (request) => this.#isServerRoute(request),
      log,
      clock,
      randomness,
    });
  }

  /** `-` is no bucket's name; but on a bucket's own host `/-/` begins a key. */
  #isServerRoute({ url = '', headers }: IncomingMessage): boolean {
    return (
      url.startsWith('/-/') && virtualHostedBucket(headers.host ?? '', this.#options.config.s3.domains) === undefined
    );
  }

  #addServerRoutes(app: FastifyInstance): void {
    addRemoteStatusRoute(app, {
      authenticate: (request) => this.#authenticate(request),
      authorizer: this.#access.authorizer,
      readiness: this.#readiness,
      status: () => this.#statusIfOpen(),
    });
    for (const route of ['/-/live', '/-/ready']) {
      app.get(route, async (_request, reply) => {
        const answer = answerHealth(route, this.#readiness);
        if (answer !== undefined) await reply.code(answer.status).headers(answer.headers).send(answer.body);
      });
    }
  }

  #authenticate({ method = '', url = '', rawHeaders }: IncomingMessage): Principal {
    const isSecure = this.#tls !== undefined;
    const raw = parseRawRequest({ method, rawTarget: url, rawHeaders, isSecure }, this.#options.config.s3.domains);
    return this.#authenticator.authenticate(raw, this.#options.clock.nowMs()).principal;
  }

  async #openAdmin(): Promise<string[]> {
    const { config, log, stateDirectory } = this.#options;
    this.#admin = new AdminServer({
      actions: {
        readiness: this.#readiness,
        requests: this.#metrics,
        eventLoop: this.#eventLoop,
        status: () => this.#statusIfOpen(),
        rootKey: () => this.#openCredentials().root,
        rotateRootKey: () => this.#openCredentials().rotate(this.#openStorage().metadata.store),
        reloadTls: () => this.reloadTls(),
        explain: (address) => explainLive(this.#readyStorage(), address),
        disks: () => this.#readyStorage().diskManager,
        census: () => this.#openStorage().healing.census,
        keys: () => this.#openKeys(),
        identities: () => {
          this.#readyStorage();
          return identityCommands({ ...this.#options, services: this.#access });
        },
        acceptClock: () => this.#acceptClock(),
        finalizeUpgrade: () => this.#finalizeUpgrade(),
        scrub: () => this.#openStorage().healing.scrubber,
        recode: () => recodeControl(this.#options.clock, this.#readyStorage()),
      },
      listen: config.admin.listen,
      stateDirectory,
      log: log.child({ part: 'admin' }),
    });
    const { endpoints } = await this.#admin.start();
    return endpoints;
  }

  async #acceptClock(): Promise<{ before: StatusReport['clock'] }> {
    this.#readyStorage();
    const before = { jump: this.#clockWatch.jump };
    if (before.jump !== undefined) await this.#clockWatch.accept();
    return { before };
  }

  async #finalizeUpgrade(): Promise<StatusReport['onDiskFormat']> {
    const { store } = this.#readyStorage().metadata;
    await store.finalizeUpgrade();
    return { active: store.formatVersion(), newest: NEWEST_STORE_FORMAT };
  }

  #makeCredentials(disks: LocalDiskSet): CredentialStore {
    const { clock, randomness, secrets } = this.#options;
    return new CredentialStore({
      clusterId: disks.clusterId,
      masterKey: secrets.masterKey,
      configuredRootKey: secrets.rootKey,
      clock,
      randomness,
    });
  }

  #makeServices({ metadata, dataStore, bodyBuffers, lifecycle }: Storage, encryption: EncryptionService): S3Services {
    const metadataStore = metadata.store;
    const { clock, config, randomness } = this.#options;
    const { region, blockPublicAccess } = config.s3;
    const { blockCustomerKeys, customerKeysOverHttp } = config.encryption;
    const buckets = new BucketService({
      metadataStore,
      clock,
      region,
      blocksCustomerKeys: blockCustomerKeys,
      blocksPublicAccess: blockPublicAccess,
    });
    const stores: ServiceStores = {
      metadataStore,
      dataStore,
      bodyBuffers,
      encryption,
      clock,
      randomness,
      digests: this.#digests,
      defaultChecksum: 'CRC64NVME',
    };
    const objects = new ObjectService(stores);
    const storageClasses = new StorageClasses({ ...stores, bucketClasses: config.storage.bucketClasses });
    return {
      region,
      clock,
      buckets,
      accessControl: makeAccessControl(this.#access, this.#options),
      accountPublicAccess: this.#access.accountPublicAccess,
      bucketEncryption: new BucketEncryptionService({ metadataStore, serverDefault: serverDefaultOf(config) }),
      listing: new ListingService({ metadataStore, buckets }),
      objects,
      multipart: new MultipartService(stores, objects),
      lifecycle: new LifecycleService({
        buckets,
        randomness,
        storageClasses: () => storageClasses.names(),
        onChange: (bucketId) => lifecycle.configurationChanged(bucketId),
      }),
      allowsCustomerKeysOverHttp: customerKeysOverHttp,
      storageClasses,
    };
  }

  #makeAuthenticator(): RequestAuthenticator {
    const { region, signatureV2, unsignedPayloadOverHttp } = this.#options.config.s3;
    return new RequestAuthenticator({
      credentials: this.#access.credentials,
      region,
      allowSignatureV2: signatureV2,
      allowUnsignedPayloadOverHttp: unsignedPayloadOverHttp,
    });
  }

  #makeHandler(): S3RequestHandler {
    const { clock, config, log, randomness } = this.#options;
    return new S3RequestHandler({
      authenticator: this.#authenticator,
      authorizer: this.#access.authorizer,
      region: config.s3.region,
      services: () => this.#services,
      domains: config.s3.domains,
      gate: this.#callers.gate,
      isAudited: this.#audit !== undefined,
      clock,
      randomness,
      log,
    });
  }

  #makeIam(): QueryRequestHandler {
    const { clock, config, log } = this.#options;
    return new QueryRequestHandler({
      authenticator: this.#authenticator,
      gate: this.#callers.gate,
      isAudited: this.#audit !== undefined,
      region: config.s3.region,
      services: () => (this.#services === undefined ? undefined : this.#access),
      clock,
      log,
    });
  }

  async stop({ deadlineMs }: { deadlineMs: number }): Promise<{ isClean: boolean }> {
    this.#isStopping = true;
    this.#readiness.stopping();
    const { clock } = this.#options;
    let cancel = (): void => {};
    const deadline = new Promise<boolean>((resolve) => {
      cancel = clock.schedule(deadlineMs, () => resolve(false));
    });
    const isClean = await Promise.race([this.#close(deadlineMs).then(() => true), deadline]);
    cancel();
    return { isClean };
  }

  /** Requests first, then what they stand on. */
  async #close(deadlineMs: number): Promise<void> {
    await this.#listener?.close({ boundMs: deadlineMs / 2 });
    this.#services = undefined;
    this.#tls?.stop();
    await this.#admin?.stop();
    await this.#storage?.lifecycle.stop();
    this.#clockWatch.stop();
    await this.#storage?.autoReplacer?.stop();
    await this.#storage?.healing.stop();
    await this.#storage?.dataStore.stop();
    await this.#keyRing?.copies.stop();
    await this.#closeIdentities();
    await this.#metadata?.store.stop();
    await this.#inspection?.stop();
    await this.#disks?.close();
    await this.#digests.stop();
    await this.#ciphers.stop();
    await this.#audit?.close();
    this.#eventLoop.stop();
    this.#idleMemory.stop();
  }

  async status(): Promise<StatusReport> {
    const report = await this.#statusIfOpen();
    if (report === undefined) throw new StoreError('NotReady', 'the server is starting');
    return report;
  }

  async #statusIfOpen(): Promise<StatusReport | undefined> {
    const storage = this.#storage;
    if (storage === undefined || this.#keyRing === undefined || this.#services === undefined) return undefined;
    return readLiveStatus(this.#options, {
      ...storage,
      ring: this.#keyRing.ring,
      accountId: this.#credentials?.owner.accountId,
      clockJump: this.#clockWatch.jump,
      readiness: this.#readiness.report(),
      startedAtMs: this.#startedAtMs,
      endpoints: this.#endpoints(),
      findings: this.#options.findings,
    });
  }

  async reloadTls(): Promise<void> {
    await this.#tls?.reload();
  }

  async #facts(parts: {
    storage: Storage;
    credentials: CredentialStore;
    isCreated: boolean;
    adminEndpoints: string[];
  }): Promise<ServerFacts> {
    const { storage, credentials, isCreated, adminEndpoints } = parts;
    const { disks, metadata } = storage;
    const { bucketCount, objectCount } = await metadata.store.status();
    return {
      clusterId: disks.clusterId,
      endpoints: this.#endpoints(),
      adminEndpoints,
      region: this.#options.config.s3.region,
      code: codeOf(metadata.journal, disks),
      diskCount: disks.disks.length,
      diskPlaces: placesOf(disks),
      listSequence: metadata.journal.listSequence,
      usableDiskCount: disks.disks.filter(({ state }) => state === 'online').length,
      isCreated,
      bucketCount,
      objectCount,
      root: { ...credentials.root, accountId: credentials.owner.accountId },
      warnings: (await this.status()).warnings,
    };
  }

  #endpoints(): string[] {
    const scheme = this.#tls === undefined ? 'http' : 'https';
    return (this.#listener?.addresses ?? []).map((address) => `${scheme}://${hostOf(address)}:${address.port}`);
  }

  #openStorage(): Storage {
    if (this.#storage === undefined) throw new StoreError('NotReady', 'the server is starting');
    return this.#storage;
  }

  #openMetadata(): Metadata['store'] {
    if (this.#metadata === undefined) throw new StoreError('NotReady', 'the server is starting');
    return this.#metadata.store;
  }

  #readyStorage(): Storage {
    if (this.#services === undefined) throw new StoreError('NotReady', 'the server is not ready');
    return this.#openStorage();
  }

  #openKeys(): KeyCommands {
    if (this.#keys === undefined) throw new StoreError('NotReady', 'the server is starting');
    return this.#keys;
  }

  #openCredentials(): CredentialStore {
    if (this.#credentials === undefined) throw new StoreError('NotReady', 'the server is starting');
    return this.#credentials;
  }
}

function hostOf({ address, family }: AddressInfo): string {
  return family === 'IPv6' ? `[${address}]` : address;
}

export const composition: Composition = {
  createServer: (options) => new HoldfastServer(options),
  formatStorage,
  readOfflineStatus,
  explainOffline,
  inspectFile,
  recoverFromShards,
  openMetadata: async (options) => {
    const disks = await openDisks(options);
    const { store } = makeMetadata(options, disks);
    const close = async (): Promise<void> => {
      await store.stop();
      await disks.close();
    };
    try {
      await store.start(() => {});
      await refuseUnfinishedRecovery(disks.disks, store);
    } catch (error) {
      await close();
      throw error;
    }
    return { clusterId: disks.clusterId, store, close };
  },
};
