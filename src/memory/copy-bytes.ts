/**
 * As `source.copy(target, at)`, for places in shared memory; they must not overlap. V8 copies shared memory by words, and
 * byte by byte where source and place do not begin at the same address modulo eight, as bytes from a socket seldom do:
 * 2 GB/s. `fill` is one memcpy, 6 to 10 GB/s.
 * @throws RangeError when the target is too short
 */
export function copyBytes(source: Buffer, { target, at }: { target: Buffer; at: number }): void {
  if (source.length > 0) target.fill(source, at, at + source.length);
}
