import type { RecodeControl } from '../admin/admin-app.ts';
import type { StripedDataStore } from '../data-store/striped-data-store.ts';
import type { Clock } from '../model/clock.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { DiskManager } from './disk-manager.ts';
import type { Healing } from './make-healing.ts';
import type { Metadata } from './open-metadata.ts';

const WAIT_MS = 1000;

/** `holdfast recode` on a running server. */
export function recodeControl(
  clock: Clock,
  {
    healing: { recoder },
    diskManager,
    dataStore,
    metadata,
  }: {
    healing: Pick<Healing, 'recoder'>;
    diskManager: DiskManager;
    dataStore: StripedDataStore;
    metadata: Pick<Metadata, 'store'>;
  },
): RecodeControl {
  return {
    start: async ({ code, onlyNew }) => {
      if (code !== undefined) {
        await diskManager.changeCode(code);
        await recoder.codeChanged();
      }
      if (!onlyNew) {
        await sealOthers(metadata.store, dataStore);
        await recoder.begin();
      }
      return recoder.report();
    },
    stop: async () => {
      await recoder.end();
      return recoder.report();
    },
    report: () => recoder.report(),
    wait: async () => {
      await new Promise<void>((resolve) => void clock.schedule(WAIT_MS, resolve));
      return recoder.report();
    },
  };
}

/** Only what is sealed is rewritten. */
async function sealOthers(
  metadataStore: Pick<MetadataStore, 'listVolumes'>,
  dataStore: StripedDataStore,
): Promise<void> {
  for (const { volumeId, state } of await metadataStore.listVolumes()) {
    if (state === 'open') dataStore.retireVolume(volumeId);
  }
}
