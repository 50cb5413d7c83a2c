import { S3Error } from '../../errors/s3-error.ts';
import { parseHttpDate } from '../headers/http-date.ts';

export const MAXIMUM_SKEW_MS = 15 * 60 * 1000;

const BASIC_FORMAT = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

let lastText = '';
let lastTimeMs: number | undefined;

/**
 * `YYYYMMDD'T'HHMMSS'Z'` to milliseconds since 1970; `undefined` for anything else, also for the 30th of February. The
 * last one is remembered: requests of one second carry the same.
 */
export function parseBasicTimestamp(text: string): number | undefined {
  if (text !== lastText) {
    lastTimeMs = parseTimestamp(text);
    lastText = text;
  }
  return lastTimeMs;
}

function parseTimestamp(text: string): number | undefined {
  const match = BASIC_FORMAT.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  if (+hour! > 23 || +minute! > 59 || +second! > 59) return undefined;
  const timeMs = Date.UTC(+year!, +month! - 1, +day!, +hour!, +minute!, +second!);
  const date = new Date(timeMs);
  return date.getUTCDate() === +day! && date.getUTCMonth() === +month! - 1 ? timeMs : undefined;
}

export function formatBasicTimestamp(timeMs: number): string {
  const iso = new Date(timeMs).toISOString();
  return `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`;
}

export interface RequestTimestamp {
  readonly timeMs: number;
  /** As it stands in the string to sign. */
  readonly basic: string;
}

/** `x-amz-date`, else `Date`. @throws S3Error AccessDenied when neither can be read */
export function requestTimestamp(headers: ReadonlyMap<string, string>): RequestTimestamp {
  const text = headers.get('x-amz-date') ?? headers.get('date');
  if (text !== undefined) {
    const timeMs = parseBasicTimestamp(text);
    if (timeMs !== undefined) return { timeMs, basic: text };
    const httpTimeMs = parseHttpDate(text);
    if (httpTimeMs !== undefined) return { timeMs: httpTimeMs, basic: formatBasicTimestamp(httpTimeMs) };
  }
  throw new S3Error('AccessDenied', { message: 'AWS authentication requires a valid Date or x-amz-date header' });
}

/** @throws S3Error RequestTimeTooSkewed when the clocks differ by more than 15 minutes */
export function checkSkew(timestamp: RequestTimestamp, nowMs: number): void {
  if (Math.abs(nowMs - timestamp.timeMs) <= MAXIMUM_SKEW_MS) return;
  throw new S3Error('RequestTimeTooSkewed', {
    details: {
      RequestTime: timestamp.basic,
      ServerTime: new Date(nowMs).toISOString(),
      MaxAllowedSkewMilliseconds: MAXIMUM_SKEW_MS,
    },
  });
}
