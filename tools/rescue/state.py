"""What the records add up to: buckets, versions of objects, blobs, volumes. docs/ON-DISK-FORMAT.md, sections 5 and 7."""

import json
import os
import sqlite3
import tempfile

from journal import PAYLOAD
from wire import NewerFormat, Reader, encode_varint, varints

_SCHEMA = """
CREATE TABLE buckets (bucket_id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE versions (
  bucket_id INTEGER NOT NULL, key BLOB NOT NULL, ord INTEGER NOT NULL, version_id TEXT NOT NULL,
  is_delete_marker INTEGER NOT NULL, size_bytes INTEGER NOT NULL, etag TEXT NOT NULL,
  modified_ms INTEGER NOT NULL, details BLOB NOT NULL, parts BLOB NOT NULL, blob_ids BLOB NOT NULL,
  PRIMARY KEY (bucket_id, key, ord)
) WITHOUT ROWID;
CREATE TABLE uploads (ord INTEGER PRIMARY KEY, bucket_id INTEGER NOT NULL, key BLOB NOT NULL);
CREATE TABLE parts (
  upload_ord INTEGER NOT NULL, part_number INTEGER NOT NULL, blob_ids BLOB NOT NULL,
  PRIMARY KEY (upload_ord, part_number)
) WITHOUT ROWID;
CREATE TABLE blobs (blob_id INTEGER PRIMARY KEY, size_bytes INTEGER NOT NULL, layout BLOB NOT NULL);
CREATE TABLE volumes (volume_id INTEGER PRIMARY KEY, disk_ids TEXT NOT NULL);
CREATE TABLE documents (collection TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (collection, id));
"""

_FROM_SNAPSHOT = """
INSERT INTO buckets SELECT bucket_id, name FROM snapshot.buckets;
INSERT INTO versions
  SELECT o.bucket_id, o.key, o.ord, o.version_id, o.is_delete_marker, o.size_bytes, o.etag, o.modified_ms, o.details,
    coalesce(l.parts, x''),
    CASE WHEN o.only_blob_id IS NOT NULL THEN encode_varint(o.only_blob_id)
         WHEN o.has_large_lists = 1 THEN l.blob_ids ELSE o.blob_ids END
  FROM (SELECT bucket_id, key, ord, version_id, 0 AS is_delete_marker, size_bytes, etag, modified_ms, details,
          only_blob_id, has_large_lists, blob_ids FROM snapshot.objects
        UNION ALL SELECT bucket_id, key, ord, version_id, is_delete_marker, size_bytes, etag, modified_ms, details,
          only_blob_id, has_large_lists, blob_ids FROM snapshot.versions) o
    LEFT JOIN snapshot.large_lists l ON l.ord = o.ord AND o.has_large_lists = 1;
INSERT INTO uploads SELECT ord, bucket_id, key FROM snapshot.uploads;
INSERT INTO parts SELECT upload_ord, part_number, blob_ids FROM snapshot.parts;
INSERT INTO blobs SELECT blob_id, size_bytes, layout FROM snapshot.blobs;
INSERT INTO volumes SELECT volume_id, disk_ids FROM snapshot.volumes WHERE state <> 'dropped';
INSERT INTO documents SELECT collection, id, body FROM snapshot.documents;
"""


