import { StoreError } from '../errors/store-error.ts';
import type { StorageClass } from '../model/storage-class.ts';

/**
 * A class that never gets its code would be narrower than what was asked for, silently and for ever.
 * @throws StoreError FormatRefused
 */
export function requireDisksForClasses(classes: readonly StorageClass[], diskCount: number): void {
  for (const { name, code } of classes) {
    const width = code.k + code.m;
    if (width <= diskCount) continue;
    throw new StoreError(
      'FormatRefused',
      `storage class ${name} is ${code.k}+${code.m} and needs ${width} disks; the cluster has ${diskCount}`,
      {
        hint: 'Give it a smaller code in storage.classes, or start without it and add disks first: holdfast disk add PATH',
      },
    );
  }
}
