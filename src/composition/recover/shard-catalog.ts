import { rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { assembleBlob } from '../../data-store/recover/assemble-blob.ts';
import type { FindsListener, FoundBlob, FoundStripe } from '../../data-store/recover/scan-volume.ts';
import type { BlobRecord } from '../../model/blob.ts';
import { decodeBlobDescriptor, type BlobDescriptor } from '../../service/blob-descriptor.ts';
import { decodeFootprint, encodeFootprint } from '../../metadata-store/records/record-codec.ts';

const SCHEMA = `
CREATE TABLE blobs (
  blob_id INTEGER PRIMARY KEY, size_bytes INTEGER NOT NULL, layout BLOB NOT NULL, footprint BLOB NOT NULL,
  volume_id INTEGER NOT NULL, is_used INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE descriptors (
  blob_id INTEGER PRIMARY KEY, bucket_id INTEGER NOT NULL, bucket_name TEXT NOT NULL, key BLOB NOT NULL,
  kind TEXT NOT NULL, modified_ms INTEGER NOT NULL, owner_account_id TEXT, descriptor BLOB NOT NULL
) STRICT;
CREATE INDEX descriptors_by_key ON descriptors (bucket_id, key, blob_id);
CREATE TABLE stripes (
  blob_id INTEGER NOT NULL, blob_offset INTEGER NOT NULL, volume_id INTEGER NOT NULL, stripe_number INTEGER NOT NULL,
  facts TEXT NOT NULL, descriptor BLOB,
  PRIMARY KEY (blob_id, blob_offset, volume_id, stripe_number)
) STRICT, WITHOUT ROWID;
CREATE TABLE continued (blob_id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE named (manifest_id INTEGER NOT NULL, blob_id INTEGER NOT NULL, PRIMARY KEY (blob_id, manifest_id)) STRICT, WITHOUT ROWID;
`;

/** A blob that describes itself, in the order in which a recovery looks at them. */
export interface Described {
  readonly blobId: number;
  readonly descriptor: BlobDescriptor;
}

/**
 * What a scan of all shards has found, in a file of its own so that millions of objects need no memory. Only for one
 * recovery: `close` removes it.
 */
export class ShardCatalog implements FindsListener {
  readonly #path: string;
  readonly #db: Database.Database;
  readonly #sql;
  /** Descriptors that cannot be read: of a newer version, or damaged before they were written. */
  unknownDescriptorCount = 0;
  /** Large blobs of which a piece is missing. */
  incompleteBlobCount = 0;
  /** Of any id that was met. */
  greatestIdentifier = 0;

  constructor(path: string) {
    this.#path = path;
    this.#remove();
    this.#db = new Database(path);
    this.#db.pragma('journal_mode = OFF');
    this.#db.pragma('synchronous = OFF');
    this.#db.exec(SCHEMA);
    this.#sql = prepareStatements(this.#db);
    this.#db.exec('BEGIN');
  }

  close(): void {
    this.#db.close();
    this.#remove();
  }

  #remove(): void {
    for (const suffix of ['', '-journal']) rmSync(this.#path + suffix, { force: true });
  }

  /** One blob may be found twice after it was moved: it is taken where it lay last. */
  onBlob({ blob, descriptor }: FoundBlob): void {
    const volumeId = blob.footprint[0]?.volumeId ?? 0;
    const known = this.#sql.volumeOf.get(blob.blobId);
    this.noteIdentifier(blob.blobId);
    if (known !== undefined && known >= volumeId) return;
    this.#sql.putBlob.run(blob.blobId, blob.sizeBytes, blob.layout, encodeFootprint(blob.footprint), volumeId);
    this.#describe(blob.blobId, descriptor);
  }

  onStripe(stripe: FoundStripe): void {
    const { blobId, blobOffset, volumeId, stripeNumber, descriptor, ...facts } = stripe;
    this.noteIdentifier(blobId);
    this.#sql.putStripe.run(blobId, blobOffset, volumeId, stripeNumber, JSON.stringify(facts), descriptor ?? null);
  }

  noteIdentifier(identifier: number): void {
    this.greatestIdentifier = Math.max(this.greatestIdentifier, identifier);
  }

  #describe(blobId: number, encoded: Buffer): void {
    let descriptor: BlobDescriptor;
    try {
      descriptor = decodeBlobDescriptor(encoded);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.unknownDescriptorCount += 1;
      return;
    }
    const { bucketId, bucketName, key, kind, content } = descriptor;
    this.noteIdentifier(bucketId);
    const owner = descriptor.kind === 'part' ? null : descriptor.attributes.ownerAccountId;
    this.#sql.putDescriptor.run(
      ...([blobId, bucketId, bucketName, Buffer.from(key), kind, content.lastModifiedMs, owner, encoded] as const),
    );
    if (descriptor.previous !== undefined) this.#sql.putContinued.run(descriptor.previous);
    if (descriptor.kind !== 'manifest') return;
    for (const named of descriptor.blobs) this.#sql.putNamed.run(blobId, named.blobId);
  }

  /** After all volumes: puts large blobs together. */
  finish(): void {
    for (const blobId of this.#sql.largeBlobIds.all()) {
      const stripes = this.#sql.stripesOf
        .all(blobId)
        .map(([blobOffset, volumeId, stripeNumber, facts, descriptor]): FoundStripe => ({
          ...(JSON.parse(facts) as Omit<FoundStripe, 'descriptor'>),
          blobId,
          blobOffset,
          volumeId,
          stripeNumber,
          descriptor: descriptor ?? undefined,
        }));
      const end = stripes.find((stripe) => stripe.descriptor !== undefined);
      const blob = end && assembleBlob(stripes, end.blobOffset + end.dataBytes);
      if (blob === undefined || end?.descriptor === undefined) this.incompleteBlobCount += 1;
      else this.onBlob({ blob, descriptor: end.descriptor });
    }
  }

  blob(blobId: number): (BlobRecord & { isUsed: boolean }) | undefined {
    const row = this.#sql.blob.get(blobId);
    if (row === undefined) return undefined;
    const [sizeBytes, layout, footprint, isUsed] = row;
    return { blobId, sizeBytes, layout, footprint: decodeFootprint(footprint), isUsed: isUsed === 1 };
  }

  markUsed(blobId: number): void {
    this.#sql.markUsed.run(blobId);
  }

  /** Is a part of what a manifest names? */
  isNamed(blobId: number): boolean {
    return this.#sql.isNamed.get(blobId) !== undefined;
  }

  /** Does another description go on from that of this blob? */
  isContinued(blobId: number): boolean {
    return this.#sql.isContinued.get(blobId) !== undefined;
  }

  descriptor(blobId: number): BlobDescriptor | undefined {
    const encoded = this.#sql.descriptor.get(blobId);
    return encoded === undefined ? undefined : decodeBlobDescriptor(encoded);
  }

  /** Every bucket that is named, the newest of one name last. */
  buckets(): { bucketId: number; name: string; firstModifiedMs: number }[] {
    return this.#sql.buckets.all().map(([bucketId, name, firstModifiedMs]) => ({ bucketId, name, firstModifiedMs }));
  }

  /** Accounts that own something, the one that owns most first. */
  ownerAccountIds(): string[] {
    return this.#sql.owners.all();
  }

  /** By bucket and key, those of one key in the order of their ids. */
  *keys(): Generator<Described[]> {
    let group: Described[] = [];
    for (let after: readonly [number, Buffer, number] = [-1, Buffer.alloc(0), -1]; ;) {
      const rows = this.#sql.described.all(...after);
      for (const [blobId, bucketId, key, encoded] of rows) {
        const described = { blobId, descriptor: decodeBlobDescriptor(encoded) };
        const first = group[0]?.descriptor;
        if (first !== undefined && (first.bucketId !== bucketId || first.key !== described.descriptor.key)) {
          yield group;
          group = [];
        }
        group.push(described);
        after = [bucketId, key, blobId];
      }
      if (rows.length === 0) break;
    }
    if (group.length > 0) yield group;
  }
}

