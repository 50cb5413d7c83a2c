import { pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { LogConfig } from '../config/config-schema.ts';
import type { Log } from '../observability/log.ts';
import { SystemClock } from '../observability/system-clock.ts';
import { LineGatherer } from './line-gatherer.ts';

const STDERR = 2;
const FLUSH_INTERVAL_MS = 200;
const BUNDLE_LENGTH = 4096;
const clock = new SystemClock();

/**
 * The log goes to standard error, so that standard output carries only what a command says. JSON lines are buffered for
 * at most 200 ms (`flush` before the process ends); text for people is written at once.
 */
export function createLog(config: LogConfig, isTerminal: boolean): { log: Log; flush: () => void } {
  const { err } = pino.stdSerializers;
  const serializers = { err, error: err, cause: err };
  const options = { level: config.level, base: null, timestamp: isoTime, serializers };
  const isPretty = config.format === 'pretty' || (config.format === 'auto' && isTerminal);
  if (isPretty) {
    const stream = PinoPretty({
      destination: STDERR,
      sync: true,
      colorize: isTerminal,
      translateTime: 'SYS:HH:MM:ss.l',
    });
    return { log: pino(options, stream), flush: () => {} };
  }
  const destination = pino.destination({
    fd: STDERR,
    sync: false,
    minLength: BUNDLE_LENGTH,
    periodicFlush: FLUSH_INTERVAL_MS / 2,
  });
  const delayMs = FLUSH_INTERVAL_MS / 2;
  const lines = new LineGatherer({ destination, clock, bundleLength: BUNDLE_LENGTH, delayMs });
  const flush = (): void => {
    lines.forward();
    flushQuietly(destination);
  };
  return { log: pino(options, lines), flush };
}

let lastSecond = Number.NaN;
let lastPrefix = '';

/** As pino's own, with all but the milliseconds remembered: every request has a line. */
function isoTime(): string {
  const nowMs = clock.nowMs();
  const second = Math.floor(nowMs / 1000);
  if (second !== lastSecond) {
    lastSecond = second;
    lastPrefix = `,"time":"${new Date(second * 1000).toISOString().slice(0, -4)}`;
  }
  return `${lastPrefix}${String(nowMs - second * 1000).padStart(3, '0')}Z"`;
}

/** A destination that is not ready yet has nothing to flush. */
function flushQuietly(destination: { flushSync(): void }): void {
  try {
    destination.flushSync();
  } catch (error) {
    if (!(error instanceof Error && error.message.includes('not ready'))) throw error;
  }
}
