import { bytesIn, statusOf } from '../../http/access-log.ts';
import type { HttpExchange } from '../../http/http-exchange.ts';

/**
 * One line of the audit log: who did what to what, whether it was allowed and by which statement, and how it ended. Paths and
 * headers as sent are not in it, for they may carry signatures and tokens.
 */
export function auditLine(
  exchange: HttpExchange,
  { nowMs, durationMs }: { nowMs: number; durationMs: number },
): string {
  const { access, requestId, remoteAddress, isSecure, request } = exchange;
  const { decision } = access;
  return JSON.stringify({
    time: new Date(nowMs).toISOString(),
    requestId,
    operation: access.operation,
    action: decision?.action,
    resource: decision?.resource,
    bucket: access.bucket === '' ? undefined : access.bucket,
    key: access.key === '' ? undefined : access.key,
    principal: {
      type: decision?.principalType,
      arn: decision?.principalArn === '' ? undefined : decision?.principalArn,
      accountId: decision?.accountId === '' ? undefined : decision?.accountId,
      accessKeyId: access.accessKeyId === '' ? undefined : access.accessKeyId,
    },
    // Without one the request was answered before anybody was asked: a wrong signature, a limit, a malformed request.
    decision: decision === undefined ? 'none' : decision.isAllowed ? 'allow' : 'deny',
    reason: decision?.reason,
    statement: decision?.statementId,
    status: statusOf(exchange),
    code: access.code === '' ? undefined : access.code,
    remoteAddress,
    isSecure,
    userAgent: headerOf(request.rawHeaders, 'user-agent'),
    bytesIn: bytesIn(exchange),
    bytesOut: access.bytesOut,
    durationMs: Math.round(durationMs),
  });
}

const LONGEST_USER_AGENT = 256;

function headerOf(rawHeaders: readonly string[], name: string): string | undefined {
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (rawHeaders[index]!.toLowerCase() === name) return rawHeaders[index + 1]!.slice(0, LONGEST_USER_AGENT);
  }
  return undefined;
}
