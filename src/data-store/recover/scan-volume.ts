import { crc32c } from '@node-rs/crc32';
import { isStoreError } from '../../errors/store-error.ts';
import type { Disk } from '../../disk/disk-set.ts';
import type { BlobRecord } from '../../model/blob.ts';
import { bodyCrcOf, encodeBlobLayout } from '../blob-layout.ts';
import { reconstructShards } from '../erasure/erasure-codec.ts';
import { ENTRY_HEADER_BYTES, parseBlobEntry } from '../stripe/blob-entry.ts';
import { stripeCrcOf, stripeHeaderLength, stripePayloadLength, type StripeHeader } from '../stripe/stripe-header.ts';
import { movedPath, type VolumeShape, volumePath } from '../volume/volume-file.ts';
import { ScannedFile } from './scanned-file.ts';

/** What the shards of a volume describe, for a recovery without a journal. */
export interface VolumeFinds {
  /** By slot: where its file was found, else where its first blocks say that it lay. */
  readonly shape: VolumeShape;
  /** Files that came from another disk and were not yet given their name. */
  readonly movedFiles: readonly { disk: Disk; path: string; to: string }[];
  readonly problems: readonly string[];
}

/** A small blob, whole and checked. */
export interface FoundBlob {
  readonly blob: BlobRecord;
  readonly descriptor: Buffer;
}

/** A stripe of a large blob of which at least one shard is good. */
export interface FoundStripe {
  readonly blobId: number;
  readonly blobOffset: number;
  readonly volumeId: number;
  readonly stripeNumber: number;
  readonly k: number;
  readonly m: number;
  /** Files of the volume. */
  readonly width: number;
  readonly shardLengthBytes: number;
  readonly offset: number;
  readonly dataBytes: number;
  readonly usedBytes: number;
  readonly stripeCrc: number;
  /** Enough of its shards are good. */
  readonly isReadable: boolean;
  /** In the last stripe of its blob, when that is readable. */
  readonly descriptor: Buffer | undefined;
}

export interface FindsListener {
  onBlob(found: FoundBlob): void;
  onStripe(found: FoundStripe): void;
}

interface KnownStripe {
  header: StripeHeader;
  /** Shard index → where its good bytes lie. */
  good: Map<number, ScannedFile>;
}

/**
 * Reads every file of a volume that the disks still have, from beginning to end, and tells what it finds: from data shards
 * that are good as they are read, from the others when enough shards of their stripe are. Memory grows with the stripes of one
 * volume. Changes nothing. `undefined`: none of its files is readable.
 */
export async function scanVolume(
  volumeId: number,
  disks: readonly Disk[],
  listener: FindsListener,
): Promise<VolumeFinds | undefined> {
  const problems: string[] = [];
  const { files, movedFiles } = await openFiles(volumeId, disks, problems);
  try {
    const shape = shapeOf(volumeId, files, problems);
    if (shape === undefined) return undefined;
    const scan = new VolumeScan(shape, files, listener, problems);
    await scan.run();
    return { shape, movedFiles, problems };
  } finally {
    await Promise.all(files.map((file) => file.close()));
  }
}

async function openFiles(volumeId: number, disks: readonly Disk[], problems: string[]) {
  const files: ScannedFile[] = [];
  const movedFiles: VolumeFinds['movedFiles'][number][] = [];
  const open = async (disk: Disk, path: string): Promise<ScannedFile | undefined> => {
    try {
      if ((await disk.fs.stat(path)) === undefined) return undefined;
      return await ScannedFile.open(disk, path, volumeId);
    } catch (error) {
      if (!isStoreError(error)) throw error;
      problems.push(`${disk.path}/${path}: ${error.message}`);
      return undefined;
    }
  };
  for (const disk of disks) {
    const file = await open(disk, volumePath(volumeId));
    if (file !== undefined) files.push(file);
  }
  for (const disk of disks) {
    const file = await open(disk, movedPath(volumeId));
    if (file === undefined) continue;
    const isKnown = file.slot === undefined || files.some((other) => other.slot === file.slot || other.disk === disk);
    if (isKnown) {
      await file.close();
      continue;
    }
    files.push(file);
    movedFiles.push({ disk, path: file.path, to: volumePath(volumeId) });
  }
  return { files, movedFiles };
}

/** From any whole first block; where files were found wins over where they once lay. */
function shapeOf(volumeId: number, files: readonly ScannedFile[], problems: string[]): VolumeShape | undefined {
  const header = files.map((file) => file.header).find((each) => each !== undefined);
  if (header === undefined) {
    if (files.length > 0) problems.push(`volume ${volumeId}: no file has a whole first block`);
    return undefined;
  }
  const { k, m, purpose, shardSizeBytes } = header;
  const diskIds = [...header.diskIds];
  const isTaken = new Set<number>();
  for (const file of files) {
    if (file.slot === undefined || file.slot >= k + m) continue;
    if (isTaken.has(file.slot)) problems.push(`${file.disk.path}/${file.path}: another file has its place`);
    else diskIds[file.slot] = file.disk.id;
    isTaken.add(file.slot);
  }
  return { volumeId, k, m, purpose, shardSizeBytes, diskIds };
}

class VolumeScan {
  readonly #shape: VolumeShape;
  readonly #files: readonly ScannedFile[];
  readonly #listener: FindsListener;
  readonly #problems: string[];
  readonly #stripes = new Map<string, KnownStripe>();

  constructor(shape: VolumeShape, files: readonly ScannedFile[], listener: FindsListener, problems: string[]) {
    this.#shape = shape;
    this.#files = files;
    this.#listener = listener;
    this.#problems = problems;
  }

