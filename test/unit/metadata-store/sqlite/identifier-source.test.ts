import { expect, test } from 'vitest';
import { IdentifierSource } from '../../../../src/metadata-store/sqlite/identifier-source.ts';

test('no identifier is made before an epoch is open: the next start without one would make it again', () => {
  const journal = { epoch: 0 };
  const identifiers = new IdentifierSource(journal);
  expect(() => identifiers.next()).toThrow(expect.objectContaining({ code: 'QuorumLost' }));
  journal.epoch = 7;
  expect([identifiers.next(), identifiers.next()]).toEqual([7 * 2 ** 32, 7 * 2 ** 32 + 1]);
});
