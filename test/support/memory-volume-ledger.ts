import type { Mutation, MutationResult, VolumeChanges } from '../../src/metadata-store/metadata-store.ts';
import type { BlobRecord, ShardMove, VolumeLedger, VolumeRecord } from '../../src/model/blob.ts';
import { makeIdentifier } from '../../src/model/identifier.ts';

type Opening = Parameters<VolumeLedger['openVolume']>[0];

/** What a journal that never forgets knows of volumes, live blobs and damage. It outlives simulated processes. */
export class MemoryJournal {
  readonly volumes = new Map<number, VolumeRecord>();
  readonly blobs = new Map<number, BlobRecord>();
  readonly damage: Extract<Mutation, { type: 'RecordDamage' }>['damage'][number][] = [];
  epoch = 0;
  readonly #changes: number[] = [];

  open(volume: Opening): void {
    const known = { state: 'open', lengthBytes: 0, liveBytes: 0, storedBytes: 0, undroppedDiskIds: [] } as const;
    this.volumes.set(volume.volumeId, { ...volume, ...known });
    this.#changes.push(volume.volumeId);
  }

  drop(volumeId: number): boolean {
    const volume = this.volumes.get(volumeId);
    if (volume === undefined || volume.state === 'dropped') return false;
    for (const blob of this.blobs.values()) if (blob.footprint.some((f) => f.volumeId === volumeId)) return false;
    const undroppedDiskIds = [...new Set([...volume.diskIds, ...volume.undroppedDiskIds])];
    this.change(volumeId, { state: 'dropped', undroppedDiskIds });
    return true;
  }

  confirmDrop(volumeId: number, diskIds: readonly string[]): void {
    const volume = this.volumes.get(volumeId);
    if (volume === undefined) return;
    const undroppedDiskIds = volume.undroppedDiskIds.filter((diskId) => !diskIds.includes(diskId));
    this.change(volumeId, { undroppedDiskIds });
    if (undroppedDiskIds.length === 0 && volume.state === 'dropped') this.volumes.delete(volumeId);
  }

  moveShard({ volumeId, shardIndex, fromDiskId, toDiskId }: ShardMove): boolean {
    const volume = this.volumes.get(volumeId);
    if (volume?.state !== 'sealed') return false;
    if (volume.diskIds[shardIndex] === toDiskId) return true;
    if (volume.diskIds[shardIndex] !== fromDiskId || volume.diskIds.includes(toDiskId)) return false;
    const undroppedDiskIds = [...volume.undroppedDiskIds.filter((diskId) => diskId !== toDiskId), fromDiskId];
    this.change(volumeId, { diskIds: volume.diskIds.with(shardIndex, toDiskId), undroppedDiskIds });
    return true;
  }

  put(blob: BlobRecord): void {
    for (const { volumeId } of blob.footprint) {
      const state = this.volumes.get(volumeId)?.state;
      if (state === undefined || state === 'dropped') throw new Error(`blob in dropped volume ${volumeId}`);
    }
    this.#account(blob, 1, true);
    this.blobs.set(blob.blobId, blob);
  }

  remove(blobId: number): void {
    const blob = this.blobs.get(blobId);
    if (blob === undefined) return;
    this.blobs.delete(blobId);
    this.#account(blob, -1, false);
  }

  move(moves: Extract<Mutation, { type: 'MoveBlobs' }>['moves']): number[] {
    const moved: number[] = [];
    for (const { blobId, fromLayout, toLayout, toFootprint } of moves) {
      const blob = this.blobs.get(blobId);
      if (blob === undefined || !blob.layout.equals(fromLayout)) continue;
      const next = { ...blob, layout: toLayout, footprint: toFootprint };
      this.#account(blob, -1, false);
      this.#account(next, 1, true);
      this.blobs.set(blobId, next);
      moved.push(blobId);
    }
    return moved;
  }

  change(volumeId: number, change: Partial<VolumeRecord>): void {
    const volume = this.volumes.get(volumeId);
    if (volume === undefined) return;
    this.volumes.set(volumeId, { ...volume, ...change });
    this.#changes.push(volumeId);
  }