  async run(): Promise<void> {
    for (const file of this.#files) {
      try {
        for await (const { header, bytes } of file.shards()) this.#note(file, header, bytes);
      } catch (error) {
        if (!isStoreError(error)) throw error;
        this.#problems.push(`${file.disk.path}/${file.path}: ${error.message}`);
      }
    }
    for (const stripe of this.#stripes.values()) {
      if (stripe.header.kind === 'large') await this.#endLarge(stripe);
      else await this.#endSmall(stripe);
    }
  }

  #note(file: ScannedFile, header: StripeHeader, bytes: Buffer): void {
    const key = `${header.stripeNumber} ${stripeCrcOf(header)}`;
    const known = this.#stripes.get(key) ?? { header, good: new Map<number, ScannedFile>() };
    this.#stripes.set(key, known);
    if (known.good.has(header.shardIndex)) return;
    known.good.set(header.shardIndex, file);
    const isData = header.shardIndex < header.k;
    if (header.kind === 'small' && isData) {
      this.#entries(header, header.shardIndex, bytes.subarray(header.headerLengthBytes));
    }
  }

  /** The chain of entries of one data shard; zeros follow it. */
  #entries(stripe: StripeHeader, shardIndex: number, payload: Buffer): void {
    const { volumeId, k, m, shardLengthBytes, places } = stripe;
    const location = { kind: 'small', volumeId, k, m, shardLengthBytes, places } as const;
    const headerLength = stripeHeaderLength(location);
    for (let at = 0; ;) {
      const entry = parseBlobEntry(payload, at);
      if (entry === undefined || entry.kind !== 'small') return;
      const end = entry.bodyStart + entry.bodyLengthBytes;
      if (end > payload.length) return;
      const body = payload.subarray(entry.bodyStart, end);
      const place = { stripe: location, shardIndex, bodyOffset: headerLength + entry.bodyStart };
      const layout = encodeBlobLayout({
        kind: 'small',
        ...place,
        bodyLengthBytes: body.length,
        descriptorLengthBytes: entry.descriptor.length,
        bodyCrc: bodyCrcOf(body, place),
      });
      const storedBytes = ENTRY_HEADER_BYTES + entry.descriptor.length + body.length;
      this.#listener.onBlob({
        blob: { blobId: entry.blobId, sizeBytes: body.length, layout, footprint: [{ volumeId, storedBytes }] },
        descriptor: Buffer.from(entry.descriptor),
      });
      at = end;
    }
  }

  async #endSmall({ header, good }: KnownStripe): Promise<void> {
    const missing = range(header.k).filter((index) => !good.has(index));
    if (missing.length === 0) return;
    const payloads = await this.#payloads({ header, good }, missing);
    if (payloads === undefined) {
      this.#problems.push(`stripe ${header.stripeNumber} of volume ${header.volumeId}: too few good shards`);
      return;
    }
    for (const index of missing) this.#entries(header, index, payloads[index]!);
  }

  async #endLarge({ header, good }: KnownStripe): Promise<void> {
    const { blobId, blobOffset, volumeId, stripeNumber, k, m, shardLengthBytes, dataBytes, usedBytes, places } = header;
    const width = this.#shape.diskIds.length;
    const offset = places[0]?.offset ?? 0;
    const isRegular = places.every((place, index) => {
      return place.offset === offset && place.slot === (index + stripeNumber) % width;
    });
    const isReadable = good.size >= k && isRegular;
    if (!isReadable) this.#problems.push(`stripe ${stripeNumber} of volume ${volumeId}: too few good shards`);
    const stripeCrc = stripeCrcOf(header);
    this.#listener.onStripe({
      blobId,
      blobOffset,
      volumeId,
      stripeNumber,
      k,
      m,
      width,
      shardLengthBytes,
      offset,
      dataBytes,
      usedBytes,
      stripeCrc,
      isReadable,
      descriptor: isReadable && usedBytes > dataBytes ? await this.#descriptorOf({ header, good }) : undefined,
    });
  }

  /** It follows the body, and may lie in several shards. */
  async #descriptorOf(stripe: KnownStripe): Promise<Buffer | undefined> {
    const { k, dataBytes, usedBytes, blobId } = stripe.header;
    const payloads = await this.#payloads(stripe, range(k));
    if (payloads === undefined) return undefined;
    const stream = Buffer.concat(payloads).subarray(0, usedBytes);
    const entry = parseBlobEntry(stream, dataBytes);
    return entry?.kind === 'large' && entry.blobId === blobId ? Buffer.from(entry.descriptor) : undefined;
  }

  /** By shard index, at least those wanted; `undefined`: too few are good. */
  async #payloads({ header, good }: KnownStripe, wanted: readonly number[]): Promise<Buffer[] | undefined> {
    const { k, m, shardLengthBytes, headerLengthBytes, places, payloadCrcs } = header;
    if (good.size < k) return undefined;
    const missing = wanted.filter((index) => !good.has(index));
    const sources = missing.length === 0 ? wanted : [...good.keys()].slice(0, k);
    const payloadLength = stripePayloadLength(header);
    const shards = Buffer.allocUnsafeSlow((k + m) * payloadLength);
    for (const index of sources) {
      const bytes = await good.get(index)!.read(places[index]!.offset, shardLengthBytes);
      bytes.copy(shards, index * payloadLength, headerLengthBytes);
    }
    await reconstructShards({ code: { k, m }, shardSizeBytes: payloadLength, shards }, { present: sources, missing });
    const payloads = range(k + m).map((index) => shards.subarray(index * payloadLength, (index + 1) * payloadLength));
    const isGood = wanted.every((index) => crc32c(payloads[index]!) === payloadCrcs[index]);
    return isGood ? payloads : undefined;
  }
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
