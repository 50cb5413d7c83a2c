import { assert } from '../../errors/assert.ts';
import type { ErasureCode } from '../../model/erasure-code.ts';
import type { StorageClass } from '../../model/storage-class.ts';
import type { StoreContext } from '../store-context.ts';
import { LargeVolumes } from '../volume/large-volumes.ts';
import type { SmallVolume } from '../volume/small-volume.ts';
import { VolumeOpener } from '../volume/volume-opener.ts';
import { SmallBlobWriter } from './small-blob-writer.ts';

/** Writers over open volumes of one class. */
export interface WriterSet {
  readonly context: StoreContext;
  readonly opener: VolumeOpener;
  readonly small: SmallBlobWriter;
  readonly volumes: LargeVolumes;
}

/** The writers of one storage class: made when the first write comes, so that a class that nobody uses has no volumes. */
interface ClassWriters {
  readonly requests: WriterSet;
  /**
   * Volumes of their own for what is moved: its blobs do not slow down the stripes of requests, data of one age
   * stays together, and it works when the disks are full up to the reserve.
   */
  readonly moving: WriterSet;
}

/**
 * The storage classes with their codes, and the writers of each. Codes may change while writes are under way: open volumes of
 * another code are sealed, and what comes next goes to new ones.
 */
export class StorageClassWriters {
  readonly #context: Omit<StoreContext, 'code' | 'storageClass'>;
  readonly #codes = new Map<string, ErasureCode>();
  readonly #writers = new Map<string, ClassWriters>();

  constructor(context: Omit<StoreContext, 'code' | 'storageClass'>, classes: readonly StorageClass[]) {
    this.#context = context;
    for (const { name, code } of classes) this.#codes.set(name, code);
  }

  classes(): StorageClass[] {
    return [...this.#codes].map(([name, code]) => ({ name, code }));
  }

  /** Classes that are no longer named keep their code, for what lies in them. */
  setCodes(classes: readonly StorageClass[]): void {
    for (const { name, code } of classes) this.#codes.set(name, code);
    this.retireUnusable();
  }

  codeOf(name: string): ErasureCode | undefined {
    return this.#codes.get(name);
  }

  /** `unknownCode`: of a class that is no longer configured, from one of its volumes. */
  of(name: string, unknownCode?: ErasureCode): ClassWriters {
    const known = this.#writers.get(name);
    if (known !== undefined) return known;
    if (unknownCode !== undefined && !this.#codes.has(name)) this.#codes.set(name, unknownCode);
    assert(this.#codes.has(name), `there is no storage class ${name}`);
    const context: StoreContext = { ...this.#context, storageClass: name, code: () => this.#codes.get(name)! };
    const writers = {
      requests: makeSet(context),
      moving: makeSet({ ...context, accepts: (disk) => disk.state === 'online' && !disk.isDraining }),
    };
    this.#writers.set(name, writers);
    return writers;
  }

  openSmallVolumes(): SmallVolume[] {
    return this.#sets().flatMap(({ small }) => small.openVolume ?? []);
  }

  /** Seals what should no longer be written to. */
  retireUnusable(): void {
    for (const { small, volumes } of this.#sets()) {
      small.retireUnusable();
      volumes.retireUnusable();
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sets().flatMap(({ small, volumes }) => [small.stop(), volumes.stop()]));
  }

  #sets(): WriterSet[] {
    return [...this.#writers.values()].flatMap(({ requests, moving }) => [requests, moving]);
  }
}

function makeSet(context: StoreContext): WriterSet {
  const opener = new VolumeOpener(context);
  return {
    context,
    opener,
    small: new SmallBlobWriter(context, opener),
    volumes: new LargeVolumes(context, opener),
  };
}
