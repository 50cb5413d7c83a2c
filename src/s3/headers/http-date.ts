const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

const IMF_FIXDATE = /^[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) (?:GMT|UTC|[+-]0000)$/;
const RFC_850 = /^[A-Z][a-z]+, (\d{2})-([A-Z][a-z]{2})-(\d{2}) (\d{2}):(\d{2}):(\d{2}) GMT$/;
const ASCTIME = /^[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ \d]\d) (\d{2}):(\d{2}):(\d{2}) (\d{4})$/;
const ISO_8601 = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.\d{1,9})?(?:Z|\+00:?00)$/;

/**
 * Milliseconds since 1970 of an HTTP date (the three forms of RFC 9110 §5.6.7, also with `+0000` for GMT as mail
 * libraries write it) or, as S3 also takes, ISO 8601 in UTC.
 * `undefined` for anything else: a date that cannot be read is ignored by the conditional headers.
 */
export function parseHttpDate(text: string): number | undefined {
  const value = text.trim();
  let match = IMF_FIXDATE.exec(value);
  if (match) return utcMs(Number(match[3]), MONTHS.indexOf(match[2]!), match[1]!, match[4]!, match[5]!, match[6]!);
  match = ISO_8601.exec(value);
  if (match) return utcMs(Number(match[1]), Number(match[2]) - 1, match[3]!, match[4]!, match[5]!, match[6]!);
  match = RFC_850.exec(value);
  if (match) {
    const shortYear = Number(match[3]);
    const year = shortYear < 70 ? 2000 + shortYear : 1900 + shortYear;
    return utcMs(year, MONTHS.indexOf(match[2]!), match[1]!, match[4]!, match[5]!, match[6]!);
  }
  match = ASCTIME.exec(value);
  if (match) return utcMs(Number(match[6]), MONTHS.indexOf(match[1]!), match[2]!, match[3]!, match[4]!, match[5]!);
  return undefined;
}

function utcMs(
  year: number,
  month: number,
  day: string,
  hour: string,
  minute: string,
  second: string,
): number | undefined {
  const dayNumber = Number(day);
  if (month < 0 || month > 11 || dayNumber < 1 || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) {
    return undefined;
  }
  const dayMs = Date.UTC(year, month, dayNumber);
  if (new Date(dayMs).getUTCDate() !== dayNumber) return undefined;
  return dayMs + (Number(hour) * 3600 + Number(minute) * 60 + Number(second)) * 1000;
}

let cachedHttpSecond = Number.NaN;
let cachedHttpDate = '';

/** `Last-Modified` and `Date`: `Fri, 24 May 2013 00:00:00 GMT`. The last second asked for is remembered. */
export function formatHttpDate(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  if (second !== cachedHttpSecond) {
    cachedHttpSecond = second;
    cachedHttpDate = new Date(second * 1000).toUTCString();
  }
  return cachedHttpDate;
}

let cachedIsoSecond = Number.NaN;
let cachedIsoDate = '';

/**
 * Times in XML: `2013-05-24T00:00:00.000Z`. Whole seconds, as S3 answers, so that a listing and a HEAD of the same
 * object agree. The last second asked for is remembered: keys that lie together were often written together.
 */
export function formatIsoDate(timeMs: number): string {
  const second = Math.floor(timeMs / 1000);
  if (second !== cachedIsoSecond) {
    cachedIsoSecond = second;
    cachedIsoDate = new Date(second * 1000).toISOString();
  }
  return cachedIsoDate;
}
