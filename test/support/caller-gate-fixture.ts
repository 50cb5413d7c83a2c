import { RequestLimits, type RequestLimitsOptions } from '../../src/access/limits/request-limits.ts';
import { TrustedProxies } from '../../src/http/trusted-proxies.ts';
import { type Log, silentLog } from '../../src/observability/log.ts';
import { SystemClock } from '../../src/observability/system-clock.ts';
import { CallerGate } from '../../src/s3/caller-gate.ts';

/** No limits but what a test names. */
export function makeTestLimits(limits: Partial<RequestLimitsOptions> = {}): RequestLimits {
  const none = { keyRequests: 0, keyRate: 0, addressRequests: 0, addressRate: 0, fairFrom: 256 };
  return new RequestLimits({ clock: new SystemClock(), ...none, ...limits });
}

export function makeTestGate(parts: { limits?: RequestLimits; proxies?: TrustedProxies; log?: Log } = {}): CallerGate {
  const { limits = makeTestLimits(), proxies = new TrustedProxies([]), log = silentLog } = parts;
  return new CallerGate({ limits, proxies, log });
}
