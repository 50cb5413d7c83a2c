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
    for (const [blobId] of all('SELECT only_blob_id FROM objects WHERE only_blob_id IS NOT NULL')) {
      references.set(blobId as number, (references.get(blobId as number) ?? 0) + 1);
    }
    const encoded = [
      ...all('SELECT blob_ids FROM objects'),
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
           (SELECT count(*) FROM uploads u WHERE u.bucket_id = b.bucket_id) FROM buckets b ORDER BY bucket_id`,
        ),
        places: all('SELECT blob_id FROM blob_volumes GROUP BY blob_id ORDER BY blob_id'),
        orphans: [
          ...all('SELECT upload_ord FROM parts WHERE upload_ord NOT IN (SELECT ord FROM uploads)'),
          ...all('SELECT ord FROM large_lists WHERE ord NOT IN (SELECT ord FROM objects WHERE has_large_lists)'),
        ],
      },
      stored: {
        references: all('SELECT blob_id, reference_count FROM blobs ORDER BY blob_id'),
        liveBytes: all('SELECT volume_id, live_bytes FROM volumes ORDER BY volume_id'),
        usage: all('SELECT bucket_id, object_count, size_bytes, upload_count FROM buckets ORDER BY bucket_id'),
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
