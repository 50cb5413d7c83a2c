/** What S3 calls a day, apart from test clocks. */
export const CALENDAR_DAY_MS = 86_400_000;

/**
 * When something that is counted in days falls due: as on AWS the days are added and the sum is rounded up to the next
 * midnight UTC. A day of a test clock has another length and no midnight: there nothing is rounded, so that what is
 * due after two such days happens after two and not after up to three.
 *
 * @param dayMs length of a day
 */
export function dueAtMs(sinceMs: number, days: number, dayMs: number): number {
  const sumMs = sinceMs + days * dayMs;
  return dayMs === CALENDAR_DAY_MS ? Math.ceil(sumMs / dayMs) * dayMs : sumMs;
}
