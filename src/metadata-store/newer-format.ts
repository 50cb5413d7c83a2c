import { StoreError } from '../errors/store-error.ts';

/**
 * Something whole that this version cannot read. It must not be taken for damage: nothing is repaired, cut or written over.
 * `neededVersion`: the first version of Holdfast that reads it, when what was read tells it.
 */
export function newerFormat(what: string, version: number | string, known: number, neededVersion?: string): StoreError {
  const needs = neededVersion === undefined ? '' : `; it needs Holdfast ${neededVersion} or newer`;
  return new StoreError('FormatRefused', `${what} has version ${version}; this server knows version ${known}${needs}`, {
    hint: 'Start the version of Holdfast that wrote it, or a newer one. A store whose upgrade was finalized does not go back.',
  });
}