class State:
    """A working copy in a temporary database, so that millions of objects need no memory. Close it to remove it."""

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix='holdfast-rescue-')
        self.db = sqlite3.connect(os.path.join(self._directory.name, 'state.sqlite'), isolation_level=None)
        self.db.executescript('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;' + _SCHEMA)
        self.db.create_function('encode_varint', 1, encode_varint, deterministic=True)
        self._batch_number = 0

    def close(self):
        self.db.close()
        self._directory.cleanup()

    def load(self, snapshot, position_hash):
        path = os.path.join(self._directory.name, 'snapshot.sqlite')
        with open(path, 'wb') as file:
            file.write(snapshot)
        self.db.execute('ATTACH DATABASE ? AS snapshot', (path,))
        version = self.db.execute('PRAGMA snapshot.user_version').fetchone()[0]
        if version > 2:
            raise NewerFormat(f'the checkpoint has table version {version}; this reader knows 2')
        batch_number, applied = self.db.execute('SELECT batch_number, hash FROM snapshot.applied').fetchone()
        if applied != position_hash:
            raise ValueError('the checkpoint does not hold the position it is named for')
        self.db.executescript('BEGIN;' + _FROM_SNAPSHOT + 'COMMIT;')
        self.db.execute('DETACH DATABASE snapshot')
        os.remove(path)
        self._batch_number = batch_number

    def apply(self, frames):
        self.db.execute('BEGIN')
        for frame in frames:
            if frame.kind == PAYLOAD:
                self._apply_batch(Reader(frame.payload))
        self.db.execute('COMMIT')

    def _apply_batch(self, reader):
        version = reader.byte()
        if version > 2:
            raise NewerFormat(f'a batch has format {version}; this reader knows 2')
        number = reader.varint()
        if number != self._batch_number + 1:
            raise ValueError(f'batch {self._batch_number + 1} is missing: a frame was lost')
        self._batch_number = number
        for _ in range(reader.varint()):
            kind = reader.byte()
            apply = _RECORDS.get(kind)
            if apply is None:
                raise NewerFormat(f'a record has type {kind}, which this reader does not know')
            apply(self, reader)
        if not reader.is_at_end:
            raise ValueError('a batch has bytes behind its last record')

    def blobs_of(self, blob_ids):
        """(size, layout) of each blob, in order."""
        rows = []
        for blob_id in varints(blob_ids):
            row = self.db.execute('SELECT size_bytes, layout FROM blobs WHERE blob_id = ?', (blob_id,)).fetchone()
            if row is None:
                raise ValueError(f'blob {blob_id} is not known')
            rows.append(row)
        return rows

    def document(self, collection, name):
        """Its bytes, or None."""
        row = self.db.execute('SELECT body FROM documents WHERE collection = ? AND id = ?', (collection, name)).fetchone()
        return row and row[0]

    def _blob(self, reader):
        blob_id, size, layout = reader.varint(), reader.varint(), reader.bytes()
        reader.list(lambda: (reader.varint(), reader.varint()))
        self.db.execute('INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)', (blob_id, size, layout))
        return blob_id

    def _blob_uses(self, reader):
        ids = reader.list(lambda: reader.varint() if reader.byte() == 1 else self._blob(reader))
        return b''.join(map(encode_varint, ids))

    def _attributes(self, reader):
        etag, size = reader.string(), reader.varint()
        reader.string()
        reader.varint()
        return etag, size, reader.bytes(), reader.bytes()

    def _add(self, bucket_id, key, order, version_id, modified_ms, attributes, blob_ids):
        """A version, or a delete marker when there are no attributes; a null version takes the place of the former one."""
        etag, size, details, parts = attributes or ('', 0, b'', b'')
        if version_id == '':
            self.db.execute("DELETE FROM versions WHERE bucket_id = ? AND key = ? AND version_id = ''", (bucket_id, key))
        self.db.execute(
            'INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
            (bucket_id, key, order, version_id, int(attributes is None), size, etag, modified_ms, details, parts, blob_ids),
        )

    def _intern_owner(self, reader):
        reader.varint()
        for _ in range(3):
            reader.string()

    def _create_bucket(self, reader):
        bucket_id, name = reader.varint(), reader.string()
        reader.varint()
        reader.string()
        reader.signed()
        self.db.execute('INSERT INTO buckets VALUES (?, ?)', (bucket_id, name))

    def _delete_bucket(self, reader):
        bucket_id = reader.varint()
        self.db.execute(
            'DELETE FROM parts WHERE upload_ord IN (SELECT ord FROM uploads WHERE bucket_id = ?)', (bucket_id,)
        )
        self.db.execute('DELETE FROM uploads WHERE bucket_id = ?', (bucket_id,))
        self.db.execute('DELETE FROM buckets WHERE bucket_id = ?', (bucket_id,))

    def _put_object(self, reader, is_version=False):
        bucket_id, key, order = reader.varint(), reader.bytes(), reader.varint()
        reader.varint()
        modified_ms = reader.signed()
        attributes = self._attributes(reader)
        blob_ids = self._blob_uses(reader)
        version_id = reader.string() if is_version else ''
        self._add(bucket_id, key, order, version_id, modified_ms, attributes, blob_ids)

    def _put_delete_marker(self, reader):
        bucket_id, key, order = reader.varint(), reader.bytes(), reader.varint()
        reader.varint()
        modified_ms = reader.signed()
        self._add(bucket_id, key, order, reader.string(), modified_ms, None, b'')

    def _delete_object(self, reader):
        self.db.execute('DELETE FROM versions WHERE bucket_id = ? AND key = ?', (reader.varint(), reader.bytes()))

    def _delete_version(self, reader):
        self.db.execute(
            'DELETE FROM versions WHERE bucket_id = ? AND key = ? AND ord = ?',
            (reader.varint(), reader.bytes(), reader.varint()),
        )

    def _create_upload(self, reader):
        order, _upload_id, bucket_id, key = reader.varint(), reader.string(), reader.varint(), reader.bytes()
        reader.signed()
        reader.varint()
        reader.varint()
        reader.string()
        reader.varint()
        reader.bytes()
        self.db.execute('INSERT INTO uploads VALUES (?, ?, ?)', (order, bucket_id, key))

    def _put_part(self, reader, is_encrypted=False):
        order, number = reader.varint(), reader.varint()
        reader.string()
        reader.varint()
        reader.signed()
        reader.varint()
        reader.string()
        self.db.execute('INSERT OR REPLACE INTO parts VALUES (?, ?, ?)', (order, number, self._blob_uses(reader)))
        if is_encrypted:
            reader.bytes()

    def _change_details(self, reader):
        bucket_id, key, order, details = reader.varint(), reader.bytes(), reader.varint(), reader.bytes()
        self.db.execute(
            'UPDATE versions SET details = ? WHERE bucket_id = ? AND key = ? AND ord = ?', (details, bucket_id, key, order)
        )

    def _transition_version(self, reader):
        bucket_id, key, order = reader.varint(), reader.bytes(), reader.varint()
        reader.string()
        self.db.execute(
            'UPDATE versions SET blob_ids = ? WHERE bucket_id = ? AND key = ? AND ord = ?',
            (self._blob_uses(reader), bucket_id, key, order),
        )

    def _complete_upload(self, reader, is_version=False):
        upload, order = reader.varint(), reader.varint()
        modified_ms = reader.signed()
        reader.signed()
        attributes = self._attributes(reader)
        numbers = sorted(reader.list(reader.varint))
        manifest = reader.optional(lambda: self._blob(reader))
        version_id = reader.string() if is_version else ''
        bucket_id, key = self.db.execute('SELECT bucket_id, key FROM uploads WHERE ord = ?', (upload,)).fetchone()
        blob_ids = b''
        for number in numbers:
            blob_ids += self.db.execute(
                'SELECT blob_ids FROM parts WHERE upload_ord = ? AND part_number = ?', (upload, number)
            ).fetchone()[0]
        if manifest is not None:
            blob_ids += encode_varint(manifest)
        self._add(bucket_id, key, order, version_id, modified_ms, attributes, blob_ids)
        self._forget_upload(upload)

    def _forget_upload(self, upload):
        self.db.execute('DELETE FROM parts WHERE upload_ord = ?', (upload,))
        self.db.execute('DELETE FROM uploads WHERE ord = ?', (upload,))

    def _open_volume(self, reader):
        volume_id = reader.varint()
        reader.varint()
        reader.varint()
        disk_ids = reader.list(reader.string)
        reader.byte()
        reader.varint()
        self.db.execute('INSERT INTO volumes VALUES (?, ?)', (volume_id, json.dumps(disk_ids)))

    def _open_class_volume(self, reader):
        self._open_volume(reader)
        reader.string()

    def _raise_format(self, reader):
        reader.varint()

    def _append_object(self, reader):
        bucket_id, key, order, new_order = reader.varint(), reader.bytes(), reader.varint(), reader.varint()
        modified_ms, etag, size = reader.signed(), reader.string(), reader.varint()
        reader.varint()
        details = reader.bytes()
        added = reader.list(lambda: (reader.varint(), reader.optional(reader.string)))
        added_ids = self._blob_uses(reader)
        at = (bucket_id, key, order)
        parts, blob_ids = self.db.execute(
            'SELECT parts, blob_ids FROM versions WHERE bucket_id = ? AND key = ? AND ord = ?', at
        ).fetchone()
        self.db.execute(
            'UPDATE versions SET ord = ?, modified_ms = ?, etag = ?, size_bytes = ?, details = ?, parts = ?, blob_ids = ?'
            ' WHERE bucket_id = ? AND key = ? AND ord = ?',
            (new_order, modified_ms, etag, size, details, append_parts(parts, added), blob_ids + added_ids, *at),
        )

    def _move_shard(self, reader):
        volume_id, slot = reader.varint(), reader.varint()
        reader.string()
        to_disk_id = reader.string()
        row = self.db.execute('SELECT disk_ids FROM volumes WHERE volume_id = ?', (volume_id,)).fetchone()
        if row is not None:
            disk_ids = json.loads(row[0])
            disk_ids[slot] = to_disk_id
            self.db.execute('UPDATE volumes SET disk_ids = ? WHERE volume_id = ?', (json.dumps(disk_ids), volume_id))

    def _move_blobs(self, reader):
        def move():
            blob_id, layout = reader.varint(), reader.bytes()
            reader.list(lambda: (reader.varint(), reader.varint()))
            self.db.execute('UPDATE blobs SET layout = ? WHERE blob_id = ?', (layout, blob_id))

        reader.list(move)

    def _put_document(self, reader):
        row = reader.string(), reader.string(), reader.bytes()
        self.db.execute('INSERT OR REPLACE INTO documents VALUES (?, ?, ?)', row)

    def _delete_document(self, reader):
        self.db.execute('DELETE FROM documents WHERE collection = ? AND id = ?', (reader.string(), reader.string()))

    def _skip_damage(self, reader):
        reader.list(
            lambda: (reader.varint(), reader.string(), reader.varint(), reader.varint(), reader.byte(), reader.signed())
        )


