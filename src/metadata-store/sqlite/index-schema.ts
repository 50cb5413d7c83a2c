/** Marks the file as a Holdfast index: 'HFix'. */
export const INDEX_APPLICATION_ID = 0x48466978;
/** Of the tables below. 1: they are brought up to date when the index is opened. Any other: it is rebuilt from the journal. */
export const INDEX_SCHEMA_VERSION = 2;

/**
 * The tables of the index. Keys are bytes (BLOB), so that their order is that of UTF-8. What LIST and GET need lies in
 * `objects`, in the order of the primary key; old versions and delete markers lie in `versions`, so that neither walks
 * over history (`apply-object-record.ts` has the invariants). An object of one blob names it in `only_blob_id`, so that GET is one statement; else `blob_ids` does. Long lists of one object (blobs or parts of a large multipart upload) lie in `large_lists`, by order
 * number. Names that point to blobs count as references; blobs without one are deleted in the transaction that takes the
 * last away. Sums (`buckets`, `volumes`) change in the same transaction as what they count.
 *
 * The live index has these tables in a store of format 1 too; its checkpoints have those of `index-schema-1.ts`. So
 * tables, indexes and columns are only ever added: columns at the end of their table, with a default that means what the
 * row meant in format 1. `applied.format_version` is the active format of the store.
 *
 * `applied.is_closed` is 0 in an index that is open or was not closed: without its WAL that may be half of a state.
 *
 * Encodings inside columns: `details`, `parts`, `checksum` as in `records/attributes-codec.ts`; `footprint` as in
 * `records/record-codec.ts`; `blob_ids` as varints one after the other; `storage_class` '' is STANDARD; `version_id` ''
 * is the null version; disk ids are JSON arrays.
 */
export const INDEX_SCHEMA = `
CREATE TABLE applied (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  batch_number INTEGER NOT NULL,
  epoch INTEGER,
  sequence INTEGER,
  hash BLOB,
  is_closed INTEGER NOT NULL DEFAULT 1,
  format_version INTEGER NOT NULL DEFAULT 1
) STRICT;
INSERT INTO applied (id, batch_number) VALUES (1, 0);

CREATE TABLE owners (
  owner_id INTEGER PRIMARY KEY,
  account_id TEXT NOT NULL,
  canonical_id TEXT NOT NULL,
  display_name TEXT NOT NULL
) STRICT;

CREATE TABLE buckets (
  bucket_id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  account_id TEXT NOT NULL,
  owner_id INTEGER NOT NULL,
  region TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  object_count INTEGER NOT NULL DEFAULT 0,
  size_bytes INTEGER NOT NULL DEFAULT 0,
  upload_count INTEGER NOT NULL DEFAULT 0,
  version_count INTEGER NOT NULL DEFAULT 0,
  version_size_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX buckets_by_account ON buckets (account_id, name);

CREATE TABLE objects (
  bucket_id INTEGER NOT NULL,
  key BLOB NOT NULL,
  ord INTEGER NOT NULL,
  version_id TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  etag TEXT NOT NULL,
  modified_ms INTEGER NOT NULL,
  owner_id INTEGER NOT NULL,
  storage_class TEXT NOT NULL,
  checksum INTEGER NOT NULL,
  has_large_lists INTEGER NOT NULL,
  only_blob_id INTEGER,
  blob_ids BLOB NOT NULL,
  details BLOB NOT NULL,
  PRIMARY KEY (bucket_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE versions (
  bucket_id INTEGER NOT NULL,
  key BLOB NOT NULL,
  ord INTEGER NOT NULL,
  version_id TEXT NOT NULL,
  is_delete_marker INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  etag TEXT NOT NULL,
  modified_ms INTEGER NOT NULL,
  owner_id INTEGER NOT NULL,
  storage_class TEXT NOT NULL,
  checksum INTEGER NOT NULL,
  has_large_lists INTEGER NOT NULL,
  only_blob_id INTEGER,
  blob_ids BLOB NOT NULL,
  details BLOB NOT NULL,
  PRIMARY KEY (bucket_id, key, ord DESC)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_by_id ON versions (bucket_id, key, version_id);

CREATE TABLE large_lists (
  ord INTEGER PRIMARY KEY,
  blob_ids BLOB NOT NULL,
  parts BLOB NOT NULL
) STRICT;

CREATE TABLE uploads (
  bucket_id INTEGER NOT NULL,
  key BLOB NOT NULL,
  ord INTEGER NOT NULL UNIQUE,
  upload_id TEXT NOT NULL UNIQUE,
  initiated_at_ms INTEGER NOT NULL,
  owner_id INTEGER NOT NULL,
  initiator_id INTEGER NOT NULL,
  storage_class TEXT NOT NULL,
  checksum INTEGER NOT NULL,
  details BLOB NOT NULL,
  PRIMARY KEY (bucket_id, key, ord)
) STRICT, WITHOUT ROWID;

CREATE TABLE parts (
  upload_ord INTEGER NOT NULL,
  part_number INTEGER NOT NULL,
  etag TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  modified_ms INTEGER NOT NULL,
  checksum INTEGER NOT NULL,
  checksum_value TEXT NOT NULL,
  blob_ids BLOB NOT NULL,
  encryption BLOB,
  PRIMARY KEY (upload_ord, part_number)
) STRICT, WITHOUT ROWID;

CREATE TABLE completed_uploads (
  upload_id TEXT PRIMARY KEY,
  bucket_id INTEGER NOT NULL,
  key BLOB NOT NULL,
  upload_ord INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  version_id TEXT NOT NULL,
  ord INTEGER NOT NULL,
  etag TEXT NOT NULL,
  modified_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX completed_uploads_by_expiry ON completed_uploads (expires_at_ms);

CREATE TABLE client_tokens (
  bucket_id INTEGER NOT NULL,
  token TEXT NOT NULL,
  meaning BLOB NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  PRIMARY KEY (bucket_id, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_tokens_by_expiry ON client_tokens (expires_at_ms);

CREATE TABLE blobs (
  blob_id INTEGER PRIMARY KEY,
  reference_count INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  layout BLOB NOT NULL,
  footprint BLOB NOT NULL
) STRICT;

CREATE TABLE blob_volumes (
  volume_id INTEGER NOT NULL,
  blob_id INTEGER NOT NULL,
  stored_bytes INTEGER NOT NULL,
  PRIMARY KEY (volume_id, blob_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE volumes (
  volume_id INTEGER PRIMARY KEY,
  k INTEGER NOT NULL,
  m INTEGER NOT NULL,
  disk_ids TEXT NOT NULL,
  purpose TEXT NOT NULL,
  shard_size_bytes INTEGER NOT NULL,
  state TEXT NOT NULL,
  length_bytes INTEGER NOT NULL,
  live_bytes INTEGER NOT NULL,
  stored_bytes INTEGER NOT NULL,
  undropped_disk_ids TEXT NOT NULL,
  storage_class TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE documents (
  collection TEXT NOT NULL,
  id TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY (collection, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX documents_by_id ON documents (id, collection);

CREATE TABLE damage (
  volume_id INTEGER NOT NULL,
  disk_id TEXT NOT NULL,
  shard_offset INTEGER NOT NULL,
  shard_index INTEGER NOT NULL,
  kind TEXT NOT NULL,
  seen_at_ms INTEGER NOT NULL,
  PRIMARY KEY (volume_id, disk_id, shard_offset)
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
  event_id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;

PRAGMA application_id = ${INDEX_APPLICATION_ID};
PRAGMA user_version = ${INDEX_SCHEMA_VERSION};
`;
