import { DIRECT_IO_ALIGNMENT_BYTES, type DiskFile } from '../../disk/disk-fs.ts';
import { claimedFrameBytes, decodeFrame, FRAME_HEADER_BYTES, type Frame, hasFrameMagic } from './frame.ts';

/** The first read; each that follows on is twice as long, so that a disk that takes long over each call does not hold up a start. */
const WINDOW_BYTES = 256 * 1024;
const LONGEST_WINDOW_BYTES = 4 * 1024 * 1024;

/** Reads frames of one segment file through a window. A frame's bytes are valid until the next call. */
export class FrameCursor {
  readonly #file: DiskFile;
  readonly #sizeBytes: number;
  readonly #clusterTag: Buffer;
  #window: Buffer;
  #windowStart = 0;
  #windowLength = 0;

  constructor(file: DiskFile, sizeBytes: number, clusterTag: Buffer) {
    this.#file = file;
    this.#sizeBytes = sizeBytes;
    this.#clusterTag = clusterTag;
    this.#window = Buffer.allocUnsafe(Math.min(WINDOW_BYTES, Math.max(sizeBytes, DIRECT_IO_ALIGNMENT_BYTES)));
  }

  /** The good frame that begins at `offset`, or `undefined`. */
  async frameAt(offset: number): Promise<Frame | undefined> {
    const header = await this.#bytesAt(offset, FRAME_HEADER_BYTES);
    if (header === undefined) return undefined;
    const frameBytes = claimedFrameBytes(header, this.#clusterTag);
    if (frameBytes === undefined) return undefined;
    const bytes = await this.#bytesAt(offset, frameBytes);
    return bytes === undefined ? undefined : decodeFrame(bytes, this.#clusterTag);
  }

  /** The first good frame at or after `offset`: how reading goes on behind a damaged one. */
  async nextFrame(offset: number): Promise<{ offset: number; frame: Frame } | undefined> {
    for (let at = offset; at < this.#sizeBytes; at += DIRECT_IO_ALIGNMENT_BYTES) {
      at = this.#skipInWindow(at);
      const frame = await this.frameAt(at);
      if (frame !== undefined) return { offset: at, frame };
    }
    return undefined;
  }

  /** Passes over blocks of the window that cannot begin a frame: most of a fresh segment is zeros. */
  #skipInWindow(offset: number): number {
    const endBytes = this.#windowStart + this.#windowLength - FRAME_HEADER_BYTES;
    let at = offset;
    while (at >= this.#windowStart && at < endBytes && !hasFrameMagic(this.#window, at - this.#windowStart)) {
      at += DIRECT_IO_ALIGNMENT_BYTES;
    }
    return at;
  }

  async #bytesAt(offset: number, lengthBytes: number): Promise<Buffer | undefined> {
    if (offset + lengthBytes > this.#sizeBytes) return undefined;
    const isInside = offset >= this.#windowStart && offset + lengthBytes <= this.#windowStart + this.#windowLength;
    if (!isInside) {
      const followsOn =
        this.#windowLength > 0 && offset >= this.#windowStart && offset <= this.#windowStart + this.#windowLength;
      const doubled = followsOn ? Math.min(2 * this.#window.length, LONGEST_WINDOW_BYTES, this.#sizeBytes - offset) : 0;
      const wanted = Math.max(lengthBytes, doubled);
      if (wanted > this.#window.length) this.#window = Buffer.allocUnsafe(wanted);
      this.#windowLength = await this.#file.read(this.#window, offset);
      this.#windowStart = offset;
      if (this.#windowLength < lengthBytes) return undefined;
    }
    const start = offset - this.#windowStart;
    return this.#window.subarray(start, start + lengthBytes);
  }
}
