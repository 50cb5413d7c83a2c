import fastify, { type FastifyInstance } from 'fastify';
import { IamError } from '../errors/iam-error.ts';
import { S3Error } from '../errors/s3-error.ts';
import { isStoreError, type StoreError } from '../errors/store-error.ts';
import type { EventLoopDelayMonitor } from '../observability/event-loop-delay.ts';
import type { Log } from '../observability/log.ts';
import type { RequestMetrics } from '../observability/request-metrics.ts';
import { PROMETHEUS_CONTENT_TYPE, renderPrometheus } from './prometheus.ts';
import type { ExplainedAddress, ExplainReport } from './explain-report.ts';
import type { IdentityCommand, IdentityCommands } from './identity-commands.ts';
import type { KeyAction, KeyCommands } from './key-report.ts';
import { answerHealth, notReadyBody, type Readiness } from './readiness.ts';
import type { StatusReport } from './status-report.ts';

const BODY_LIMIT_BYTES = 4096;
const REQUEST_TIMEOUT_MS = 30_000;

/** What the admin routes show and do. */
export interface AdminActions {
  readiness: Readiness;
  requests: RequestMetrics;
  eventLoop: Pick<EventLoopDelayMonitor, 'read'>;
  /** `undefined` while the stores are not open yet. */
  status(): Promise<StatusReport | undefined>;
  /** The root key in force. Only for the socket. */
  rootKey(): { accessKeyId: string; secretAccessKey: string };
  /** Only for the socket. */
  rotateRootKey(): Promise<{ accessKeyId: string; secretAccessKey: string }>;
  reloadTls(): Promise<void>;
  /** Where an object lies; only for the socket: keys are nobody else's business. @throws StoreError NotReady */
  explain(address: ExplainedAddress): Promise<ExplainReport | undefined>;
  /** Only for the socket. @throws StoreError NotReady */
  disks(): DiskCommands;
  /** Only for the socket. @throws StoreError NotReady */
  keys(): KeyCommands;
  /** Only for the socket: the caller is root. @throws StoreError NotReady */
  identities(): IdentityCommands;
  /** @throws StoreError NotReady while the stores are not open. */
  census(): CensusControl;
  /** The clock is right as it is; only for the socket. Tells what was thought of it before. @throws StoreError */
  acceptClock(): Promise<{ before: StatusReport['clock'] }>;
  /** Raises the on-disk format to the newest; only for the socket. Tells what is active then. @throws StoreError */
  finalizeUpgrade(): Promise<StatusReport['onDiskFormat']>;
  /** @throws StoreError NotReady while the stores are not open. */
  scrub(): ScrubControl;
  /** @throws StoreError NotReady while the stores are not open. */
  recode(): RecodeControl;
}

/** Rewriting volumes whose class has another code. @throws StoreError FormatRefused: nothing was changed */
export interface RecodeControl {
  start(request: { code?: { k: number; m: number }; onlyNew: boolean }): Promise<object>;
  stop(): Promise<object>;
  report(): Promise<object>;
  /** The same, a second later. */
  wait(): Promise<object>;
}

/** Reading everything once. */
interface ScrubControl {
  request(): void;
  report(): object;
}

/** What `holdfast disk` asks for; `name` is a path, or the id of a disk. @throws StoreError FormatRefused when nothing was done */
export interface DiskCommands {
  add(path: string): Promise<DiskCommandAnswer>;
  replace(request: { name: string; newPath: string | undefined }): Promise<DiskCommandAnswer>;
  /** New disks in the places of lost ones, also when too few are left for `replace`. `newPaths`: none, or one for each. */
  declareLost(request: { names: readonly string[]; newPaths: readonly string[] }): Promise<DiskCommandAnswer>;
  drain(name: string): Promise<DiskCommandAnswer>;
  cancelDrain(name: string): Promise<DiskCommandAnswer>;
  remove(name: string): Promise<DiskCommandAnswer>;
}

export interface DiskCommandAnswer {
  diskId: string;
  path: string | undefined;
  /** What was done, for a person. */
  message: string;
}

/** Counting what is really there, in the background. */
interface CensusControl {
  /** Asks for a census that begins now or after the one under way; returns its number. */
  request(): number;
  progress(): object;
  /** The same, when it has changed or a second has passed. */
  wait(): Promise<object>;
}

