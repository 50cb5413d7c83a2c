import type { DocumentAddress, MetadataStore, Mutation } from '../../src/metadata-store/metadata-store.ts';

/** The documents of a metadata store, in memory; every other call is a test's mistake. */
export class DocumentStore {
  readonly documents = new Map<string, Buffer>();
  commitCount = 0;

  async getDocument({ collection, id }: DocumentAddress): Promise<Buffer | undefined> {
    return this.documents.get(`${collection}/${id}`);
  }

  async listDocuments(collection: string): Promise<{ id: string; body: Buffer }[]> {
    const start = `${collection}/`;
    return [...this.documents]
      .filter(([name]) => name.startsWith(start))
      .map(([name, body]) => ({ id: name.slice(start.length), body }));
  }

  formatVersion(): number {
    return 2;
  }

  async commit(mutation: Mutation): Promise<void> {
    if (mutation.type !== 'PutDocument' && mutation.type !== 'DeleteDocument') {
      throw new Error(`unexpected ${mutation.type}`);
    }
    this.commitCount += 1;
    const name = `${mutation.address.collection}/${mutation.address.id}`;
    if (mutation.type === 'PutDocument') this.documents.set(name, mutation.body);
    else this.documents.delete(name);
  }

  asStore(): MetadataStore {
    return this as unknown as MetadataStore;
  }
}
