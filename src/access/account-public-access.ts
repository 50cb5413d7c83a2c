import { StoreError } from '../errors/store-error.ts';
import type { MetadataStore } from '../metadata-store/metadata-store.ts';
import type { PublicAccessBlock } from '../model/bucket-access.ts';
import { requireStoreFormat } from '../model/store-format.ts';

const COLLECTION = 'account-public-access-block';

type Documents = Pick<MetadataStore, 'commit' | 'formatVersion' | 'listDocuments'>;

/**
 * What is blocked in all buckets of an account: documents of the metadata store, by account id, held in memory because
 * every decision asks. A change counts when it is acknowledged.
 */
export class AccountPublicAccess {
  readonly #blocks = new Map<string, PublicAccessBlock>();
  #documents: Documents | undefined;

  /** Reads what is stored. @throws Error when a document cannot be read: nothing is served rather than opened */
  async open(documents: Documents): Promise<void> {
    for (const { id, body } of await documents.listDocuments(COLLECTION)) {
      this.#blocks.set(id, JSON.parse(body.toString()) as PublicAccessBlock);
    }
    this.#documents = documents;
  }

  /** `undefined`: nothing is blocked but what buckets block. */
  of(accountId: string): PublicAccessBlock | undefined {
    return this.#blocks.get(accountId);
  }

  /** `undefined` removes it. @throws S3Error NotImplemented (format 1) */
  async set(accountId: string, block: PublicAccessBlock | undefined): Promise<void> {
    const documents = this.#documents;
    if (documents === undefined) throw new StoreError('NotReady', 'the accounts are not open');
    requireStoreFormat(documents.formatVersion(), 2, 'Block Public Access of an account');
    const address = { collection: COLLECTION, id: accountId };
    if (block === undefined) await documents.commit({ type: 'DeleteDocument', address });
    else await documents.commit({ type: 'PutDocument', address, body: Buffer.from(JSON.stringify(block)) });
    if (block === undefined) this.#blocks.delete(accountId);
    else this.#blocks.set(accountId, block);
  }
}
