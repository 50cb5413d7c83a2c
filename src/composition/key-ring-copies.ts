import { createHash } from 'node:crypto';
import type { DiskFs } from '../disk/disk-fs.ts';
import type { Disk, DiskSet } from '../disk/disk-set.ts';
import { StoreError } from '../errors/store-error.ts';
import type { KeyRingCopies, KeyRingCopy } from '../keys/key-ring.ts';
import { isPresent } from '../metadata-store/journal/journal-context.ts';
import type { Log } from '../observability/log.ts';

export const KEY_RING_FILE = 'key-ring';
const TEMPORARY_FILE = 'key-ring.new';
const VERSION = 1;

export interface DiskKeyRingCopiesOptions {
  readonly disks: Pick<DiskSet, 'clusterId' | 'disks' | 'onChange'>;
  /** m + 1. */
  readonly leastCount: () => number;
  readonly log: Log;
}

/**
 * A copy of the sealed key ring on every disk, beside the journal: with all journals lost, what is restored from shards still
 * opens. A copy is written when the journal has acknowledged the ring, so none holds what was never decided, and the ring
 * seals nothing before the copies are there. A crash leaves the old copy or the new one; the next start completes them.
 * Disks that were away get theirs when they are back.
 */
export class DiskKeyRingCopies implements KeyRingCopies {
  readonly #options: DiskKeyRingCopiesOptions;
  readonly #unwatch: () => void;
  #newest: KeyRingCopy | undefined;
  /** By disk: one write after the other. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(options: DiskKeyRingCopiesOptions) {
    this.#options = options;
    this.#unwatch = options.disks.onChange((disk) => {
      if (this.#newest === undefined || !isPresent(disk)) return;
      // It is tried again when the disk comes back, and at the next start.
      this.#bring(disk).catch(() => {});
    });
  }

  /** @throws StoreError QuorumLost: fewer than m + 1 disks took it */
  async store(copy: KeyRingCopy): Promise<void> {
    this.#newest = copy;
    const { disks, leastCount } = this.#options;
    const writes = disks.disks.filter(isPresent).map((disk) => this.#bring(disk));
    await settleAtLeast(writes, leastCount());
  }

  async stop(): Promise<void> {
    this.#unwatch();
    await Promise.allSettled(this.#writing.values());
  }

  #bring(disk: Disk): Promise<void> {
    const before = this.#writing.get(disk.id) ?? Promise.resolve();
    const writing = before.catch(() => {}).then(() => this.#write(disk));
    this.#writing.set(disk.id, writing);
    writing.catch((error: unknown) => {
      this.#options.log.warn({ err: error, diskId: disk.id }, 'a copy of the key ring was not written');
    });
    return writing;
  }

  async #write({ fs, id }: Disk): Promise<void> {
    const { clusterId } = this.#options.disks;
    const content = encodeCopy(clusterId, this.#newest!);
    const before = await readFile(fs, KEY_RING_FILE);
    if (before?.equals(content) === true) return;
    const known = before === undefined ? undefined : decodeCopy(before, clusterId);
    if (known !== undefined && known.revision >= this.#newest!.revision) {
      const aside = await putAside(fs);
      this.#options.log.warn(
        { diskId: id, file: aside },
        'a newer copy of the key ring, of before a recovery, is put aside',
      );
    }
    await fs.unlink(TEMPORARY_FILE);
    await fs.createDurable(TEMPORARY_FILE);
    const file = await fs.open(TEMPORARY_FILE, 'write');
    try {
      await file.write(content, 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await fs.publish(TEMPORARY_FILE, KEY_RING_FILE);
  }
}

/** It may hold keys that a recovery without this disk did not know. */
async function putAside(fs: DiskFs): Promise<string> {
  let number = 1;
  const name = (): string => `${KEY_RING_FILE}.before-recovery-${number}`;
  while ((await fs.stat(name())) !== undefined) number += 1;
  await fs.publish(KEY_RING_FILE, name());
  return name();
}

/** The newest copy on these disks. Damaged ones and those of another cluster do not count. */
export async function newestKeyRingCopy(disks: readonly Disk[], clusterId: string): Promise<KeyRingCopy | undefined> {
  let newest: KeyRingCopy | undefined;
  for (const { fs } of disks) {
    const content = await readFile(fs, KEY_RING_FILE);
    const copy = content === undefined ? undefined : decodeCopy(content, clusterId);
    if (copy !== undefined && (newest === undefined || copy.revision > newest.revision)) newest = copy;
  }
  return newest;
}

async function readFile(fs: DiskFs, name: string): Promise<Buffer | undefined> {
  if ((await fs.stat(name)) === undefined) return undefined;
  const file = await fs.open(name, 'read');
  try {
    const bytes = Buffer.alloc(await file.sizeBytes());
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
}

function encodeCopy(clusterId: string, { revision, body }: KeyRingCopy): Buffer {
  const members = { version: VERSION, clusterId, revision, document: body.toString() };
  return Buffer.from(`${JSON.stringify({ ...members, checksum: checksumOf(members) })}\n`);
}

/** `undefined`: damaged, of another cluster, or of a version that only a newer server reads. */
function decodeCopy(content: Buffer, clusterId: string): KeyRingCopy | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(content.toString());
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined;
  const { checksum, ...members } = parsed as Record<string, unknown>;
  const { version, revision, document } = members;
  if (version !== VERSION || members['clusterId'] !== clusterId || checksum !== checksumOf(members)) return undefined;
  if (typeof revision !== 'number' || typeof document !== 'string') return undefined;
  return { revision, body: Buffer.from(document) };
}

/** As of `disk.json`. */
function checksumOf(members: object): string {
  return createHash('sha256').update(JSON.stringify(members)).digest('hex');
}

/** Resolves when so many have, and rejects when that cannot be any more. */
async function settleAtLeast(writes: readonly Promise<void>[], count: number): Promise<void> {
  let [done, failed] = [0, 0];
  await new Promise<void>((resolve, reject) => {
    const tooFew = (cause?: unknown): void =>
      reject(
        new StoreError('QuorumLost', `the key ring could not be copied to ${count} disks`, {
          hint: 'It seals nothing before that: bring disks back.',
          cause,
        }),
      );
    if (writes.length < count) tooFew();
    for (const write of writes) {
      write.then(
        () => (done += 1) === count && resolve(),
        (error: unknown) => (failed += 1) > writes.length - count && tooFew(error),
      );
    }
  });
}
