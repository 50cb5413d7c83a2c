import type { Entity } from './entities.ts';

/** Entities of one kind, by id and by name within an account. Changed by the one writer only. */
export class EntityTable<E extends Entity> {
  readonly #byId = new Map<string, E>();
  /** By account, then by lower-case name. */
  readonly #byName = new Map<string, Map<string, E>>();

  get(id: string): E | undefined {
    return this.#byId.get(id);
  }

  /** Names know no case. */
  find(accountId: string, name: string): E | undefined {
    return this.#byName.get(accountId)?.get(name.toLowerCase());
  }

  /** Of one account, ascending by name without its case, as IAM lists them. */
  list(accountId: string): E[] {
    const ofAccount = [...(this.#byName.get(accountId) ?? [])];
    return ofAccount.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, entity]) => entity);
  }

  all(): IterableIterator<E> {
    return this.#byId.values();
  }

  set(entity: E): void {
    this.remove(entity.id);
    this.#byId.set(entity.id, entity);
    let ofAccount = this.#byName.get(entity.accountId);
    if (ofAccount === undefined) this.#byName.set(entity.accountId, (ofAccount = new Map()));
    ofAccount.set(entity.name.toLowerCase(), entity);
  }

  remove(id: string): void {
    const former = this.#byId.get(id);
    if (former === undefined) return;
    this.#byId.delete(id);
    this.#byName.get(former.accountId)?.delete(former.name.toLowerCase());
  }
}

/** What may be asked of a table. */
export type EntityReader<E extends Entity> = Pick<EntityTable<E>, 'get' | 'find' | 'list' | 'all'>;
