import { createCipheriv, createHash } from 'node:crypto';

const MAGIC = 0x48464348;
/** Magic, size, write id, seed: four 32-bit numbers. Shorter bodies hold the beginning of them. */
const HEADER_BYTES = 16;

/** The body of write `writeId`: it names itself, and every byte of it follows from its name. */
export function payloadOf(seed: number, writeId: number, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(`${seed}:${writeId}:${sizeBytes}`).digest().subarray(0, 16);
  const body = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(
    Buffer.alloc(Math.max(sizeBytes, HEADER_BYTES)),
  );
  body.writeUInt32LE(MAGIC, 0);
  body.writeUInt32LE(sizeBytes, 4);
  body.writeUInt32LE(writeId, 8);
  body.writeUInt32LE(seed >>> 0, 12);
  return body.subarray(0, sizeBytes);
}

/** Which write a whole body claims to be; undefined when it is too short to say or no payload of this run. */
export function claimedWrite(seed: number, body: Buffer): number | undefined {
  if (body.length < HEADER_BYTES || body.readUInt32LE(0) !== MAGIC || body.readUInt32LE(12) !== seed >>> 0)
    return undefined;
  return body.readUInt32LE(8);
}
