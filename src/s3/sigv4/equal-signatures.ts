import { timingSafeEqual } from 'node:crypto';

/** Compares in constant time. Lengths are public: a signature of another length is simply wrong. */
export function equalSignatures(expected: string, provided: string): boolean {
  if (expected.length !== provided.length) return false;
  const left = Buffer.from(expected, 'latin1');
  const right = Buffer.from(provided, 'latin1');
  return left.length === right.length && timingSafeEqual(left, right);
}
