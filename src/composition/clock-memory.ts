import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { ClockMemory, ClockNote } from '../observability/clock-watch.ts';

const ADDRESS = { collection: 'cluster', id: 'clock' };

/** On every disk, with everything else: a clock that jumps while a machine is off shows on the next one too. */
export function clockMemory(store: MetadataStore, lastRecordAtMs: number | undefined): ClockMemory {
  return {
    lastRecordAtMs,
    read: async () => {
      const body = await store.getDocument(ADDRESS);
      if (body === undefined) return undefined;
      const { trustedAtMs, jump } = JSON.parse(body.toString('utf8')) as ClockNote;
      return { trustedAtMs, jump };
    },
    write: async (note) => {
      await store.commit({ type: 'PutDocument', address: ADDRESS, body: Buffer.from(JSON.stringify(note)) });
    },
  };
}
