import type { BlobRecord, VolumeLedger, VolumeRecord } from '../../src/model/blob.ts';
import { makeIdentifier } from '../../src/model/identifier.ts';

/** A journal's view of volumes and live blobs in memory; it survives simulated crashes because tests keep the object. */
export class MemoryVolumeLedger implements VolumeLedger {
  readonly volumes = new Map<number, VolumeRecord>();
  readonly blobs = new Map<number, BlobRecord>();
  #epoch = 1;
  #counter = 0;
  /** When set, every change rejects with it. */
  failure: Error | undefined;

  /** What a start does: ids of the new run differ from all before. */
  nextEpoch(): void {
    this.#epoch++;
    this.#counter = 0;
  }

  epoch(): number {
    return this.#epoch;
  }

  nextIdentifier(): number {
    return makeIdentifier({ epoch: this.#epoch, counter: this.#counter++ });
  }

  async openVolume(volume: Parameters<VolumeLedger['openVolume']>[0]): Promise<void> {
    await this.#turn();
    this.volumes.set(volume.volumeId, {
      ...volume,
      state: 'open',
      lengthBytes: 0,
      liveBytes: 0,
      storedBytes: 0,
      undroppedDiskIds: [],
    });
  }

  async sealVolume(volumeId: number, lengthBytes: number): Promise<void> {
    await this.#turn();
    this.#change(volumeId, { state: 'sealed', lengthBytes });
  }

  async dropVolume(volumeId: number): Promise<boolean> {
    await this.#turn();
    const volume = this.volumes.get(volumeId);
    if (volume === undefined || volume.state === 'dropped') return false;
    for (const blob of this.blobs.values()) if (blob.footprint.some((f) => f.volumeId === volumeId)) return false;
    this.#change(volumeId, { state: 'dropped', undroppedDiskIds: volume.diskIds });
    return true;
  }

  async confirmDrop(volumeId: number, diskIds: readonly string[]): Promise<void> {
    await this.#turn();
    const volume = this.volumes.get(volumeId);
    if (volume === undefined) return;
    const undroppedDiskIds = volume.undroppedDiskIds.filter((diskId) => !diskIds.includes(diskId));
    if (undroppedDiskIds.length === 0) this.volumes.delete(volumeId);
    else this.#change(volumeId, { undroppedDiskIds });
  }

  async listVolumes(): Promise<VolumeRecord[]> {
    await this.#turn();
    return [...this.volumes.values()];
  }

  /** What PutObject does. @throws when a volume of the blob is not live */
  async commitBlob(blob: BlobRecord): Promise<void> {
    await this.#turn();
    for (const { volumeId } of blob.footprint) {
      const state = this.volumes.get(volumeId)?.state;
      if (state === undefined || state === 'dropped') throw new Error(`blob in dropped volume ${volumeId}`);
    }
    this.#account(blob, 1, true);
    this.blobs.set(blob.blobId, blob);
  }

  async removeBlob(blobId: number): Promise<void> {
    await this.#turn();
    const blob = this.blobs.get(blobId);
    if (blob === undefined) return;
    this.blobs.delete(blobId);
    this.#account(blob, -1, false);
  }

  /** MoveBlobs: compare-and-swap of one location. */
  async moveBlob(move: { blobId: number; fromLayout: Buffer; to: BlobRecord }): Promise<boolean> {
    await this.#turn();
    const blob = this.blobs.get(move.blobId);
    if (blob === undefined || !blob.layout.equals(move.fromLayout)) return false;
    this.#account(blob, -1, false);
    this.#account(move.to, 1, true);
    this.blobs.set(move.blobId, { ...blob, layout: move.to.layout, footprint: move.to.footprint });
    return true;
  }

  #account(blob: BlobRecord, sign: 1 | -1, isNew: boolean): void {
    for (const { volumeId, storedBytes } of blob.footprint) {
      const volume = this.volumes.get(volumeId);
      if (volume === undefined) continue;
      this.#change(volumeId, {
        liveBytes: volume.liveBytes + sign * storedBytes,
        storedBytes: volume.storedBytes + (isNew ? storedBytes : 0),
      });
    }
  }

  #change(volumeId: number, change: Partial<VolumeRecord>): void {
    const volume = this.volumes.get(volumeId);
    if (volume !== undefined) this.volumes.set(volumeId, { ...volume, ...change });
  }

  async #turn(): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    await Promise.resolve();
    await Promise.resolve();
  }
}
