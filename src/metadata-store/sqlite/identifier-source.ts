import { makeIdentifier } from '../../model/identifier.ts';
import type { Journal } from '../journal/journal.ts';

/** Identifiers of the journal's current epoch. The counter starts again with each epoch, and an epoch is never used twice. */
export class IdentifierSource {
  readonly #journal: Journal;
  #epoch = -1;
  #counter = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  next(): number {
    if (this.#journal.epoch !== this.#epoch) {
      this.#epoch = this.#journal.epoch;
      this.#counter = 0;
    }
    return makeIdentifier({ epoch: this.#epoch, counter: this.#counter++ });
  }
}
