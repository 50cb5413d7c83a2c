import type { Database } from 'better-sqlite3';
import { S3Error } from '../../errors/s3-error.ts';
import type { Clock } from '../../model/clock.ts';
import type { Owner } from '../../model/object-record.ts';
import { requireStoreFormat } from '../../model/store-format.ts';
import type { Mutation } from '../metadata-store.ts';
import { encodeAttributes } from '../records/attributes-codec.ts';
import type { JournalRecord } from '../records/journal-record.ts';
import type { DecideBlobs } from './decide-blobs.ts';
import type { DecideBuckets } from './decide-buckets.ts';
import type { DecideObjects } from './decide-objects.ts';

export interface DecideRenameOptions {
  db: Database;
  clock: Pick<Clock, 'nowMs'>;
  buckets: DecideBuckets;
  objects: DecideObjects;
  blobs: DecideBlobs;
  emit: (record: JournalRecord) => void;
  nextIdentifier: () => number;
  internOwner: (owner: Owner) => number;
  formatVersion: () => number;
}

type RenameObject = Extract<Mutation, { type: 'RenameObject' }>;

/** Evaluates renames: the destination is written and the source deleted in one batch, and the client's token remembered. */
export class DecideRename {
  readonly #options: DecideRenameOptions;
  readonly #token;

  constructor(options: DecideRenameOptions) {
    this.#options = options;
    this.#token = options.db
      .prepare<[number, string, number], Buffer>(
        'SELECT meaning FROM client_tokens WHERE bucket_id = ? AND token = ? AND expires_at_ms > ?',
      )
      .pluck();
  }

  /** @throws S3Error NoSuchBucket | NoSuchKey | NotImplemented | ConditionalRequestConflict | IdempotencyParameterMismatch; StoreError BlobGone */
  rename(mutation: RenameObject): void {
    const { bucketId, source, destinationOrder, token } = mutation;
    const { objects, emit } = this.#options;
    requireStoreFormat(this.#options.formatVersion(), 2, 'Renaming an object');
    const { configuration } = this.#options.buckets.require(bucketId);
    if (this.#isRepeated(mutation)) return;
    // Else a rename would have to leave versions behind under the one key and make one under the other.
    if (configuration.versioning !== undefined) {
      throw new S3Error('NotImplemented', {
        message: 'RenameObject is not implemented for buckets that have, or had, versioning enabled.',
      });
    }
    if (source === undefined) throw new S3Error('NoSuchKey', { details: { Key: mutation.sourceKey } });
    const [sourceKey, key] = [Buffer.from(mutation.sourceKey), Buffer.from(mutation.key)];
    if (objects.find(bucketId, sourceKey, undefined)?.order !== source.order) throw overtaken();
    const { details } = encodeAttributes(source.seen);
    if (!objects.details(bucketId, sourceKey, source.order).equals(details)) throw overtaken();
    if (destinationOrder !== undefined && (objects.find(bucketId, key, undefined)?.order ?? 0) !== destinationOrder) {
      throw overtaken();
    }
    const blobs = this.#options.blobs.check(source.blobs);
    emit({
      type: 'PutObject',
      bucketId,
      key,
      order: this.#options.nextIdentifier(),
      ownerId: this.#options.internOwner(source.owner),
      lastModifiedMs: source.lastModifiedMs,
      attributes: encodeAttributes(source.attributes),
      blobs,
    });
    emit({ type: 'DeleteObject', bucketId, key: sourceKey });
    if (token === undefined) return;
    const decidedAtMs = this.#options.clock.nowMs();
    emit({ type: 'RememberToken', bucketId, token: token.value, meaning: token.meaning, decidedAtMs });
  }

  #isRepeated({ bucketId, token }: RenameObject): boolean {
    if (token === undefined) return false;
    const remembered = this.#token.get(bucketId, token.value, this.#options.clock.nowMs());
    if (remembered === undefined) return false;
    if (!remembered.equals(token.meaning)) throw new S3Error('IdempotencyParameterMismatch');
    return true;
  }
}

function overtaken(): S3Error {
  return new S3Error('ConditionalRequestConflict');
}
