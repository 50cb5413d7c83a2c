import { RequestLimits } from '../access/limits/request-limits.ts';
import type { ServerOptions } from '../cli/server-types.ts';
import { TrustedProxies } from '../http/trusted-proxies.ts';
import type { CallerCounters } from '../observability/request-metrics.ts';
import { CallerGate } from '../s3/caller-gate.ts';
import type { Audit } from './make-audit.ts';

/** What the configuration says of callers: how much each may take, and who may speak for them. */
export function makeCallers({ clock, config, log }: Pick<ServerOptions, 'clock' | 'config' | 'log'>): {
  limits: RequestLimits;
  proxies: TrustedProxies;
  gate: CallerGate;
} {
  const { fairFrom, keyRequests, keyRate, addressRequests, addressRate } = config.limits;
  const limits = new RequestLimits({ clock, fairFrom, keyRequests, keyRate, addressRequests, addressRate });
  const proxies = new TrustedProxies(config.s3.trustedProxies);
  return { limits, proxies, gate: new CallerGate({ limits, proxies, log }) };
}

export function callerCounters(limits: RequestLimits, audit: Audit | undefined): CallerCounters {
  return {
    limitedCount: limits.refusedCount,
    waitingCount: limits.waitingCount,
    failedSignatureCount: limits.failures.failureCount,
    auditDroppedCount: audit?.droppedCount() ?? 0,
  };
}
