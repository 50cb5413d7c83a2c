import { instantiateXor, STEP_BYTES, type XorExports } from './xor-module.ts';

/** As the codec makes it: w, k, m, then the bit matrix of docs/ON-DISK-FORMAT.md §10 row by row, a byte for each bit. */
type CodecContext = Buffer;

/** No stripe of more data … */
const DATA_LIMIT_BYTES = 256 * 1024;
/** … or of more bytes to XOR: the caller's thread is held up for 100 µs or so by as many, for 16 by 100 KiB with 4+2. */
const WORK_LIMIT_BYTES = 2 * 1024 * 1024;
/** Each byte of parity is the XOR of two or more. */
const PARITY_LIMIT_BYTES = WORK_LIMIT_BYTES / 2;
/** Room for the addresses of one row: 24 × 8 words. */
const STRIPS_OFFSET = 1024;

interface Schedule {
  w: number;
  /** For each strip of parity the strips of data that it is the XOR of. */
  rows: Uint8Array[];
  onesCount: number;
}

const schedules = new Map<CodecContext, Schedule>();
let kernel: { xor: XorExports; words: Int32Array; bytes: Buffer } | undefined;

function scheduleOf(context: CodecContext): Schedule {
  const known = schedules.get(context);
  if (known !== undefined) return known;
  const [w = 0, k = 0, m = 0] = context;
  const columns = [...Array(k * w).keys()];
  const rows = Array.from({ length: m * w }, (_, row) => {
    const bits = context.subarray(3 + row * k * w, 3 + (row + 1) * k * w);
    return Uint8Array.from(columns.filter((column) => bits[column] === 1));
  });
  const onesCount = rows.reduce((sum, row) => sum + row.length, 0);
  const schedule = { w, rows, onesCount };
  schedules.set(context, schedule);
  return schedule;
}

/**
 * Computes the parity of a small stripe on this thread, byte for byte what the codec computes on another: handing it over
 * there costs this thread no less, and the answer waits for a turn of the event loop.
 *
 * Shards so small are one group of the format, of strips of z bytes: strip s of data shard c begins at `(c w + s) z` of
 * the data, and the strips of parity follow one another likewise. Each is written to a little beyond its end, and the
 * next one overwrites that.
 *
 * @param context of a code with k ≥ 2 and m ≥ 1.
 * @param shards data, then room for parity.
 * @returns false when that would take too long: nothing is done.
 */
export function encodeAtOnce(context: CodecContext, shardSizeBytes: number, shards: Buffer): boolean {
  const [, k = 0] = context;
  const dataBytes = k * shardSizeBytes;
  if (dataBytes > DATA_LIMIT_BYTES) return false;
  const { w, rows, onesCount } = scheduleOf(context);
  const stripBytes = shardSizeBytes / w;
  if (onesCount * stripBytes > WORK_LIMIT_BYTES) return false;
  const { xor, words, bytes } = (kernel ??= makeKernel());
  shards.copy(bytes, STRIPS_OFFSET, 0, dataBytes);
  const parityOffset = STRIPS_OFFSET + dataBytes;
  let target = parityOffset;
  for (const columns of rows) {
    for (let i = 0; i < columns.length; i++) words[i] = STRIPS_OFFSET + columns[i]! * stripBytes;
    xor.xorStrips(0, 4 * columns.length, target, stripBytes);
    target += stripBytes;
  }
  bytes.copy(shards, dataBytes, parityOffset, target);
  return true;
}

function makeKernel() {
  const xor = instantiateXor(STRIPS_OFFSET + DATA_LIMIT_BYTES + PARITY_LIMIT_BYTES + STEP_BYTES);
  return { xor, words: new Int32Array(xor.memory.buffer), bytes: Buffer.from(xor.memory.buffer) };
}