function prepareStatements(db: Database.Database) {
  return {
    volumeOf: db.prepare<[number], number>('SELECT volume_id FROM blobs WHERE blob_id = ?').pluck(),
    putBlob: db.prepare(
      'REPLACE INTO blobs (blob_id, size_bytes, layout, footprint, volume_id) VALUES (?, ?, ?, ?, ?)',
    ),
    putDescriptor: db.prepare<[number, number, string, Buffer, string, number, string | null, Buffer]>(
      'REPLACE INTO descriptors VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    putStripe: db.prepare('REPLACE INTO stripes VALUES (?, ?, ?, ?, ?, ?)'),
    putNamed: db.prepare<[number, number]>('REPLACE INTO named VALUES (?, ?)'),
    isNamed: db.prepare<[number], number>('SELECT 1 FROM named WHERE blob_id = ? LIMIT 1').pluck(),
    putContinued: db.prepare<[number]>('REPLACE INTO continued (blob_id) VALUES (?)'),
    isContinued: db.prepare<[number], number>('SELECT 1 FROM continued WHERE blob_id = ?').pluck(),
    descriptor: db.prepare<[number], Buffer>('SELECT descriptor FROM descriptors WHERE blob_id = ?').pluck(),
    largeBlobIds: db.prepare<[], number>('SELECT DISTINCT blob_id FROM stripes').pluck(),
    stripesOf: db
      .prepare<[number], [number, number, number, string, Buffer | null]>(
        'SELECT blob_offset, volume_id, stripe_number, facts, descriptor FROM stripes WHERE blob_id = ?',
      )
      .raw(),
    blob: db
      .prepare<[number], [number, Buffer, Buffer, number]>(
        'SELECT size_bytes, layout, footprint, is_used FROM blobs WHERE blob_id = ?',
      )
      .raw(),
    markUsed: db.prepare<[number]>('UPDATE blobs SET is_used = 1 WHERE blob_id = ?'),
    buckets: db
      .prepare<[], [number, string, number]>(
        'SELECT bucket_id, bucket_name, min(modified_ms) FROM descriptors GROUP BY bucket_id ORDER BY bucket_name, bucket_id',
      )
      .raw(),
    owners: db
      .prepare<[], string>(
        `SELECT owner_account_id FROM descriptors WHERE owner_account_id IS NOT NULL
         GROUP BY owner_account_id ORDER BY count(*) DESC, owner_account_id`,
      )
      .pluck(),
    described: db
      .prepare<[number, Buffer, number], [number, number, Buffer, Buffer]>(
        `SELECT blob_id, bucket_id, key, descriptor FROM descriptors
         WHERE (bucket_id, key, blob_id) > (?, ?, ?) ORDER BY bucket_id, key, blob_id LIMIT 1000`,
      )
      .raw(),
  };
}
