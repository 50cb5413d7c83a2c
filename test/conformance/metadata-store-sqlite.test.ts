import { sqliteHarness } from '../support/open-sqlite-store.ts';
import { metadataStoreConformance } from './metadata-store.ts';

metadataStoreConformance('SQLite', async () => {
  const harness = await sqliteHarness();
  const { store } = await harness.open();
  return { store, close: () => harness.close() };
});