  changesSince(version: number | undefined): VolumeChanges {
    const changed = version === undefined ? [...this.volumes.keys()] : [...new Set(this.#changes.slice(version))];
    return {
      version: this.#changes.length,
      isWhole: version === undefined,
      volumes: changed.flatMap((volumeId) => this.volumes.get(volumeId) ?? []),
      forgottenVolumeIds: changed.filter((volumeId) => !this.volumes.has(volumeId)),
    };
  }

  #account(blob: BlobRecord, sign: 1 | -1, isNew: boolean): void {
    for (const { volumeId, storedBytes } of blob.footprint) {
      const volume = this.volumes.get(volumeId);
      if (volume === undefined) continue;
      this.change(volumeId, {
        liveBytes: volume.liveBytes + sign * storedBytes,
        storedBytes: volume.storedBytes + (isNew ? storedBytes : 0),
      });
    }
  }
}

/**
 * One process's connection to a `MemoryJournal`: the data store's ledger, and the part of a metadata store that the
 * collector and the damage recorder use. A process that has died changes nothing any more.
 */
export class MemoryVolumeLedger implements VolumeLedger {
  readonly journal: MemoryJournal;
  readonly #epoch: number;
  #counter = 0;
  isAlive = true;
  /** When set, every call rejects with it. */
  failure: Error | undefined;

  constructor(journal: MemoryJournal = new MemoryJournal()) {
    this.journal = journal;
    this.#epoch = ++journal.epoch;
  }

  get volumes(): Map<number, VolumeRecord> {
    return this.journal.volumes;
  }

  epoch(): number {
    return this.#epoch;
  }

  nextIdentifier(): number {
    return makeIdentifier({ epoch: this.#epoch, counter: this.#counter++ });
  }

  openVolume(volume: Opening): Promise<void> {
    return this.#change(() => this.journal.open(volume));
  }

  sealVolume(volumeId: number, lengthBytes: number): Promise<void> {
    return this.#change(() => this.journal.change(volumeId, { state: 'sealed', lengthBytes }));
  }

  dropVolume(volumeId: number): Promise<boolean> {
    return this.#change(() => this.journal.drop(volumeId));
  }

  confirmDrop(volumeId: number, diskIds: readonly string[]): Promise<void> {
    return this.#change(() => this.journal.confirmDrop(volumeId, diskIds));
  }

  moveShard(move: ShardMove): Promise<boolean> {
    return this.#change(() => this.journal.moveShard(move));
  }

  listVolumes(): Promise<VolumeRecord[]> {
    return this.#change(() => [...this.journal.volumes.values()]);
  }

  volumeChanges(sinceVersion: number | undefined): Promise<VolumeChanges> {
    return this.#change(() => this.journal.changesSince(sinceVersion));
  }

  whenDecided(): Promise<void> {
    return this.#change(() => undefined);
  }

  commitBlob(blob: BlobRecord): Promise<void> {
    return this.#change(() => this.journal.put(blob));
  }

  removeBlob(blobId: number): Promise<void> {
    return this.#change(() => this.journal.remove(blobId));
  }

  listBlobsInVolume(query: { volumeId: number; afterBlobId: number; limit: number }): Promise<BlobRecord[]> {
    return this.#change(() =>
      [...this.journal.blobs.values()]
        .filter((blob) => blob.blobId > query.afterBlobId)
        .filter((blob) => blob.footprint.some(({ volumeId }) => volumeId === query.volumeId))
        .sort((a, b) => a.blobId - b.blobId)
        .slice(0, query.limit),
    );
  }

  commit<M extends Mutation>(mutation: M): Promise<MutationResult<M>> {
    return this.#change(() => this.#apply(mutation)) as Promise<MutationResult<M>>;
  }

  #apply(mutation: Mutation): unknown {
    switch (mutation.type) {
      case 'DropVolume':
        return this.journal.drop(mutation.volumeId);
      case 'ConfirmDrop':
        return this.journal.confirmDrop(mutation.volumeId, mutation.diskIds);
      case 'MoveBlobs':
        return { movedBlobIds: this.journal.move(mutation.moves) };
      case 'RecordDamage':
        this.journal.damage.push(...mutation.damage);
        return undefined;
      default:
        throw new Error(`not a mutation of the collector: ${mutation.type}`);
    }
  }

  /** Takes some turns, as a journal does; the change is made at once when they are over. */
  async #change<T>(change: () => T): Promise<T> {
    for (let turn = 0; turn < 3; turn++) await Promise.resolve();
    if (!this.isAlive) throw new Error('the process of this ledger has died');
    if (this.failure !== undefined) throw this.failure;
    return change();
  }
}
