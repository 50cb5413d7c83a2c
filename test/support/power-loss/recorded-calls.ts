import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** One call of the recorded process that changed files; inodes name files, ids pair beginnings with ends. */
export type RecordedCall =
  | { kind: 'open'; path: string; inode: bigint; isDirectory: boolean; sizeBytes: number }
  | { kind: 'write'; id: bigint; inode: bigint; offset: number; data: Buffer }
  | { kind: 'write-end'; id: bigint; isSynced: boolean }
  | { kind: 'sync-begin'; inode: bigint; id: bigint }
  | { kind: 'sync-end'; id: bigint }
  | { kind: 'truncate'; inode: bigint; sizeBytes: number }
  | { kind: 'rename'; path: string; to: string }
  | { kind: 'unlink' | 'rmdir'; path: string }
  | { kind: 'mkdir'; path: string; inode: bigint };

const HEADER_BYTES = 32;

/** Reads the log of recorder.c, with the position in the log behind each call. */
export function* readRecordedCalls(logPath: string): Generator<{ call: RecordedCall; endBytes: number }> {
  const descriptor = openSync(logPath, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const readAt = (at: number, count: number): Buffer => {
      const bytes = Buffer.allocUnsafeSlow(count);
      if (count > 0 && readSync(descriptor, bytes, 0, count, at) !== count) throw new Error('the log ends too early');
      return bytes;
    };
    for (let at = 0; at + HEADER_BYTES <= size;) {
      const head = readAt(at, HEADER_BYTES);
      const [pathBytes, secondBytes, dataBytes] = [head.readUInt32LE(4), head.readUInt32LE(8), head.readUInt32LE(12)];
      const names = readAt(at + HEADER_BYTES, pathBytes + secondBytes).toString('latin1');
      const data = readAt(at + HEADER_BYTES + pathBytes + secondBytes, dataBytes);
      at += HEADER_BYTES + pathBytes + secondBytes + dataBytes;
      const fields = { path: names.slice(0, pathBytes), second: names.slice(pathBytes), data };
      const [a, b] = [head.readBigUInt64LE(16), head.readBigUInt64LE(24)];
      yield { call: decode(head.readUInt32LE(0), { ...fields, a, b }), endBytes: at };
    }
  } finally {
    closeSync(descriptor);
  }
}

interface Fields {
  path: string;
  second: string;
  data: Buffer;
  a: bigint;
  b: bigint;
}

function decode(kind: number, { path, second, data, a, b }: Fields): RecordedCall {
  switch (kind) {
    case 1:
      return { kind: 'open', path, inode: a, isDirectory: second === 'd', sizeBytes: Number(b) };
    case 2:
      return { kind: 'write', id: BigInt(path), inode: a, offset: Number(b), data };
    case 3:
      return { kind: 'write-end', id: a, isSynced: b === 1n };
    case 4:
      return { kind: 'sync-begin', inode: a, id: b };
    case 5:
      return { kind: 'sync-end', id: a };
    case 6:
      return { kind: 'truncate', inode: a, sizeBytes: Number(b) };
    case 7:
      return { kind: 'rename', path, to: second };
    case 8:
      return { kind: 'unlink', path };
    case 9:
      return { kind: 'mkdir', path, inode: a };
    case 10:
      return { kind: 'rmdir', path };
    case 11:
      return { kind: 'write', id: BigInt(path), inode: a, offset: Number(b), data: Buffer.alloc(Number(second)) };
    default:
      throw new Error(`the log has an entry of kind ${kind}`);
  }
}
