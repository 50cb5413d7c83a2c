import { type FileHandle, open } from 'node:fs/promises';
import { StoreError } from '../../errors/store-error.ts';

const WINDOW_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(4096);

/** Reads one file through a window. Never writes. */
export class FileBytes {
  readonly path: string;
  readonly sizeBytes: number;
  readonly #file: FileHandle;
  #window = Buffer.alloc(WINDOW_BYTES);
  #start = 0;
  #end = 0;

  private constructor(path: string, file: FileHandle, sizeBytes: number) {
    this.path = path;
    this.#file = file;
    this.sizeBytes = sizeBytes;
  }

  /** @throws Error with `code` ENOENT, EACCES … */
  static async open(path: string): Promise<FileBytes> {
    const file = await open(path, 'r');
    try {
      return new FileBytes(path, file, (await file.stat()).size);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Bytes [offset, offset + lengthBytes), fewer at the end of the file; valid until the next call. @throws StoreError DiskFailed */
  async view(offset: number, lengthBytes: number): Promise<Buffer> {
    const wantedEnd = Math.min(offset + lengthBytes, this.sizeBytes);
    if (offset < this.#start || wantedEnd > this.#end) await this.#read(offset, lengthBytes);
    const end = Math.min(wantedEnd, this.#end);
    return this.#window.subarray(offset - this.#start, Math.max(offset, end) - this.#start);
  }

  async #read(offset: number, lengthBytes: number): Promise<void> {
    if (lengthBytes > this.#window.length) this.#window = Buffer.alloc(lengthBytes);
    this.#start = offset;
    this.#end = offset;
    while (this.#end - offset < this.#window.length) {
      const filled = this.#end - offset;
      const { bytesRead } = await this.#file
        .read(this.#window, filled, this.#window.length - filled, this.#end)
        .catch((cause: unknown) => {
          throw new StoreError('DiskFailed', `${this.path} cannot be read at ${this.#end}: ${String(cause)}`, {
            cause,
          });
        });
      if (bytesRead === 0) return;
      this.#end += bytesRead;
    }
  }
}

/** @param bytes at most 4096 */
export function isZero(bytes: Buffer): boolean {
  return bytes.equals(ZEROS.subarray(0, bytes.length));
}
