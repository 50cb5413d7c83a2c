import Database from 'better-sqlite3';

/** Every row of every table but the applied position, as plain values: equal dumps are logically equal indexes. */
export function dumpIndex(path: string): Record<string, unknown[][]> {
  const db = new Database(path, { readonly: true });
  try {
    const tables = db
      .prepare<[], string>(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'applied' ORDER BY name`)
      .pluck()
      .all();
    return Object.fromEntries(tables.map((table) => [table, dumpTable(db, table)]));
  } finally {
    db.close();
  }
}

/** What sums and reference counts would be if they were counted now; compare with what the index says. */
export function recountIndex(path: string): { counted: unknown; stored: unknown } {
  const db = new Database(path, { readonly: true });
  const all = (sql: string) => db.prepare<[], unknown[]>(sql).raw().all();
  try {
    const references = new Map<number, number>();
    const onlyBlobs = 'SELECT only_blob_id FROM objects UNION ALL SELECT only_blob_id FROM versions';
    for (const [blobId] of all(onlyBlobs)) {
      if (blobId === null) continue;
      references.set(blobId as number, (references.get(blobId as number) ?? 0) + 1);
    }
    const encoded = [
      ...all('SELECT blob_ids FROM objects'),
      ...all('SELECT blob_ids FROM versions'),
      ...all('SELECT blob_ids FROM parts'),
      ...all('SELECT blob_ids FROM large_lists'),
    ];
    for (const [ids] of encoded) {
      for (const blobId of readVarints(ids as Buffer)) references.set(blobId, (references.get(blobId) ?? 0) + 1);
    }
    return {
      counted: {
        references: [...references].sort(([a], [b]) => a - b),
        liveBytes: all(
          `SELECT volume_id, (SELECT coalesce(sum(stored_bytes), 0) FROM blob_volumes b WHERE b.volume_id = v.volume_id)
           FROM volumes v ORDER BY volume_id`,
        ),
        usage: all(
          `SELECT bucket_id,
           (SELECT count(*) FROM objects o WHERE o.bucket_id = b.bucket_id),
           (SELECT coalesce(sum(size_bytes), 0) FROM objects o WHERE o.bucket_id = b.bucket_id),
           (SELECT count(*) FROM versions v WHERE v.bucket_id = b.bucket_id),
           (SELECT coalesce(sum(size_bytes), 0) FROM versions v WHERE v.bucket_id = b.bucket_id),
           (SELECT count(*) FROM uploads u WHERE u.bucket_id = b.bucket_id) FROM buckets b ORDER BY bucket_id`,
        ),
        places: all('SELECT blob_id FROM blob_volumes GROUP BY blob_id ORDER BY blob_id'),
        orphans: [
          ...all('SELECT upload_ord FROM parts WHERE upload_ord NOT IN (SELECT ord FROM uploads)'),
          ...all(`SELECT ord FROM large_lists WHERE ord NOT IN
                  (SELECT ord FROM objects WHERE has_large_lists UNION ALL SELECT ord FROM versions WHERE has_large_lists)`),
          // A current version is newer than its history, and where there is none the newest of the history is a marker.
          ...all(`SELECT v.ord FROM versions v JOIN objects o USING (bucket_id, key) WHERE v.ord >= o.ord`),
          ...all(`SELECT max(v.ord), is_delete_marker FROM versions v
                  WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.bucket_id = v.bucket_id AND o.key = v.key)
                  GROUP BY v.bucket_id, v.key HAVING is_delete_marker = 0`),
          // One null version at most.
          ...all(`SELECT key FROM (SELECT bucket_id, key, version_id FROM objects
                  UNION ALL SELECT bucket_id, key, version_id FROM versions)
                  GROUP BY bucket_id, key, version_id HAVING count(*) > 1`),
        ],
      },
      stored: {
        references: all('SELECT blob_id, reference_count FROM blobs ORDER BY blob_id'),
        liveBytes: all('SELECT volume_id, live_bytes FROM volumes ORDER BY volume_id'),
        usage: all(
          `SELECT bucket_id, object_count, size_bytes, version_count, version_size_bytes, upload_count FROM buckets
           ORDER BY bucket_id`,
        ),
        places: all('SELECT blob_id FROM blobs ORDER BY blob_id'),
        orphans: [],
      },
    };
  } finally {
    db.close();
  }
}

function dumpTable(db: Database.Database, table: string): unknown[][] {
  const rows = db.prepare<[], unknown[]>(`SELECT * FROM ${table}`).raw().all();
  const plain = rows.map((row) => row.map((value) => (Buffer.isBuffer(value) ? value.toString('hex') : value)));
  return plain.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** Written apart from the product's reader, on purpose. */
function readVarints(encoded: Buffer): number[] {
  const numbers: number[] = [];
  let value = 0;
  let factor = 1;
  for (const byte of encoded) {
    value += (byte % 128) * factor;
    factor *= 128;
    if (byte < 128) {
      numbers.push(value);
      value = 0;
      factor = 1;
    }
  }
  return numbers;
}
