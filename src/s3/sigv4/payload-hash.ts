import { S3Error } from '../../errors/s3-error.ts';

/** Every value of `x-amz-content-sha256` that S3 defines for SigV4; there is no default branch. */
export type PayloadHash =
  | { readonly kind: 'unsigned' }
  | { readonly kind: 'hex' }
  | { readonly kind: 'streaming'; readonly isSigned: boolean; readonly hasTrailer: boolean };

const STREAMING: ReadonlyMap<string, PayloadHash> = new Map([
  ['UNSIGNED-PAYLOAD', { kind: 'unsigned' }],
  ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD', { kind: 'streaming', isSigned: true, hasTrailer: false }],
  ['STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER', { kind: 'streaming', isSigned: true, hasTrailer: true }],
  ['STREAMING-UNSIGNED-PAYLOAD-TRAILER', { kind: 'streaming', isSigned: false, hasTrailer: true }],
] satisfies [string, PayloadHash][]);

const HEX: PayloadHash = { kind: 'hex' };
const SHA256_HEX = /^[0-9a-fA-F]{64}$/;

/** @throws S3Error InvalidArgument | NotImplemented (the SigV4A forms) */
export function parsePayloadHash(value: string): PayloadHash {
  if (SHA256_HEX.test(value)) return HEX;
  const streaming = STREAMING.get(value);
  if (streaming !== undefined) return streaming;
  if (value.startsWith('STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD')) {
    throw new S3Error('NotImplemented', { message: 'AWS4-ECDSA-P256-SHA256 is not implemented.' });
  }
  throw new S3Error('InvalidArgument', {
    message:
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
    details: { ArgumentName: 'x-amz-content-sha256', ArgumentValue: value },
  });
}
