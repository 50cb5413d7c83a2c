import type { EncryptionContext, GeneratedDataKey, KeyService } from '../../keys/key-service.ts';
import { canonicalContext } from '../../keys/key-service.ts';
import type { Clock } from '../../model/clock.ts';

/** How long one bucket key serves. */
const LIFETIME_MS = 5 * 60_000;
const COUNT_LIMIT = 1000;

interface Kept<T> {
  readonly value: Promise<T>;
  readonly untilMs: number;
}

/**
 * S3 Bucket Keys: one data key of the key service wraps the data keys of many objects of a bucket for some minutes, so
 * that the service is asked once and not for every object. Each object's envelope still has a salt and a name of its own.
 * The keys live in memory only and are shared: nobody zeroes them. A key that the server's own ring has disabled serves nobody
 * from then on, kept or not.
 */
export class BucketKeys {
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  readonly #generated = new Map<string, Kept<GeneratedDataKey>>();
  readonly #decrypted = new Map<string, Kept<Buffer>>();

  constructor(clock: Pick<Clock, 'monotonicMs'>) {
    this.#clock = clock;
  }

  async generate(
    service: KeyService,
    request: { keyArn: string; context: EncryptionContext },
  ): Promise<GeneratedDataKey> {
    const id = `${request.keyArn}\0${canonicalContext(request.context)}`;
    const generated = await this.#keep(this.#generated, id, () => service.generateDataKey(request));
    service.requireUsable?.(request.keyArn);
    return generated;
  }

  async decrypt(
    service: KeyService,
    request: { keyArn: string; sealed: Buffer; context: EncryptionContext },
  ): Promise<Buffer> {
    const id = `${request.keyArn}\0${canonicalContext(request.context)}\0${request.sealed.toString('base64')}`;
    const decrypted = await this.#keep(this.#decrypted, id, () => service.decryptDataKey(request));
    service.requireUsable?.(request.keyArn);
    return decrypted;
  }

  #keep<T>(kept: Map<string, Kept<T>>, id: string, make: () => Promise<T>): Promise<T> {
    const nowMs = this.#clock.monotonicMs();
    const found = kept.get(id);
    if (found !== undefined && found.untilMs > nowMs) return found.value;
    kept.delete(id);
    for (const [oldId, old] of kept) {
      if (kept.size < COUNT_LIMIT && old.untilMs > nowMs) break;
      kept.delete(oldId);
    }
    const value = make();
    kept.set(id, { value, untilMs: nowMs + LIFETIME_MS });
    // A failure is told once and not kept.
    value.catch(() => kept.delete(id));
    return value;
  }
}
