import { createHash } from 'node:crypto';

/** A body that names the write it comes from: any wrong byte, and any other write's bytes, show by comparing with a fresh one. */
export function payloadOf(identity: string, sizeBytes: number): Buffer {
  const body = Buffer.alloc(sizeBytes);
  let offset = 0;
  for (let block = 0; offset < sizeBytes; block += 1) {
    const piece =
      block === 0
        ? Buffer.from(`${identity}|${sizeBytes}|`)
        : createHash('sha512').update(`${identity}:${block}`).digest();
    offset += piece.copy(body, offset);
  }
  return body;
}
