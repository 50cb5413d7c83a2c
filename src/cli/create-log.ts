import { pino } from 'pino';
import { PinoPretty } from 'pino-pretty';
import type { LogConfig } from '../config/config-schema.ts';
import type { Log } from '../observability/log.ts';
import { SystemClock } from '../observability/system-clock.ts';
import { LineGatherer } from './line-gatherer.ts';

const STDERR = 2;
const FLUSH_INTERVAL_MS = 200;
const BUNDLE_LENGTH = 4096;
/** Lines that wait for whoever reads standard error; further ones are dropped and counted. */
const WAITING_LIMIT_BYTES = 16 * 1024 * 1024;
const clock = new SystemClock();

export interface FlushableLog {
  readonly log: Log;
  /** Everything logged so far is written when it returns, however long its reader takes. */
  readonly flush: () => void;
  /** The same, but given up after this time. */
  readonly flushWithin: (delayMs: number) => Promise<void>;
}

/**
 * The log goes to standard error, so that standard output carries only what a command says. JSON lines are buffered for
 * at most 200 ms (`flush` before the process ends); text for people is written at once. A reader that stands still costs
 * a bounded amount of memory, and then lines, whose number is told when it goes on.
 */
export function createLog(
  config: LogConfig,
  isTerminal: boolean,
  { fd = STDERR, waitingLimitBytes = WAITING_LIMIT_BYTES } = {},
): FlushableLog {
  const { err } = pino.stdSerializers;
  const serializers = { err, error: err, cause: err };
  const options = { level: config.level, base: null, timestamp: isoTime, serializers };
  const isPretty = config.format === 'pretty' || (config.format === 'auto' && isTerminal);
  if (isPretty) {
    const stream = PinoPretty({
      destination: fd,
      sync: true,
      colorize: isTerminal,
      translateTime: 'SYS:HH:MM:ss.l',
    });
    return { log: pino(options, stream), flush: () => {}, flushWithin: () => Promise.resolve() };
  }
  const destination = pino.destination({
    fd,
    sync: false,
    minLength: BUNDLE_LENGTH,
    maxLength: waitingLimitBytes,
    periodicFlush: FLUSH_INTERVAL_MS / 2,
  });
  const delayMs = FLUSH_INTERVAL_MS / 2;
  const lines = new LineGatherer({ destination, clock, bundleLength: BUNDLE_LENGTH, delayMs });
  const log = pino(options, lines);
  tellDropped(destination, log);
  const flush = (): void => {
    lines.forward();
    flushQuietly(destination);
  };
  const flushWithin = (delayMs: number): Promise<void> => {
    lines.forward();
    return new Promise((resolve) => {
      clock.schedule(delayMs, resolve);
      destination.flush(() => resolve());
    });
  };
  return { log, flush, flushWithin };
}

function tellDropped(destination: ReturnType<typeof pino.destination>, log: Log): void {
  let lineCount = 0;
  destination.on('drop', (bundle: string) => (lineCount += bundle.split('\n').length - 1));
  destination.on('drain', () => {
    if (lineCount === 0) return;
    const lost = lineCount;
    lineCount = 0;
    log.warn({ lineCount: lost }, 'log lines were dropped while nobody read them');
  });
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
