import { createHash } from 'node:crypto';

/** One value a key may hold, as a client sees it. `undefined` in its place: the key is missing. */
export interface ObjectValue {
  readonly body: Buffer;
  /** Without quotes. */
  readonly etag: string;
  /** `x-amz-meta-note`: tells which write it is, apart from its bytes. */
  readonly note: string;
  /** Of a version in a bucket with Object Lock: it may not be deleted. */
  readonly isLocked?: boolean;
  /** The server keeps it encrypted, and says so. */
  readonly isEncrypted?: boolean;
}

/** What a read answered: `bytes` from `start` of an object of `totalBytes`. */
export interface Observed {
  readonly bytes: Buffer;
  readonly start: number;
  readonly totalBytes: number;
  readonly etag: string;
  readonly note: string;
}

/**
 * What each key may hold, given every answer so far: one value when its last write was acknowledged, several while an
 * outcome is unknown. Each observation must be one of them and rules the others out for ever (durability.md I1 to I4).
 */
export class ServiceModel {
  readonly #candidates = new Map<string, (ObjectValue | undefined)[]>();

  keys(): string[] {
    return [...this.#candidates.keys()];
  }

  candidates(key: string): readonly (ObjectValue | undefined)[] {
    return this.#candidates.get(key) ?? [undefined];
  }

  /** The value when there is no doubt; `undefined` when there is, or the key is missing. */
  certain(key: string): ObjectValue | undefined {
    const candidates = this.candidates(key);
    return candidates.length === 1 ? candidates[0] : undefined;
  }

  acknowledge(key: string, value: ObjectValue | undefined): void {
    this.#candidates.set(key, [value]);
  }

  /** The write may have happened, or may not. */
  doubt(key: string, value: ObjectValue | undefined): void {
    if (!this.candidates(key).includes(value)) this.#candidates.set(key, [...this.candidates(key), value]);
  }

  /** Rules out what an answer contradicts. @throws Error when nothing is left: an invariant is broken */
  keep(key: string, answer: string, isPossible: (value: ObjectValue | undefined) => boolean): void {
    const left = this.candidates(key).filter(isPossible);
    if (left.length === 0) throw new Error(`${key}: ${answer}, but it may only be ${this.describe(key)}`);
    this.#candidates.set(key, left);
  }

  observe(key: string, observed: Observed | undefined): void {
    this.keep(key, describeObserved(observed), (value) => matches(value, observed));
  }

  describe(key: string): string {
    return this.candidates(key)
      .map((value) => (value ? `${value.note} (${value.body.length} bytes, ${value.etag})` : 'missing'))
      .join(' | ');
  }
}

export function matches(value: ObjectValue | undefined, observed: Observed | undefined): boolean {
  if (!value || !observed) return value === undefined && observed === undefined;
  const { bytes, start, totalBytes, etag, note } = observed;
  if (value.etag !== etag || value.note !== note || value.body.length !== totalBytes) return false;
  return value.body.subarray(start, start + bytes.length).equals(bytes);
}

export function describeObserved(observed: Observed | undefined): string {
  if (!observed) return 'read as missing';
  const { note, etag, start, bytes } = observed;
  return `read ${bytes.length} bytes at ${start} of ${note} (${etag})`;
}

export function md5Hex(body: Buffer): string {
  return createHash('md5').update(body).digest('hex');
}

export function multipartEtagOf(bodies: readonly Buffer[]): string {
  const hash = createHash('md5');
  for (const body of bodies) hash.update(md5Hex(body), 'hex');
  return `${hash.digest('hex')}-${bodies.length}`;
}
