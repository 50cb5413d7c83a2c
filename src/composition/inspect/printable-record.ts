import { isUtf8 } from 'node:buffer';
import { describeLayout } from '../../data-store/describe-layout.ts';
import type { JournalRecord } from '../../metadata-store/records/journal-record.ts';

/** A record as JSON values: keys and documents as text, layouts decoded, other bytes in hex. */
export function printableRecord(record: JournalRecord): unknown {
  return printable(record, '');
}

function printable(value: unknown, name: string): unknown {
  if (Buffer.isBuffer(value)) {
    if (name === 'key') return value.toString('utf8');
    if (name === 'layout') return describeLayout(value);
    // Documents are JSON; what is secret in them is sealed.
    return name === 'body' && isUtf8(value) ? value.toString('utf8') : value.toString('hex');
  }
  if (Array.isArray(value)) return value.map((each: unknown) => printable(each, name));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, printable(each, key)]));
}
