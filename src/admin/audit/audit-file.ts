import { basename, dirname } from 'node:path';
import { createStream, type RotatingFileStream } from 'rotating-file-stream';
import type { Log } from '../../observability/log.ts';

/** Lines that wait for a file system that stands still. */
const WAITING_LIMIT_BYTES = 16 * 1024 * 1024;

/** Where lines of the audit log go. */
export interface AuditSink {
  write(line: string): void;
  /** Everything written so far has arrived, or is given up after a bounded time. */
  close(): Promise<void>;
  /** Lines that could not be kept. */
  readonly droppedCount: number;
}

/** A file that is put aside as `NAME.1`, `NAME.2`, … when it has grown to its size; the oldest goes. Readable by its owner. */
export class AuditFile implements AuditSink {
  readonly #stream: RotatingFileStream;
  readonly #log: Log;
  droppedCount = 0;
  #isFailing = false;

  constructor(options: { path: string; sizeBytes: number; keep: number; log: Log }) {
    this.#log = options.log;
    this.#stream = createStream(basename(options.path), {
      path: dirname(options.path),
      size: `${options.sizeBytes}B`,
      rotate: options.keep,
      mode: 0o600,
    });
    // The stream goes on after an error and tries the next line.
    this.#stream.on('error', (error: Error) => this.#failed(error));
    this.#stream.on('warning', (error: Error) => this.#failed(error));
  }

  write(line: string): void {
    if (this.#stream.writableLength > WAITING_LIMIT_BYTES) {
      this.droppedCount += 1;
      return;
    }
    this.#stream.write(`${line}\n`, (error) => {
      if (error === null || error === undefined) this.#isFailing = false;
      else this.droppedCount += 1;
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#stream.once('close', resolve);
      this.#stream.end();
    });
  }

  /** Once for each time that it begins. */
  #failed(error: Error): void {
    if (!this.#isFailing) this.#log.error({ err: error }, 'the audit log cannot be written');
    this.#isFailing = true;
  }
}
