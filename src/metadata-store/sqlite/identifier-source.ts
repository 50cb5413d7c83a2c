import { StoreError } from '../../errors/store-error.ts';
import { makeIdentifier } from '../../model/identifier.ts';
import type { Journal } from '../journal/journal.ts';

/** Identifiers of the journal's current epoch. The counter starts again with each epoch, and an epoch is never used twice. */
export class IdentifierSource {
  readonly #journal: Pick<Journal, 'epoch'>;
  #epoch = -1;
  #counter = 0;

  constructor(journal: Pick<Journal, 'epoch'>) {
    this.#journal = journal;
  }

  /** @throws StoreError QuorumLost: no epoch has been opened yet, so nothing would tell these from those of another start */
  next(): number {
    const { epoch } = this.#journal;
    if (epoch === 0) throw new StoreError('QuorumLost', 'too few usable disks to write: no epoch is open');
    if (epoch !== this.#epoch) {
      this.#epoch = epoch;
      this.#counter = 0;
    }
    return makeIdentifier({ epoch, counter: this.#counter++ });
  }
}
