import type { DiskLane } from './disk-lane.ts';

/** What outlives an epoch about disks that dropped out of it, as long as the process runs. */
export class LostDisks {
  /** Their files failed in this process: they take a whole new journal. */
  readonly #tainted = new Set<string>();
  /** Stopped lanes whose last write has not returned: the disk is left alone until it has. */
  readonly #ending = new Map<string, DiskLane>();

  get tainted(): ReadonlySet<string> {
    return this.#tainted;
  }

  isTainted(diskId: string): boolean {
    return this.#tainted.has(diskId);
  }

  /** A write may still land there. */
  isEnding(diskId: string): boolean {
    return this.#ending.has(diskId);
  }

  /** A stopped lane: its files are closed when its last write has returned. */
  add(lane: DiskLane): void {
    this.#ending.set(lane.diskId, lane);
    void lane.settled().then(async () => {
      if (lane.disk.isTainted) this.#tainted.add(lane.diskId);
      if (this.#ending.get(lane.diskId) === lane) this.#ending.delete(lane.diskId);
      await lane.disk.close();
    });
  }

  /** Resolves when no write is under way there. */
  async settled(diskId: string): Promise<void> {
    await this.#ending.get(diskId)?.settled();
  }

  /** It has a whole new journal. */
  healed(diskId: string): void {
    this.#tainted.delete(diskId);
  }
}