_RECORDS = {
    1: State._intern_owner,
    2: State._create_bucket,
    3: State._delete_bucket,
    4: State._put_object,
    5: State._delete_object,
    6: State._create_upload,
    7: State._put_part,
    8: State._complete_upload,
    9: lambda state, reader: state._forget_upload(reader.varint()),
    10: State._put_document,
    11: State._delete_document,
    12: State._open_volume,
    13: lambda _, reader: (reader.varint(), reader.varint()),
    14: lambda state, reader: state.db.execute('DELETE FROM volumes WHERE volume_id = ?', (reader.varint(),)),
    15: lambda _, reader: (reader.varint(), reader.list(reader.string)),
    16: State._move_blobs,
    17: State._skip_damage,
    18: lambda _, reader: reader.list(lambda: (reader.varint(), reader.string(), reader.varint())),
    19: State._move_shard,
    20: lambda state, reader: state._put_object(reader, is_version=True),
    21: State._put_delete_marker,
    22: State._delete_version,
    23: lambda state, reader: state._complete_upload(reader, is_version=True),
    24: State._change_details,
    26: lambda state, reader: state._put_part(reader, is_encrypted=True),
    27: State._transition_version,
    28: lambda _, reader: (reader.varint(), reader.string(), reader.bytes(), reader.signed()),
    29: State._append_object,
    30: State._raise_format,
    31: State._open_class_volume,
}


