import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeVersionId, orderOfVersionId, proposeVersionId } from '../../../src/model/version-id.ts';
import { SystemRandomness } from '../../../src/observability/system-clock.ts';
import { checkVersionId } from '../../../src/service/object-rules.ts';

const randomness = new SystemRandomness();

test('an id is 32 URL-safe characters, valid in a request, and tells its order', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), (order) => {
      const id = makeVersionId(order, randomness);
      expect(id).toMatch(/^[A-Za-z0-9._]{32}$/);
      checkVersionId(id);
      expect(orderOfVersionId(id)).toBe(order);
    }),
  );
});

test('two ids of one order differ', () => {
  expect(makeVersionId(7, randomness)).not.toBe(makeVersionId(7, randomness));
});

test('a proposed id looks like the others', () => {
  const id = proposeVersionId(randomness);
  expect(id).toMatch(/^[A-Za-z0-9._]{32}$/);
  expect(orderOfVersionId(id)).toBeUndefined();
});

test('an id that was made elsewhere tells no order', () => {
  for (const id of ['null', '', 'x'.repeat(32), '-'.repeat(32), '3sL4kqtJlcpXroDTDmJ.rmSpXd3dIbrHY']) {
    expect(orderOfVersionId(id)).toBeUndefined();
  }
});
