import { crc32c } from '@node-rs/crc32';
import { decodeIdentity, DISK_FORMAT_VERSION, NewerFormatError } from '../../disk/disk-identity.ts';
import { isStoreError } from '../../errors/store-error.ts';
import { decodeState } from '../../metadata-store/journal/journal-state.ts';
import type { FileBytes } from './file-bytes.ts';
import { type Findings, inHex } from './inspection.ts';

/** Both files are far shorter. */
const LONGEST_BYTES = 16 * 1024 * 1024;

/** `disk.json`: which disk of which cluster a directory is. */
export async function inspectIdentity(file: FileBytes, findings: Findings): Promise<void> {
  const content = await file.view(0, LONGEST_BYTES);
  const item = { offset: 0, lengthBytes: file.sizeBytes, what: 'identity' };
  try {
    const { createdAtMs, ...identity } = decodeIdentity(content, file.path);
    Object.assign(findings.facts, { version: DISK_FORMAT_VERSION, ...identity });
    findings.facts['createdAt'] = new Date(createdAtMs).toISOString();
    findings.add({ ...item, state: 'good', facts: {} });
  } catch (error) {
    if (!isStoreError(error)) throw error;
    const isNewer = error instanceof NewerFormatError;
    findings.addBad({ ...item, facts: {} }, error.message, isNewer ? 'newer' : 'bad');
  }
}

/** `journal/state`: the root of one disk's journal. */
export async function inspectState(file: FileBytes, findings: Findings): Promise<void> {
  const content = await file.view(0, LONGEST_BYTES);
  const item = { offset: 0, lengthBytes: file.sizeBytes, what: 'journal state' };
  try {
    if (decodeState(content) === undefined) {
      findings.addBad({ ...item, facts: {} }, whyNoState(content.toString('utf8')));
      return;
    }
    Object.assign(findings.facts, JSON.parse(content.toString('utf8').split('\n', 1)[0] ?? ''));
    findings.add({ ...item, state: 'good', facts: {} });
  } catch (error) {
    if (!isStoreError(error, 'FormatRefused')) throw error;
    findings.addBad({ ...item, facts: {} }, error.message, 'newer');
  }
}

function whyNoState(text: string): string {
  const lines = text.split('\n');
  if (lines.length !== 3 || lines[2] !== '') return 'it is not two lines, each with an end';
  const sum = inHex(crc32c(Buffer.from(lines[0] ?? '')));
  return `the checksum of the first line is ${sum}, the second line says ${lines[1]}`;
}