def read_details(details):
    """Headers, user metadata and tags of an object as pairs; retention, legal hold and encryption where it has them."""
    if not details:
        return {'headers': {}, 'metadata': {}, 'tags': {}}
    reader = Reader(details)
    flags = reader.varint()

    def pairs():
        return dict(reader.list(lambda: (reader.string(), reader.string())))

    headers = pairs() if flags & 1 else {}
    metadata = pairs() if flags & 2 else {}
    if flags & 4:
        reader.string()
    found = {'headers': headers, 'metadata': metadata, 'tags': pairs() if flags & 8 else {}}
    if flags & 16:
        mode = {1: 'GOVERNANCE', 2: 'COMPLIANCE'}.get(reader.byte())
        found['retention'] = {'mode': mode, 'untilMs': reader.signed()}
    if flags & 32:
        found['legalHold'] = 'ON' if reader.byte() else 'OFF'
    if flags & 64:
        found['encryption'] = reader.bytes()
    return found


def append_parts(parts, added):
    """The parts with more of them, numbered on."""
    reader = Reader(parts)
    count = reader.varint() if parts else 0
    pieces = [encode_varint(count + len(added)), parts[len(encode_varint(count)) :] if parts else b'']
    for size, checksum in added:
        text = None if checksum is None else checksum.encode()
        pieces += [encode_varint(1), encode_varint(size), b'\0' if text is None else b'\1' + encode_varint(len(text)) + text]
    return b''.join(pieces)


def read_part_sizes(parts):
    if not parts:
        return []
    reader = Reader(parts)
    return [size for _, size, _ in reader.list(lambda: (reader.varint(), reader.varint(), reader.optional(reader.string)))]
