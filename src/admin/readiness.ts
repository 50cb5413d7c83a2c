import type { Clock } from '../model/clock.ts';
import type { ReadinessReport } from './status-report.ts';

/** Below this share done no time left is guessed. */
const LEAST_FRACTION = 0.02;

/**
 * Whether requests are served, and if not, how far the start is. One instance for a server; recovery reports into it,
 * the health routes of every listener and `status` read it. Liveness knows nothing of it: a process that answers lives.
 */
export class Readiness {
  readonly #clock: Clock;
  #phase = 'starting';
  #fraction = 0;
  #detail: string | undefined;
  #phaseStartedMs: number;
  #listener: ((report: ReadinessReport) => void) | undefined;

  constructor(clock: Clock, listener?: (report: ReadinessReport) => void) {
    this.#clock = clock;
    this.#phaseStartedMs = clock.monotonicMs();
    this.#listener = listener;
  }

  /** `fraction` 0 to 1 of this phase. After `stopping` nothing makes it ready again. */
  enter(phase: string, fraction: number, detail?: string): void {
    if (this.#phase === 'stopping') return;
    if (phase !== this.#phase) this.#phaseStartedMs = this.#clock.monotonicMs();
    this.#phase = phase;
    this.#fraction = Math.min(1, Math.max(0, fraction));
    this.#detail = detail;
    this.#listener?.(this.report());
  }

  ready(): void {
    this.enter('ready', 1);
  }

  /** First step of a stop: load balancers look away before anything is refused. */
  stopping(): void {
    this.enter('stopping', 0);
  }

  get isReady(): boolean {
    return this.#phase === 'ready';
  }

  report(): ReadinessReport {
    const isOver = this.isReady || this.#phase === 'stopping';
    return {
      isReady: this.isReady,
      phase: this.#phase,
      percent: Math.round(this.#fraction * 1000) / 10,
      timeLeftMs: isOver ? undefined : this.#timeLeftMs(),
      detail: this.#detail,
    };
  }

  #timeLeftMs(): number | undefined {
    if (this.#fraction < LEAST_FRACTION) return undefined;
    const spentMs = this.#clock.monotonicMs() - this.#phaseStartedMs;
    return Math.round((spentMs * (1 - this.#fraction)) / this.#fraction);
  }
}

/** Of a 503 to whoever asks for more than health. */
export function notReadyBody(readiness: Readiness): { message: string; readiness: ReadinessReport } {
  return { message: 'the server does not serve requests now', readiness: readiness.report() };
}

export interface HealthAnswer {
  status: 200 | 503;
  headers: Readonly<Record<string, string>>;
  body: string;
}

/**
 * The health routes, for the S3 listener and the admin one; no credentials. `undefined`: not a health route. No bucket
 * can be called `-`.
 */
export function answerHealth(path: string, readiness: Readiness): HealthAnswer | undefined {
  const headers = { 'content-type': 'application/json', 'cache-control': 'no-store' };
  if (path === '/-/live') return { status: 200, headers, body: '{"status":"live"}\n' };
  if (path !== '/-/ready') return undefined;
  const report = readiness.report();
  const body = `${JSON.stringify({ status: report.isReady ? 'ready' : 'not-ready', ...report })}\n`;
  if (report.isReady) return { status: 200, headers, body };
  const retryAfterSeconds = Math.min(60, Math.max(1, Math.ceil((report.timeLeftMs ?? 1000) / 1000)));
  return { status: 503, headers: { ...headers, 'retry-after': String(retryAfterSeconds) }, body };
}
