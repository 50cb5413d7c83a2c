import { describeLayout } from '../../data-store/describe-layout.ts';
import type { JournalRecord } from '../../metadata-store/records/journal-record.ts';

/** A record as JSON values: keys as text, layouts decoded, other bytes in hex. */
export function printableRecord(record: JournalRecord): unknown {
  return printable(record, '');
}

function printable(value: unknown, name: string): unknown {
  if (Buffer.isBuffer(value)) {
    if (name === 'key') return value.toString('utf8');
    return name === 'layout' ? describeLayout(value) : value.toString('hex');
  }
  if (Array.isArray(value)) return value.map((each: unknown) => printable(each, name));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, printable(each, key)]));
}
