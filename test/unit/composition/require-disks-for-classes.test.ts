import { expect, test } from 'vitest';
import { requireDisksForClasses } from '../../../src/composition/require-disks-for-classes.ts';

test('a storage class that is wider than the list of disks is refused by name, with what it needs', () => {
  const classes = [
    { name: 'SMALL', code: { k: 2, m: 1 } },
    { name: 'ARCHIVE', code: { k: 8, m: 3 } },
  ];
  expect(() => requireDisksForClasses(classes, 6)).toThrow(
    'storage class ARCHIVE is 8+3 and needs 11 disks; the cluster has 6',
  );
  expect(() => requireDisksForClasses(classes, 11)).not.toThrow();
});
