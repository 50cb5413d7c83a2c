import path from 'node:path';
import { mountedDevice } from '../cli/doctor/mounted-device.ts';
import { inspectDisks } from '../cli/doctor/disk-checks.ts';
import type { StorageOptions } from '../cli/server-types.ts';
import { rememberDisks } from '../cli/state-directory.ts';
import type { StripedDataStore } from '../data-store/striped-data-store.ts';
import type { LocalDiskSet } from '../disk/local-disk-set.ts';
import { StoreError } from '../errors/store-error.ts';
import { AutoReplacer } from './auto-replacer.ts';
import { DiskManager } from './disk-manager.ts';
import type { Metadata } from './open-metadata.ts';

/** Commands on the list of disks, for these stores. */
export function makeDiskManager(
  options: StorageOptions,
  { disks, metadata, dataStore }: { disks: LocalDiskSet; metadata: Metadata; dataStore: StripedDataStore },
): DiskManager {
  const { stateDirectory, log } = options;
  return new DiskManager({
    disks,
    journal: metadata.journal,
    metadata: metadata.store,
    remember: (facts) => {
      return rememberDisks(stateDirectory, { ...facts, listSequence: metadata.journal.listSequence });
    },
    openEpoch: (open) => metadata.store.openEpoch(open),
    storageClasses: options.config.storage.classes,
    sealVolume: (volumeId) => dataStore.retireVolume(volumeId),
    checkDirectory: (directory) => checkDirectory(directory, options),
    log: log.child({ part: 'disks' }),
  });
}

/** Adopts empty file systems by itself, when the policy says so. */
export function makeAutoReplacer(
  { config, clock, log }: StorageOptions,
  { disks, diskManager }: { disks: LocalDiskSet; diskManager: DiskManager },
): AutoReplacer | undefined {
  if (config.storage.autoReplace === 'never') return undefined;
  return new AutoReplacer({
    disks,
    // It may have come back while another command ran.
    replace: (request) => diskManager.replace({ ...request, isOnlyLost: true }),
    mountedDevice,
    clock,
    log: log.child({ part: 'disks' }),
    afterMs: config.storage.autoReplaceAfter,
  });
}

/** As `format` does: file systems on which a sync means nothing are refused, and the state directory is no disk. */
async function checkDirectory(directory: string, { config, stateDirectory }: StorageOptions): Promise<void> {
  if (!path.isAbsolute(directory)) throw new StoreError('FormatRefused', `${directory} is not an absolute path`);
  if (stateDirectory === directory || stateDirectory.startsWith(directory + path.sep)) {
    throw new StoreError('FormatRefused', `the state directory ${stateDirectory} lies on ${directory}`);
  }
  const refusal = (await inspectDisks([directory], config)).find(({ severity }) => severity === 'error');
  if (refusal === undefined) return;
  const { message, fix } = refusal;
  throw new StoreError('FormatRefused', message, fix === undefined ? {} : { hint: fix });
}
