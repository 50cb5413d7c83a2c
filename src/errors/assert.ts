/** Thrown when our own invariant does not hold: a bug, never the client's or the disk's fault. */
export class AssertionFailure extends Error {
  override name = 'AssertionFailure';
}

/** @throws AssertionFailure when `condition` is falsy. In commit and repair paths the process stops on it. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}
