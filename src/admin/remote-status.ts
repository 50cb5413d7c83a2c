import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Authorizer, Principal } from '../access/principal.ts';
import { S3Error } from '../errors/s3-error.ts';
import { notReadyBody, type Readiness } from './readiness.ts';
import type { StatusReport } from './status-report.ts';

/** On the S3 listener, for `holdfast status --endpoint`. No bucket can be called `-`. */
export const REMOTE_STATUS_PATH = '/-/admin/status';
/** What the authorizer is asked for. */
const STATUS_ACTION = 'holdfast:GetStatus';

export interface RemoteStatusOptions {
  /** The authenticator of S3. @throws S3Error */
  authenticate(request: IncomingMessage): Principal;
  authorizer: Authorizer;
  /** While the stores are not open no key can be checked: the answer is then what `/-/ready` tells anybody. */
  readiness: Readiness;
  /** `undefined` while the stores are not open yet. */
  status(): Promise<StatusReport | undefined>;
}

/** The one admin route beyond loopback and socket: read only, signed like any S3 request, and authorized. */
export function addRemoteStatusRoute(app: FastifyInstance, options: RemoteStatusOptions): void {
  app.get(REMOTE_STATUS_PATH, async (request, reply) => {
    void reply.header('cache-control', 'no-store');
    if (!options.readiness.isReady) return await reply.code(503).send(notReadyBody(options.readiness));
    try {
      const principal = options.authenticate(request.raw);
      const target = { bucket: undefined, key: undefined };
      await options.authorizer.authorize({ principal, action: STATUS_ACTION, ...target, context: () => undefined });
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      return await reply.code(error.status).send({ code: error.code, message: error.message });
    }
    const report = await options.status();
    return report === undefined
      ? await reply.code(503).send(notReadyBody(options.readiness))
      : await reply.send(report);
  });
}
