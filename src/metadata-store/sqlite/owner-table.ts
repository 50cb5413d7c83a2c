import type { Database } from 'better-sqlite3';
import { assert } from '../../errors/assert.ts';
import type { Owner } from '../../model/object-record.ts';

/** Owners are few and named by every row: rows carry a number, this table the rest. All of it is kept in memory. */
export class OwnerTable {
  readonly #owners = new Map<number, Owner>();
  readonly #ids = new Map<string, number>();
  readonly #insert;
  readonly #selectAll;

  constructor(db: Database) {
    this.#insert = db.prepare<[number, string, string, string]>(
      'INSERT INTO owners (owner_id, account_id, canonical_id, display_name) VALUES (?, ?, ?, ?)',
    );
    this.#selectAll = db
      .prepare<[], [number, string, string, string]>(
        'SELECT owner_id, account_id, canonical_id, display_name FROM owners',
      )
      .raw();
    this.reload();
  }

  /** After a ROLLBACK. */
  reload(): void {
    this.#owners.clear();
    this.#ids.clear();
    for (const [ownerId, accountId, canonicalId, displayName] of this.#selectAll.all()) {
      this.#remember(ownerId, { accountId, canonicalId, displayName });
    }
  }

  /** The same object for each call: not to be changed. */
  byId(ownerId: number): Owner {
    const owner = this.#owners.get(ownerId);
    assert(owner !== undefined, `owner ${ownerId} is named but not in the table`);
    return owner;
  }

  idOf(owner: Owner): number | undefined {
    return this.#ids.get(nameOf(owner));
  }

  nextId(): number {
    return this.#owners.size + 1;
  }

  insert(ownerId: number, owner: Owner): void {
    this.#insert.run(ownerId, owner.accountId, owner.canonicalId, owner.displayName);
    this.#remember(ownerId, { ...owner });
  }

  #remember(ownerId: number, owner: Owner): void {
    this.#owners.set(ownerId, owner);
    this.#ids.set(nameOf(owner), ownerId);
  }
}

function nameOf(owner: Owner): string {
  return `${owner.accountId} ${owner.canonicalId} ${owner.displayName}`;
}
