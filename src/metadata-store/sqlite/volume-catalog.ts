import type { VolumeRecord } from '../../model/blob.ts';
import type { VolumeChanges } from '../metadata-store.ts';
import type { IndexQueries } from './index-queries.ts';

/** Changes beyond so many, and beyond twice the number of volumes, are folded into one for each volume. */
const SHORT_LOG = 1024;

interface LogEntry {
  readonly version: number;
  readonly volumeId: number;
}

/**
 * The volumes of the acknowledged state, in memory: read once, then each again only after a commit that touched it. The
 * background work asks every second or two, and there may be tens of thousands of them.
 *
 * A version is the number of the batch as of which something was told: it means the same after the index was reopened.
 */
export class VolumeCatalog {
  readonly #queries: Pick<IndexQueries, 'volumes' | 'volume'>;
  readonly #batchNumber: () => number;
  /** Ascending by id; `undefined` until somebody asks. */
  #volumes: Map<number, VolumeRecord> | undefined;
  #list: readonly VolumeRecord[] = [];
  #greatestId = -1;
  /** Committed to since they were read. */
  readonly #touched = new Set<number>();
  /** Ascending by version. */
  #log: LogEntry[] = [];
  /** What changed up to here is not in the log. */
  #logBegins = 0;

  constructor(queries: Pick<IndexQueries, 'volumes' | 'volume'>, batchNumber: () => number) {
    this.#queries = queries;
    this.#batchNumber = batchNumber;
  }

  /** A transaction that changed these rows is committed and seen by the reader. */
  noteCommitted(volumeIds: Iterable<number>): void {
    if (this.#volumes === undefined) return;
    for (const volumeId of volumeIds) this.#touched.add(volumeId);
  }

  /** Ascending by id. The same array while nothing changes. */
  all(): readonly VolumeRecord[] {
    this.#update();
    return this.#list;
  }

  /** Those that changed after a version, each once, in no order. */
  changesSince(version: number | undefined): VolumeChanges {
    const volumes = this.#update();
    const now = this.#batchNumber();
    if (version === undefined || version < this.#logBegins || version > now) {
      return { version: now, isWhole: true, volumes: this.#list, forgottenVolumeIds: [] };
    }
    const changed = new Set<number>();
    for (let index = this.#log.length - 1; index >= 0; index -= 1) {
      const entry = this.#log[index]!;
      if (entry.version <= version) break;
      changed.add(entry.volumeId);
    }
    const changes = { version: now, isWhole: false, volumes: [] as VolumeRecord[], forgottenVolumeIds: [] as number[] };
    for (const volumeId of changed) {
      const volume = volumes.get(volumeId);
      if (volume === undefined) changes.forgottenVolumeIds.push(volumeId);
      else changes.volumes.push(volume);
    }
    return changes;
  }

  #update(): ReadonlyMap<number, VolumeRecord> {
    if (this.#volumes === undefined) return this.#load();
    if (this.#touched.size === 0) return this.#volumes;
    const version = this.#batchNumber();
    for (const volumeId of this.#touched) {
      const volume = this.#queries.volume(volumeId);
      if (volume === undefined) this.#volumes.delete(volumeId);
      else this.#set(volume);
      this.#log.push({ version, volumeId });
    }
    this.#touched.clear();
    this.#list = [...this.#volumes.values()];
    if (this.#log.length > SHORT_LOG + 2 * this.#volumes.size) this.#fold();
    return this.#volumes;
  }

  #load(): ReadonlyMap<number, VolumeRecord> {
    this.#list = this.#queries.volumes();
    this.#volumes = new Map(this.#list.map((volume) => [volume.volumeId, volume]));
    this.#greatestId = this.#list.at(-1)?.volumeId ?? -1;
    this.#logBegins = this.#batchNumber();
    return this.#volumes;
  }

  #set(volume: VolumeRecord): void {
    const volumes = this.#volumes!;
    const isMisplaced = !volumes.has(volume.volumeId) && volume.volumeId < this.#greatestId;
    volumes.set(volume.volumeId, volume);
    this.#greatestId = Math.max(this.#greatestId, volume.volumeId);
    // Two that are opened at once may be committed in either order.
    if (isMisplaced) this.#volumes = new Map([...volumes].sort(([a], [b]) => a - b));
  }

  /** Of older entries only the last of each volume stays, and none of those that are forgotten. */
  #fold(): void {
    const recent = this.#log.slice(-SHORT_LOG / 2);
    const seen = new Set(recent.map(({ volumeId }) => volumeId));
    const kept: LogEntry[] = [];
    for (const entry of this.#log.slice(0, -SHORT_LOG / 2).toReversed()) {
      if (seen.has(entry.volumeId)) continue;
      seen.add(entry.volumeId);
      if (this.#volumes!.has(entry.volumeId)) kept.push(entry);
      else this.#logBegins = Math.max(this.#logBegins, entry.version);
    }
    this.#log = [...kept.reverse(), ...recent];
  }
}
