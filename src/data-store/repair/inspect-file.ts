import type { Disk } from '../../disk/disk-set.ts';
import { errnoOf } from '../../disk/disk-error.ts';
import { isStoreError, type StoreError } from '../../errors/store-error.ts';
import type { VolumeRecord } from '../../model/blob.ts';
import type { DamageKind, Pace } from '../data-store.ts';
import { isShardOf, stripeCrcOf, verifyShard } from '../stripe/stripe-header.ts';
import type { RenewableBuffers } from '../volume/renewable-buffers.ts';
import { parseVolumeHeader, VOLUME_HEADER_BYTES } from '../volume/volume-file.ts';
import { FileWindow } from './file-window.ts';
import type { ExpectedShard, LiveStripe } from './live-stripes.ts';

/** Damage that is told one by one; of more only the count. A file with so much of it is written anew anyway. */
const TOLD_LIMIT = 256;
/** The file may be whole: there was no handle or no memory to look at it. */
const OF_THE_PROCESS: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR']);
/** Bytes read between two looks at the pace. */
const STEP_BYTES = 256 * 1024;

export interface FileToInspect {
  readonly disk: Disk;
  readonly path: string;
  readonly volume: Pick<VolumeRecord, 'volumeId' | 'k' | 'm' | 'purpose'>;
  readonly slot: number;
  readonly stripes: readonly LiveStripe[];
  readonly expected: readonly ExpectedShard[];
  readonly buffers: RenewableBuffers;
  readonly pace: Pace;
  /** Called for every shard that is good. */
  readonly onGood: (shard: ExpectedShard) => void;
}

export interface InspectedFile {
  /** `unreachable`: the disk is not online, or stopped being so; nothing is known of the rest. */
  readonly condition: 'good' | 'damaged' | 'missing' | 'unreachable';
  readonly goodCount: number;
  readonly damagedCount: number;
  /** The first of them; offset 0 is the file's first block. */
  readonly damage: readonly { offset: number; shardIndex: number; kind: DamageKind }[];
  readonly readBytes: number;
}

/**
 * Opens for reading from the beginning to the end: what lies on the medium, past the page cache where the file system
 * lets us. @throws StoreError
 */
export async function openWindow(disk: Disk, path: string, buffers: RenewableBuffers): Promise<FileWindow> {
  // Direct files are opened for writing too, which a read-only file system refuses.
  const file = await disk.fs.open(path, 'direct').catch((error: unknown) => {
    if (errnoOf(error) !== 'EROFS') throw error;
    return disk.fs.open(path, 'read');
  });
  return new FileWindow(file, { pool: buffers, slot: await buffers.acquire() });
}

/** Is the shard at this place exactly the one that the layouts expect? */
export function isExpectedShard(bytes: Buffer, { location, stripeCrc }: LiveStripe, shardIndex: number): boolean {
  if (stripeCrc === undefined) return isShardOf(bytes, location, shardIndex);
  const header = verifyShard(bytes, location, shardIndex);
  return header !== undefined && stripeCrcOf(header) === stripeCrc;
}

/** Reads one shard file and verifies its first block and every shard that a live blob needs. Changes nothing. */
export async function inspectFile(request: FileToInspect): Promise<InspectedFile> {
  const { expected } = request;
  const nothing = { goodCount: 0, damagedCount: expected.length, damage: [], readBytes: 0 };
  if (request.disk.state !== 'online') return { ...nothing, damagedCount: 0, condition: 'unreachable' };
  const inspection = new FileInspection(request);
  for (let attempt = 0; ; attempt++) {
    try {
      await inspection.open();
      break;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      const kind = inspection.kindOf(error);
      if (kind === 'missing') return { ...nothing, condition: 'missing' };
      if (kind === undefined) return { ...nothing, damagedCount: 0, condition: 'unreachable' };
      if (attempt > 0) return inspection.unopenable();
    }
  }
  try {
    return await inspection.run();
  } finally {
    await inspection.close();
  }
}

class FileInspection {
  readonly #request: FileToInspect;
  #window: FileWindow | undefined;
  #goodCount = 0;
  #damagedCount = 0;
  readonly #damage: { offset: number; shardIndex: number; kind: DamageKind }[] = [];
  #readBytes = 0;

  constructor(request: FileToInspect) {
    this.#request = request;
  }

  async open(): Promise<void> {
    const { disk, path, buffers } = this.#request;
    this.#window = await openWindow(disk, path, buffers);
  }

