import { hash as hashOnce } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';
import { DIRECT_IO_ALIGNMENT_BYTES } from '../../disk/disk-fs.ts';
import { assert } from '../../errors/assert.ts';
import type { JournalPosition } from './journal.ts';
import { newerFormat } from '../newer-format.ts';

/**
 * One frame is one batch: a header of 128 bytes, the payload, zeros up to a multiple of 4096. The same bytes go to every
 * disk. The CRC32C covers all of it, `hash` (SHA-256, 16 bytes) binds the frame and through `previousHash` the
 * whole chain before it; `clusterTag` keeps a frame of another cluster out. Layout: docs/ON-DISK-FORMAT.md.
 */
export const FRAME_HEADER_BYTES = 128;
export const HASH_BYTES = 16;
const MAGIC = 0x314a4648; // 'HFJ1' in the file
const VERSION = 1;
const TWO_32 = 2 ** 32;

/** `payload`: a batch of the index. `opening`: first frame of an epoch. `configuration`: disk list, k and m change. `note`: empty, carries the acknowledged position only. */
export type FrameKind = 'payload' | 'opening' | 'configuration' | 'note';
const KINDS: readonly FrameKind[] = ['payload', 'opening', 'configuration', 'note'];

export interface FrameContent {
  kind: FrameKind;
  epoch: number;
  sequence: number;
  /** The frame before: its epoch and hash; its sequence is one less. */
  previous: JournalPosition;
  /** Last acknowledged frame when this one was written. */
  acknowledged: JournalPosition;
  /** Wall clock; a label. */
  writtenAtMs: number;
  /** Sequence of the newest configuration frame at or before this frame; 0 while the genesis one is in force. */
  configurationSequence: number;
}

/** A frame whose magic, lengths, cluster and checksum are good. `bytes` is the whole frame, a view into the caller's buffer. */
export interface Frame extends FrameContent {
  bytes: Buffer;
  payload: Buffer;
}

export function frameBytesFor(payloadBytes: number): number {
  return Math.ceil((FRAME_HEADER_BYTES + payloadBytes) / DIRECT_IO_ALIGNMENT_BYTES) * DIRECT_IO_ALIGNMENT_BYTES;
}

/** Fills `target` (exactly `frameBytesFor(payload.length)` bytes) and returns the frame's hash. */
export function encodeFrame(target: Buffer, content: FrameContent, payload: Uint8Array, clusterTag: Buffer): Buffer {
  assert(target.length === frameBytesFor(payload.length), 'a frame buffer must have the length of the frame');
  target.writeUInt32LE(MAGIC, 0);
  target.writeUInt8(VERSION, 8);
  target.writeUInt8(KINDS.indexOf(content.kind), 9);
  target.writeUInt16LE(0, 10);
  target.writeUInt32LE(target.length, 12);
  target.writeUInt32LE(payload.length, 16);
  target.writeUInt32LE(0, 20);
  writeInteger(target, content.epoch, 24);
  writeInteger(target, content.sequence, 32);
  writeInteger(target, content.previous.epoch, 40);
  content.previous.hash.copy(target, 48);
  writeInteger(target, content.acknowledged.epoch, 64);
  writeInteger(target, content.acknowledged.sequence, 72);
  content.acknowledged.hash.copy(target, 80);
  clusterTag.copy(target, 96);
  target.writeDoubleLE(content.writtenAtMs, 112);
  writeInteger(target, content.configurationSequence, 120);
  target.set(payload, FRAME_HEADER_BYTES);
  target.fill(0, FRAME_HEADER_BYTES + payload.length);
  target.writeUInt32LE(crc32c(target.subarray(8)), 4);
  return hashFrame(target);
}

/** The identity of a frame. `bytes` must have passed `decodeFrame` or come from `encodeFrame`. */
export function hashFrame(bytes: Buffer): Buffer {
  const payloadBytes = bytes.readUInt32LE(16);
  return hashOnce('sha256', bytes.subarray(8, FRAME_HEADER_BYTES + payloadBytes), 'buffer').subarray(0, HASH_BYTES);
}

