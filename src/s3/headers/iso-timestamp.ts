const TIMESTAMP = /^(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:?\d{2}))?$/;

/**
 * Milliseconds since 1970 of an ISO 8601 timestamp, a part of a millisecond counted as a whole one; a date alone is its
 * midnight UTC. `undefined` for anything else.
 */
export function parseIsoTimestamp(text: string): number | undefined {
  const match = TIMESTAMP.exec(text.trim());
  if (match === null) return undefined;
  const [, date = '', time = '00:00:00', fraction = '', zone = 'Z'] = match;
  const wallMs = Date.parse(`${date}T${time}Z`);
  // A day that the month does not have rolls over in Date.parse.
  if (Number.isNaN(wallMs) || new Date(wallMs).toISOString().slice(0, 10) !== date) return undefined;
  const fractionMs = fraction === '' ? 0 : Math.ceil(Number(`0${fraction}`) * 1000);
  return wallMs + fractionMs - offsetMs(zone);
}

function offsetMs(zone: string): number {
  if (zone === 'Z') return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = Number(zone.slice(-2));
  return (zone[0] === '-' ? -1 : 1) * (hours * 60 + minutes) * 60_000;
}

/** `2030-01-01T00:00:00Z`, with milliseconds where there are some. */
export function formatIsoTimestamp(timeMs: number): string {
  return new Date(timeMs).toISOString().replace('.000Z', 'Z');
}
