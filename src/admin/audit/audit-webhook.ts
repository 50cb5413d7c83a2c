import type { Clock } from '../../model/clock.ts';
import type { Log } from '../../observability/log.ts';
import type { AuditSink } from './audit-file.ts';

const BATCH_LINES = 1_000;
/** Lines are gathered so long. */
const GATHER_MS = 1_000;
const POST_TIMEOUT_MS = 10_000;
const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;
/** Lines that wait for a receiver that is away; then the oldest are dropped. */
const WAITING_LINES = 100_000;

export interface AuditWebhookOptions {
  readonly url: string;
  /** Sent as a bearer token; empty: none. */
  readonly token: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly fetch?: typeof fetch;
}

/**
 * Posts lines in batches, as `application/x-ndjson`, in their order; a batch is sent again until it is answered 2xx, so
 * that a receiver may see one twice.
 */
export class AuditWebhook implements AuditSink {
  readonly #options: AuditWebhookOptions;
  #waiting: string[] = [];
  #isSending = false;
  #cancelGathering: (() => void) | undefined;
  #wake: (() => void) | undefined;
  #isClosing = false;
  #idle: Promise<void> = Promise.resolve();
  droppedCount = 0;

  constructor(options: AuditWebhookOptions) {
    this.#options = options;
  }

  write(line: string): void {
    this.#waiting.push(line);
    if (this.#waiting.length > WAITING_LINES) {
      // Many at once: an array gives up its first elements at the cost of all.
      this.droppedCount += this.#waiting.splice(0, BATCH_LINES).length;
    }
    if (this.#isSending || this.#cancelGathering !== undefined) return;
    this.#cancelGathering = this.#options.clock.schedule(GATHER_MS, () => this.#begin());
  }

  /** One last attempt for what waits. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#wake?.();
    this.#begin();
    await this.#idle;
    this.droppedCount += this.#waiting.length;
    this.#waiting = [];
  }

  #begin(): void {
    this.#cancelGathering?.();
    this.#cancelGathering = undefined;
    if (this.#isSending || this.#waiting.length === 0) return;
    this.#isSending = true;
    this.#idle = this.#sendAll().finally(() => (this.#isSending = false));
  }

  async #sendAll(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, BATCH_LINES);
      const droppedBefore = this.droppedCount;
      const problem = await this.#post(batch);
      if (problem === undefined) {
        // Of those that were sent some may have been dropped meanwhile.
        this.#waiting.splice(0, Math.max(0, batch.length - (this.droppedCount - droppedBefore)));
        retryMs = FIRST_RETRY_MS;
        continue;
      }
      this.#options.log.warn({ err: problem, waitingLines: this.#waiting.length }, 'the audit webhook does not answer');
      if (this.#isClosing) return;
      await this.#pause(retryMs);
      retryMs = Math.min(LONGEST_RETRY_MS, retryMs * 2);
    }
  }

  async #post(lines: readonly string[]): Promise<Error | undefined> {
    const { url, token, fetch: post = fetch } = this.#options;
    try {
      const response = await post(url, {
        method: 'POST',
        body: `${lines.join('\n')}\n`,
        headers: {
          'content-type': 'application/x-ndjson',
          ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        },
        redirect: 'error',
        signal: AbortSignal.timeout(POST_TIMEOUT_MS),
      });
      await response.arrayBuffer();
      return response.ok ? undefined : new Error(`answered ${response.status}`);
    } catch (error) {
      return error as Error;
    }
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.schedule(delayMs, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}
