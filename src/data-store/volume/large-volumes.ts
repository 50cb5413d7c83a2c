import type { StoreContext } from '../store-context.ts';
import { LargeVolume } from './large-volume.ts';
import type { VolumeOpener } from './volume-opener.ts';

/** The open large volumes: one shared by all uploads, and a bounded number of those that belong to one upload. */
export class LargeVolumes {
  readonly #context: StoreContext;
  readonly #opener: VolumeOpener;
  #shared: LargeVolume | undefined;
  #opening: Promise<LargeVolume> | undefined;
  #ownedCount = 0;
  readonly #sealing = new Set<Promise<void>>();

  constructor(context: StoreContext, opener: VolumeOpener) {
    this.#context = context;
    this.#opener = opener;
  }

  /** May a body of this size have a volume of its own now? */
  mayOwn(sizeBytes: number | undefined): boolean {
    const { ownVolumeMinimumBytes, ownVolumeLimit } = this.#context.tunables;
    return sizeBytes !== undefined && sizeBytes >= ownVolumeMinimumBytes && this.#ownedCount < ownVolumeLimit;
  }

  isUsable(open: LargeVolume): boolean {
    return open.canTake(this.#context.tunables.largeShardSizeBytes) && !this.#opener.isOutdated(open.volume);
  }

  /** The shared volume, opened when there is none that takes a full stripe. */
  async shared(): Promise<LargeVolume> {
    const open = this.#shared;
    if (open !== undefined) {
      if (this.isUsable(open)) return open;
      this.#shared = undefined;
      this.retire(open);
    }
    this.#opening ??= this.#open(false)
      .then((opened) => (this.#shared = opened))
      .finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  /** Seals the shared volume when it should no longer be written to, also when no write comes. */
  retireUnusable(): void {
    const open = this.#shared;
    if (open === undefined || this.isUsable(open)) return;
    this.#shared = undefined;
    this.retire(open);
  }

  async openOwned(): Promise<LargeVolume> {
    this.#ownedCount++;
    try {
      return await this.#open(true);
    } catch (error) {
      this.#ownedCount--;
      throw error;
    }
  }

  async #open(isOwned: boolean): Promise<LargeVolume> {
    const opened = await this.#opener.open('large', this.#context.tunables.largeShardSizeBytes);
    return new LargeVolume({ context: this.#context, opener: this.#opener, opened, isOwned });
  }

  /** Seals a volume in the background; an owned one is given up by its upload this way. */
  retire(open: LargeVolume): void {
    if (open.isOwned) this.#ownedCount--;
    const sealing = open.seal().finally(() => this.#sealing.delete(sealing));
    this.#sealing.add(sealing);
  }

  async stop(): Promise<void> {
    await this.#opening?.catch(() => undefined);
    if (this.#shared !== undefined) this.retire(this.#shared);
    this.#shared = undefined;
    await Promise.all(this.#sealing);
  }
}
