import { StoreError } from '../../errors/store-error.ts';

/** Something whole that this version cannot read. It must not be taken for damage: nothing is repaired, cut or written over. */
export function newerFormat(what: string, version: number | string, known: number): StoreError {
  return new StoreError('FormatRefused', `${what} has version ${version}; this server knows version ${known}`, {
    hint: 'Start the version of Holdfast that wrote it, or a newer one.',
  });
}
