/** What is asked of a cipher thread: packages in shared memory, from one place to another in it. */
export interface CipherRequest {
  readonly kind: 'seal' | 'open';
  readonly ticket: number;
  readonly streamKey: Uint8Array;
  readonly firstIndex: number;
  readonly isEnd: boolean;
  readonly memory: ArrayBufferLike;
  readonly sourceOffset: number;
  readonly sourceLengthBytes: number;
  readonly targetOffset: number;
  readonly targetLengthBytes: number;
}

/** `lengthBytes` were written; `undefined`: a package is not what was sealed there. */
export interface CipherReply {
  readonly ticket: number;
  readonly lengthBytes: number | undefined;
  readonly failure: string | undefined;
}
