import { assert } from '../../errors/assert.ts';
import type { OpenedVolumeRecord, ShardMove, VolumeLedger, VolumeRecord } from '../../model/blob.ts';
import type { VolumeShape } from './volume-file.ts';

export interface KnownVolume extends Omit<VolumeShape, 'diskIds'> {
  /** Absent: STANDARD. */
  readonly storageClass?: string;
  /** By slot; replaced when a shard has moved. */
  diskIds: readonly string[];
  state: 'open' | 'sealed' | 'dropped';
  /** Nothing more is to be appended: it is sealed at the next opportunity. */
  isRetired?: boolean;
}

/** Dropped volumes that are still known; an older one is looked up again by whoever asks, and is gone. */
const REMEMBERED_DROPS = 1000;

/**
 * The volumes this process knows, and how many pins each has. A pin is held by a reader, a writer, or bytes that were
 * acknowledged to a caller but are not committed yet; a pinned or open volume is not collected.
 */
export class VolumeTable {
  readonly #ledger: VolumeLedger;
  readonly #volumes = new Map<number, KnownVolume>();
  /** Added as open, and perhaps sealed since. */
  readonly #openIds = new Set<number>();
  readonly #pins = new Map<number, number>();
  /** The pins of writers and of bytes that are not committed yet, counted in `#pins` too. */
  readonly #uncommitted = new Map<number, number>();
  /** In the order of the drops. */
  readonly #dropped: number[] = [];
  #refreshing: Promise<void> | undefined;
  #moveCount = 0;
  /** By volume: which of the moves that this process has seen through was its last. */
  readonly #moves = new Map<number, number>();

  constructor(ledger: VolumeLedger) {
    this.#ledger = ledger;
  }

  add(shape: OpenedVolumeRecord, state: KnownVolume['state']): KnownVolume {
    const volume = { ...shape, state };
    this.#volumes.set(shape.volumeId, volume);
    if (state === 'open') this.#openIds.add(shape.volumeId);
    return volume;
  }

  get(volumeId: number): KnownVolume | undefined {
    return this.#volumes.get(volumeId);
  }

  /** Its files are to be removed. Remembered for a while, for those who looked its name up before. */
  drop(shape: VolumeShape): void {
    const known = this.#volumes.get(shape.volumeId);
    if (known?.state === 'dropped') return;
    if (known === undefined) this.add(shape, 'dropped');
    else known.state = 'dropped';
    this.#moves.delete(shape.volumeId);
    this.#dropped.push(shape.volumeId);
    const oldest = this.#dropped.length > REMEMBERED_DROPS ? this.#dropped.shift() : undefined;
    if (oldest === undefined) return;
    if (this.#pins.has(oldest)) this.#dropped.push(oldest);
    else this.#volumes.delete(oldest);
  }

  /** It was never opened. */
  forget(volumeId: number): void {
    this.#volumes.delete(volumeId);
  }

  /** The journal has it, and the file is in its place. */
  moved({ volumeId, shardIndex, toDiskId }: Omit<ShardMove, 'fromDiskId'>): void {
    this.#moves.set(volumeId, ++this.#moveCount);
    const known = this.#volumes.get(volumeId);
    if (known !== undefined) known.diskIds = known.diskIds.with(shardIndex, toDiskId);
  }

  /** Takes over what the ledger knows and this table does not. One call at a time reaches the ledger. */
  async refresh(): Promise<void> {
    this.#refreshing ??= this.mergeList()
      .then(() => {})
      .finally(() => (this.#refreshing = undefined));
    await this.#refreshing;
  }

  /** Asks the ledger for all volumes and takes them over. @returns what it said */
  async mergeList(): Promise<readonly VolumeRecord[]> {
    const askedAt = this.#moveCount;
    const records = await this.#ledger.listVolumes();
    this.#merge(records, askedAt);
    return records;
  }

  /** What the ledger says of one volume, which is taken over. */
  async lookUp(volumeId: number): Promise<VolumeRecord | undefined> {
    const askedAt = this.#moveCount;
    const record = (await this.#ledger.listVolumes()).find((listed) => listed.volumeId === volumeId);
    if (record !== undefined) this.#merge([record], askedAt);
    return record;
  }

  /** @param askedAt what was moved since then is newer than the list. Drops are final. */
  #merge(records: readonly VolumeRecord[], askedAt: number): void {
    for (const record of records) {
      const known = this.#volumes.get(record.volumeId);
      if (known !== undefined && (this.#moves.get(record.volumeId) ?? 0) <= askedAt) known.diskIds = record.diskIds;
      // One that this process did not open is never appended to, whatever the journal still says.
      if (known === undefined && record.state !== 'dropped') this.add(record, 'sealed');
      // Dropped while it is being read: its files stay until `removeVolumeFiles`, which the pins hold off.
      else if (record.state === 'dropped' && (known === undefined || !this.#pins.has(record.volumeId)))
        this.drop(record);
    }
  }

  pin(volumeId: number): void {
    countUp(this.#pins, volumeId);
  }

  unpin(volumeId: number): void {
    countDown(this.#pins, volumeId);
  }

  /** For bytes that a commit may name later; `unpinUncommitted` when it has, or never will. */
  pinUncommitted(volumeId: number): void {
    countUp(this.#uncommitted, volumeId);
    this.pin(volumeId);
  }

  unpinUncommitted(volumeId: number): void {
    countDown(this.#uncommitted, volumeId);
    this.unpin(volumeId);
  }

  /** Sealed, and nothing written there waits for a commit: what lives there can only become less. */
  isSettled(volumeId: number): boolean {
    return this.#volumes.get(volumeId)?.state === 'sealed' && !this.#uncommitted.has(volumeId);
  }

  /** Open volumes and pinned ones. */
  pinnedVolumeIds(): ReadonlySet<number> {
    const pinned = new Set(this.#pins.keys());
    for (const volumeId of this.#openIds) {
      if (this.#volumes.get(volumeId)?.state === 'open') pinned.add(volumeId);
      else this.#openIds.delete(volumeId);
    }
    return pinned;
  }
}

function countUp(counts: Map<number, number>, volumeId: number): void {
  counts.set(volumeId, (counts.get(volumeId) ?? 0) + 1);
}

function countDown(counts: Map<number, number>, volumeId: number): void {
  const count = counts.get(volumeId);
  assert(count !== undefined, `volume ${volumeId} was unpinned too often`);
  if (count === 1) counts.delete(volumeId);
  else counts.set(volumeId, count - 1);
}
