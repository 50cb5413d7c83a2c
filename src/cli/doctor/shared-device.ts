import type { Finding } from '../../admin/status-report.ts';
import type { ErasureCode } from '../../model/erasure-code.ts';

/** The finding that a start and each status compute anew: disks come, go and are remounted. */
export const SHARED_DEVICE = 'one-device';

/**
 * Says so when losing one device loses more directories than the code can spare, or when it can spare none. `devices`:
 * `st_dev` of each directory, `undefined` for one that is not there now. Pure.
 */
export function findSharedDevice(devices: readonly (number | undefined)[], code: ErasureCode): Finding[] {
  const counts = new Map<number, number>();
  for (const device of devices) if (device !== undefined) counts.set(device, (counts.get(device) ?? 0) + 1);
  const largest = Math.max(0, ...counts.values());
  if (largest <= code.m) return [];
  const message =
    devices.length === 1
      ? `${code.k}+${code.m} on one disk does not survive the loss of this device`
      : `${largest === devices.length ? 'all' : largest} directories lie on one device; the data does not survive the loss of this device`;
  const fix =
    code.m === 0
      ? 'Format with parity over several devices: --code 2+1 or more.'
      : 'Fine for a first look. For data that matters give each directory a device of its own.';
  return [{ code: SHARED_DEVICE, severity: 'warning', message, fix }];
}
