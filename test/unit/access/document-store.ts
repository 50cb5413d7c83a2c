import type { DocumentAddress, MetadataStore, Mutation } from '../../../src/metadata-store/metadata-store.ts';

/** The documents of a metadata store, in memory; every other call is a test's mistake. */
export class DocumentStore {
  readonly documents = new Map<string, Buffer>();
  commitCount = 0;

  async getDocument({ collection, id }: DocumentAddress): Promise<Buffer | undefined> {
    return this.documents.get(`${collection}/${id}`);
  }

  async commit(mutation: Mutation): Promise<void> {
    if (mutation.type !== 'PutDocument') throw new Error(`unexpected ${mutation.type}`);
    this.commitCount += 1;
    this.documents.set(`${mutation.address.collection}/${mutation.address.id}`, mutation.body);
  }

  asStore(): MetadataStore {
    return this as unknown as MetadataStore;
  }
}