export interface AdminAppOptions {
  actions: AdminActions;
  /**
   * The socket in the state directory: whoever can open it (0600) can read the master key beside it anyway. Only there
   * do routes exist that show secrets or change something; over TCP they are not refused but absent.
   */
  isPrivileged: boolean;
  log: Log;
}

/** Health, metrics and status as JSON; not yet listening. */
export function buildAdminApp({ actions, isPrivileged, log }: AdminAppOptions): FastifyInstance {
  const app = fastify({ logger: false, bodyLimit: BODY_LIMIT_BYTES, requestTimeout: REQUEST_TIMEOUT_MS });
  app.setNotFoundHandler(async (_request, reply) => {
    await reply.code(404).send({ message: 'no such route; known are /-/live, /-/ready, /metrics and /status' });
  });
  app.setErrorHandler(async (error: Error & { statusCode?: number; hint?: string }, _request, reply) => {
    const status = statusOfAny(error);
    if (status >= 500) log.error({ err: error }, 'an admin request failed');
    await reply.code(status).send({ message: error.message, hint: error.hint });
  });
  app.addHook('onSend', async (_request, reply) => {
    void reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
  });
  if (!isPrivileged) rejectForeignHosts(app);
  addReadingRoutes(app, actions);
  if (isPrivileged) addPrivilegedRoutes(app, actions);
  return app;
}

/** A page in a browser on this machine must not read the loopback listener by a name it has rebound (DNS rebinding). */
function rejectForeignHosts(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    if (request.headers.origin === undefined && request.headers['sec-fetch-site'] === undefined) return;
    if (request.headers['sec-fetch-site'] === 'none') return;
    await reply.code(403).send({ message: 'not for pages of other origins' });
  });
}

function addReadingRoutes(app: FastifyInstance, actions: AdminActions): void {
  for (const path of ['/-/live', '/-/ready']) {
    app.get(path, async (_request, reply) => {
      const answer = answerHealth(path, actions.readiness);
      if (answer === undefined) return;
      await reply.code(answer.status).headers(answer.headers).send(answer.body);
    });
  }
  app.get('/status', async (_request, reply) => {
    const report = await actions.status();
    if (report === undefined) {
      await reply.code(503).send(notReadyBody(actions.readiness));
      return;
    }
    await reply.send(report);
  });
  app.get('/recode', async (_request, reply) => reply.send(await actions.recode().report()));
  app.get('/scrub', async (_request, reply) => reply.send(actions.scrub().report()));
  app.get('/census', async (_request, reply) => reply.send(actions.census().progress()));
  app.get('/metrics', async (_request, reply) => {
    const usage = process.resourceUsage();
    const text = renderPrometheus({
      status: await actions.status(),
      isReady: actions.readiness.isReady,
      requests: actions.requests,
      usage: {
        residentBytes: process.memoryUsage.rss(),
        cpuSeconds: (usage.userCPUTime + usage.systemCPUTime) / 1e6,
        eventLoopDelays: actions.eventLoop.read(),
      },
    });
    await reply.type(PROMETHEUS_CONTENT_TYPE).send(text);
  });
}

function statusOfAny(error: Error & { statusCode?: number }): number {
  if (isStoreError(error)) return statusOf(error);
  return error instanceof S3Error || error instanceof IamError ? error.status : (error.statusCode ?? 500);
}

/** A command that was refused has changed nothing; anything else may be tried again. */
function statusOf({ code }: StoreError): number {
  return code === 'FormatRefused' ? 409 : 503;
}

const NAMED_DISK = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: { name: { type: 'string', minLength: 1 }, newPath: { type: 'string', minLength: 1 } },
} as const;

function addDiskRoutes(app: FastifyInstance, disks: () => DiskCommands): void {
  const route = (action: string, run: (request: DiskRequest) => Promise<DiskCommandAnswer>): void => {
    app.post<{ Body: DiskRequest }>(`/disks/${action}`, { schema: { body: NAMED_DISK } }, async (request, reply) => {
      await reply.send(await run(request.body));
    });
  };
  route('add', ({ name }) => disks().add(name));
  route('replace', ({ name, newPath }) => disks().replace({ name, newPath }));
  app.post<{ Body: { names: string[]; newPaths: string[] } }>(
    '/disks/declare-lost',
    { schema: { body: LOST_DISKS } },
    async (request, reply) => reply.send(await disks().declareLost(request.body)),
  );
  route('drain', ({ name }) => disks().drain(name));
  route('cancel-drain', ({ name }) => disks().cancelDrain(name));
  route('remove', ({ name }) => disks().remove(name));
}