  async close(): Promise<void> {
    this.#readBytes += this.#window?.totalBytes ?? 0;
    await this.#window?.close();
    this.#window = undefined;
  }

  async run(): Promise<InspectedFile> {
    const { stripes, expected, pace, onGood } = this.#request;
    try {
      const headerKind = await this.#judge(0, VOLUME_HEADER_BYTES, (block) => this.#isHeader(block));
      if (headerKind !== undefined) this.#note({ offset: 0, shardIndex: 0, kind: headerKind });
      let pacedBytes = 0;
      for (const shard of expected) {
        const stripe = stripes[shard.stripe]!;
        const { shardLengthBytes } = stripe.location;
        // Most lie in what was read already: no turn for each of them.
        const bytes = this.#window?.held(shard.offset, shardLengthBytes);
        const isGood = bytes !== undefined && isExpectedShard(bytes, stripe, shard.shardIndex);
        const kind = isGood
          ? undefined
          : await this.#judge(shard.offset, shardLengthBytes, (found) =>
              isExpectedShard(found, stripe, shard.shardIndex),
            );
        if (kind === undefined) {
          this.#goodCount++;
          onGood(shard);
        } else this.#note({ offset: shard.offset, shardIndex: shard.shardIndex, kind });
        pacedBytes += shardLengthBytes;
        if (pacedBytes >= STEP_BYTES) {
          await pace(pacedBytes);
          pacedBytes = 0;
        }
      }
      await pace(pacedBytes);
    } catch (error) {
      // The server stops, or our bug.
      if (!isStoreError(error) || error.code === 'NotReady') throw error;
      return this.#result('unreachable');
    }
    return this.#result(this.#damagedCount === 0 ? 'good' : 'damaged');
  }

  /** The disk is there and does not give this file out. */
  unopenable(): InspectedFile {
    this.#note({ offset: 0, shardIndex: 0, kind: 'unreadable' });
    for (const { offset, shardIndex } of this.#request.expected) {
      this.#note({ offset, shardIndex, kind: 'unreadable' });
    }
    return this.#result('damaged');
  }

  #result(condition: InspectedFile['condition']): InspectedFile {
    return {
      condition,
      goodCount: this.#goodCount,
      damagedCount: this.#damagedCount,
      damage: this.#damage,
      readBytes: this.#readBytes + (this.#window?.totalBytes ?? 0),
    };
  }

  #note(damage: { offset: number; shardIndex: number; kind: DamageKind }): void {
    this.#damagedCount++;
    if (this.#damage.length < TOLD_LIMIT) this.#damage.push(damage);
  }

  /** Disk ids are not compared: a shard that moved since leaves older lists in the files of the others. */
  #isHeader(block: Buffer): boolean {
    const { volume, slot } = this.#request;
    const header = parseVolumeHeader(block);
    return (
      header !== undefined &&
      header.volumeId === volume.volumeId &&
      header.slot === slot &&
      header.k === volume.k &&
      header.m === volume.m &&
      header.purpose === volume.purpose
    );
  }

  /** `undefined`: good. @throws StoreError when the whole disk is away */
  async #judge(
    offset: number,
    lengthBytes: number,
    isGood: (bytes: Buffer) => boolean,
  ): Promise<DamageKind | undefined> {
    for (let attempt = 0; ; attempt++) {
      try {
        if (this.#window === undefined) await this.open();
        const bytes = await this.#window!.view(offset, lengthBytes);
        if (bytes.length === lengthBytes && isGood(bytes)) return undefined;
        // An open volume's last block may be on its way, and the file may have been replaced: once more, opened anew.
        if (attempt > 0) return 'corrupt';
      } catch (error) {
        if (!isStoreError(error)) throw error;
        const kind = this.kindOf(error);
        if (kind === undefined) throw error;
        if (attempt > 0 || kind === 'missing') return kind;
      }
      await this.close();
    }
  }

  /** `undefined`: it says something about the disk or this process, not about this place. */
  kindOf(error: StoreError): DamageKind | undefined {
    if (this.#request.disk.state !== 'online') return undefined;
    if (isStoreError(error, 'DiskTimeout', 'DiskMissing', 'NotReady')) return undefined;
    const errno = errnoOf(error);
    if (errno === 'ENOENT') return 'missing';
    return errno !== undefined && OF_THE_PROCESS.has(errno) ? undefined : 'unreadable';
  }
}
