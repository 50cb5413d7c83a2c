import type { MetadataStore } from '../../metadata-store/metadata-store.ts';
import type { Clock } from '../../model/clock.ts';

export interface KeyUse {
  readonly atMs: number;
  /** `s3`, `iam`, … */
  readonly service: string;
  readonly region: string;
}

const COLLECTION = 'iam-key-use';
const FORMAT = 1;

/**
 * When each access key was last used. Noted in memory by every decision and written now and then: a crash forgets the
 * uses since.
 */
export class KeyUses {
  readonly #clock: Pick<Clock, 'nowMs'>;
  readonly #region: string;
  readonly #uses = new Map<string, KeyUse>();
  readonly #unwritten = new Set<string>();

  constructor(clock: Pick<Clock, 'nowMs'>, region: string) {
    this.#clock = clock;
    this.#region = region;
  }

  async open(store: Pick<MetadataStore, 'listDocuments'>): Promise<void> {
    for (const { id, body } of await store.listDocuments(COLLECTION)) {
      const { format, ...use } = JSON.parse(body.toString()) as KeyUse & { format: number };
      if (format === FORMAT && !this.#uses.has(id)) this.#uses.set(id, use);
    }
  }

  note(accessKeyId: string, action: string): void {
    const colon = action.indexOf(':');
    this.#uses.set(accessKeyId, {
      atMs: this.#clock.nowMs(),
      service: action.slice(0, colon),
      region: this.#region,
    });
    this.#unwritten.add(accessKeyId);
  }

  of(accessKeyId: string): KeyUse | undefined {
    return this.#uses.get(accessKeyId);
  }

  /** Writes what is new of the keys that exist, and forgets the others. @throws StoreError: the rest is written later */
  async write(store: Pick<MetadataStore, 'commit'>, exists: (accessKeyId: string) => boolean): Promise<void> {
    for (const id of this.#unwritten) {
      const use = this.#uses.get(id);
      if (use !== undefined && exists(id)) {
        const body = Buffer.from(JSON.stringify({ format: FORMAT, ...use }));
        await store.commit({ type: 'PutDocument', address: { collection: COLLECTION, id }, body });
      }
      this.#unwritten.delete(id);
    }
    for (const id of this.#uses.keys()) {
      if (exists(id)) continue;
      await store.commit({ type: 'DeleteDocument', address: { collection: COLLECTION, id } });
      this.#uses.delete(id);
    }
  }
}