export function hasFrameMagic(bytes: Buffer, offset: number): boolean {
  return bytes.readUInt32LE(offset) === MAGIC;
}

/** What the first 128 bytes claim to be the frame's length, or `undefined` when they are no header of this cluster. */
export function claimedFrameBytes(bytes: Buffer, clusterTag: Buffer): number | undefined {
  if (bytes.length < FRAME_HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const frameBytes = bytes.readUInt32LE(12);
  if (frameBytesFor(bytes.readUInt32LE(16)) !== frameBytes) return undefined;
  if (bytes.compare(clusterTag, 0, HASH_BYTES, 96, 96 + HASH_BYTES) !== 0) return undefined;
  return frameBytes;
}

/**
 * Decodes the frame at the start of `bytes`; `undefined` when any part of it is bad.
 * @throws StoreError FormatRefused: a good one of a version or kind that is not known here.
 */
export function decodeFrame(bytes: Buffer, clusterTag: Buffer): Frame | undefined {
  const frameBytes = claimedFrameBytes(bytes, clusterTag);
  if (frameBytes === undefined || frameBytes > bytes.length) return undefined;
  const payloadBytes = bytes.readUInt32LE(16);
  const endBytes = FRAME_HEADER_BYTES + payloadBytes;
  if (crc32c(bytes.subarray(8, frameBytes)) !== bytes.readUInt32LE(4)) return undefined;
  const kind = KINDS[bytes.readUInt8(9)];
  const version = bytes.readUInt8(8);
  if (version !== VERSION) throw newerFormat('a journal frame', version, VERSION);
  if (kind === undefined) throw newerFormat('a journal frame', `${version} and kind ${bytes.readUInt8(9)}`, VERSION);
  const sequence = readInteger(bytes, 32);
  return {
    kind,
    epoch: readInteger(bytes, 24),
    sequence,
    previous: { epoch: readInteger(bytes, 40), sequence: sequence - 1, hash: copyOf(bytes, 48) },
    acknowledged: { epoch: readInteger(bytes, 64), sequence: readInteger(bytes, 72), hash: copyOf(bytes, 80) },
    writtenAtMs: bytes.readDoubleLE(112),
    configurationSequence: readInteger(bytes, 120),
    bytes: bytes.subarray(0, frameBytes),
    payload: bytes.subarray(FRAME_HEADER_BYTES, endBytes),
  };
}

/** Does `frame` come directly after `previous` on its chain? */
export function follows(frame: FrameContent, previous: JournalPosition): boolean {
  return (
    frame.sequence === previous.sequence + 1 &&
    frame.previous.epoch === previous.epoch &&
    frame.epoch >= previous.epoch &&
    frame.previous.hash.equals(previous.hash)
  );
}

export function positionOf(frame: Frame): JournalPosition {
  return { epoch: frame.epoch, sequence: frame.sequence, hash: hashFrame(frame.bytes) };
}

export function samePosition(one: JournalPosition, other: JournalPosition): boolean {
  return one.epoch === other.epoch && one.sequence === other.sequence && one.hash.equals(other.hash);
}

/** Order of acceptance: the newer epoch wins, within one epoch the longer chain. */
export function comparePositions(one: JournalPosition, other: JournalPosition): number {
  return one.epoch - other.epoch || one.sequence - other.sequence;
}

export function clusterTagOf(clusterId: string): Buffer {
  return hashOnce('sha256', `holdfast cluster ${clusterId}`, 'buffer').subarray(0, HASH_BYTES);
}

function copyOf(bytes: Buffer, offset: number): Buffer {
  return Buffer.from(bytes.subarray(offset, offset + HASH_BYTES));
}

function writeInteger(target: Buffer, value: number, offset: number): void {
  target.writeUInt32LE(value % TWO_32, offset);
  target.writeUInt32LE(Math.floor(value / TWO_32), offset + 4);
}

function readInteger(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset) + bytes.readUInt32LE(offset + 4) * TWO_32;
}

/** Before anything; no frame follows it. */
export const zeroPosition: JournalPosition = { epoch: 0, sequence: 0, hash: Buffer.alloc(HASH_BYTES) };
