import type { Log } from '../observability/log.ts';
import type { HttpExchange } from './http-exchange.ts';

/** One line per request, always these fields. */
export function logAccess(log: Log, exchange: HttpExchange, durationMs: number): void {
  const { access, response, requestId } = exchange;
  const fields: Record<string, unknown> = {
    requestId,
    operation: access.operation,
    bucket: access.bucket,
    key: access.key,
    status: statusOf(exchange),
    code: access.code,
    bytesIn: bytesIn(exchange),
    bytesOut: access.bytesOut,
    durationMs: Math.round(durationMs * 1000) / 1000,
    accessKeyId: access.accessKeyId,
    remoteAddress: exchange.remoteAddress,
  };
  if (access.hint !== '') fields['hint'] = access.hint;
  if (!response.writableFinished) fields['isCut'] = true;
  log.info(fields, 'request');
}

/** 499 is nginx's number for a client that left before the answer. */
export function statusOf({ response }: HttpExchange): number {
  return response.headersSent ? response.statusCode : 499;
}

export function bytesIn({ access }: HttpExchange): number {
  return access.body?.receivedBytes ?? access.bytesIn;
}
