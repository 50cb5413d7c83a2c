import type { ChecksumAlgorithm } from '../model/object-record.ts';

/** To a hash worker. A lane is one body's run of some algorithms; messages of a lane are worked off in order. */
export type HashRequest =
  | {
      readonly kind: 'update';
      readonly lane: number;
      readonly ticket: number;
      readonly algorithms: readonly ChecksumAlgorithm[];
      /** Shared memory is not copied; other bytes are, with the message. */
      readonly memory: ArrayBufferLike;
      readonly offset: number;
      readonly lengthBytes: number;
    }
  | {
      readonly kind: 'digest';
      readonly lane: number;
      readonly ticket: number;
      readonly algorithms: readonly ChecksumAlgorithm[];
    }
  | { readonly kind: 'close'; readonly lane: number }
  /** Of shared memory, each piece by itself. */
  | { readonly kind: 'crc32c'; readonly pieces: readonly CrcPiece[] };

export interface CrcPiece {
  readonly ticket: number;
  readonly memory: ArrayBufferLike;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** From a hash worker, several in one message; one for each ticket. */
export interface HashReply {
  readonly ticket: number;
  readonly digests?: readonly (readonly [ChecksumAlgorithm, Uint8Array])[];
  readonly crc32c?: number;
}