const LOST_DISKS = {
  type: 'object',
  required: ['names', 'newPaths'],
  additionalProperties: false,
  properties: {
    names: { type: 'array', minItems: 1, items: { type: 'string', minLength: 1 } },
    newPaths: { type: 'array', items: { type: 'string', minLength: 1 } },
  },
} as const;

interface DiskRequest {
  name: string;
  newPath?: string;
}

const RECODING = {
  type: 'object',
  required: ['onlyNew'],
  additionalProperties: false,
  properties: {
    onlyNew: { type: 'boolean' },
    code: {
      type: 'object',
      required: ['k', 'm'],
      additionalProperties: false,
      properties: { k: { type: 'integer' }, m: { type: 'integer' } },
    },
  },
} as const;

const NAMED_OBJECT = {
  type: 'object',
  required: ['bucket', 'key'],
  properties: {
    bucket: { type: 'string', minLength: 1 },
    key: { type: 'string', minLength: 1 },
    versionId: { type: 'string', minLength: 1 },
  },
} as const;

const KEY_COMMAND = {
  type: 'object',
  required: ['action', 'name'],
  additionalProperties: false,
  properties: {
    action: { type: 'string', enum: ['create', 'rotate', 'enable', 'disable'] },
    name: { type: 'string', minLength: 1 },
  },
} as const;

function addKeyRoutes(app: FastifyInstance, keys: () => KeyCommands): void {
  app.get('/keys', async (_request, reply) => reply.send({ keys: keys().list() }));
  app.post<{ Body: { action: KeyAction; name: string } }>(
    '/keys',
    { schema: { body: KEY_COMMAND } },
    async ({ body }, reply) => {
      await keys().run(body.action, body.name);
      await reply.send({ keys: keys().list() });
    },
  );
}

const IDENTITY_COMMAND = {
  type: 'object',
  required: ['action', 'parameters'],
  additionalProperties: false,
  properties: {
    action: { type: 'string', minLength: 1 },
    parameters: { type: 'object', additionalProperties: { type: 'string' } },
    accountId: { type: 'string', minLength: 1 },
  },
} as const;
/** A policy fits. */
const IDENTITY_BODY_LIMIT_BYTES = 256 * 1024;

function addIdentityRoutes(app: FastifyInstance, identities: () => IdentityCommands): void {
  app.post<{ Body: IdentityCommand }>(
    '/identities',
    { schema: { body: IDENTITY_COMMAND }, bodyLimit: IDENTITY_BODY_LIMIT_BYTES },
    async ({ body }, reply) => reply.send(await identities().call(body)),
  );
}

function addPrivilegedRoutes(app: FastifyInstance, actions: AdminActions): void {
  app.get('/census/wait', async (_request, reply) => reply.send(await actions.census().wait()));
  app.post<{ Body: Parameters<RecodeControl['start']>[0] }>(
    '/recode',
    { schema: { body: RECODING } },
    async (request, reply) => reply.send(await actions.recode().start(request.body)),
  );
  app.get('/recode/wait', async (_request, reply) => reply.send(await actions.recode().wait()));
  app.post('/recode/stop', async (_request, reply) => reply.send(await actions.recode().stop()));
  app.post('/scrub', async (_request, reply) => {
    actions.scrub().request();
    await reply.send(actions.scrub().report());
  });
  app.post('/census', async (_request, reply) => reply.send({ number: actions.census().request() }));
  app.get<{ Querystring: { bucket: string; key: string; versionId?: string } }>(
    '/explain',
    { schema: { querystring: NAMED_OBJECT } },
    async ({ query }, reply) => {
      const { bucket: bucketName, key, versionId } = query;
      const report = await actions.explain({ bucketName, key, versionId });
      await reply.send({ report: report ?? null });
    },
  );
  app.get('/credentials', async (_request, reply) => reply.send(actions.rootKey()));
  app.post('/credentials/rotate', async (_request, reply) => reply.send(await actions.rotateRootKey()));
  app.post('/tls/reload', async (_request, reply) => {
    await actions.reloadTls();
    await reply.send({ isReloaded: true });
  });
  app.post('/clock/accept', async (_request, reply) => reply.send(await actions.acceptClock()));
  app.post('/upgrade/finalize', async (_request, reply) => reply.send(await actions.finalizeUpgrade()));
  addDiskRoutes(app, () => actions.disks());
  addKeyRoutes(app, () => actions.keys());
  addIdentityRoutes(app, () => actions.identities());
}
