import type { Cell } from './cells.ts';
import type { StoredObjects } from './job.ts';
import type { LoadGenerator, LoadResult, LoadWork } from './load-generator.ts';
import { MeasuredWindow, type WindowFigures } from './measured-window.ts';
import type { ServerUnderTest } from './server-under-test.ts';
import { type Summary, summarize } from './statistics.ts';

const TIMEOUT_MS = 60_000;
/** After a cell of PUTs this much is read back, spread over all of them. */
const READ_BACK_OBJECTS = 500;
const READ_BACK_BYTES = 512 * 1024 * 1024;
/** Objects that reads go round over: at least, at most. */
const FEWEST_STORED_BYTES = 16 * 1024 * 1024;
const MOST_STORED_OBJECTS = 10_000;
const FEWEST_STORED_OBJECTS = 8;

export interface CellResult extends WindowFigures {
  cell: string;
  title: string;
  server: string;
  sizeBytes: number;
  connectionCount: number;
  seconds: number;
  summary: Summary;
  errors: Record<string, number>;
  errorExamples: string[];
  wrongCount: number;
  wrongExamples: string[];
  readBackCount: number;
  signedLate: number;
}

export interface RunSettings {
  bucket: string;
  seconds: number;
  warmUpSeconds: number;
  /** Where CPU profiles of the server go; undefined: none are taken. */
  profileFolder: string | undefined;
}

/** Runs cells against one server; remembers what it wrote, so that reads find objects to read. */
export class CellRunner {
  readonly #server: ServerUnderTest;
  readonly #load: LoadGenerator;
  readonly #settings: RunSettings;
  readonly #stored = new Map<number, StoredObjects>();
  #fillCount = 0;

  constructor(options: { server: ServerUnderTest; load: LoadGenerator; settings: RunSettings }) {
    this.#server = options.server;
    this.#load = options.load;
    this.#settings = options.settings;
  }

  /** @throws when the server is one whose disks the cell cannot take away. */
  async run(cell: Cell): Promise<CellResult> {
    const isPut = cell.verb === 'put';
    const work: LoadWork = isPut ? this.#putWork(cell) : await this.#storedWork(cell);
    const restore = cell.isDegraded ? await this.#loseDisk() : undefined;
    try {
      const window = new MeasuredWindow(this.#server, cell.name, this.#profileFolder());
      const result = await this.#measure(cell, work, window);
      const readBack = isPut ? await this.#readBack(cell, work, result) : undefined;
      return this.#describe({ cell, result, readBack, figures: window.figures });
    } finally {
      await restore?.();
    }
  }

  #profileFolder(): string | undefined {
    return this.#server.own?.probe === undefined ? undefined : this.#settings.profileFolder;
  }

  #putWork(cell: Cell): LoadWork {
    return { kind: 'put', prefix: `${cell.name}/`, sizeBytes: cell.sizeBytes, payload: cell.payload };
  }

  async #storedWork(cell: Cell): Promise<LoadWork> {
    const { seconds } = this.#settings;
    if (cell.verb === 'delete') {
      const objects = await this.#takeStored(cell);
      return { kind: 'delete', objects: { ...objects }, isOnce: true };
    }
    const wanted = Math.max(FEWEST_STORED_OBJECTS, Math.ceil(FEWEST_STORED_BYTES / cell.sizeBytes));
    let stored = this.#stored.get(cell.sizeBytes);
    if (stored === undefined || stored.operationIds.length < wanted) stored = await this.#fill(cell, wanted, seconds);
    const operationIds = stored.operationIds.slice(-MOST_STORED_OBJECTS);
    return { kind: cell.verb === 'head' ? 'head' : 'get', objects: { ...stored, operationIds }, isOnce: false };
  }

  /** Objects for a cell of deletes: written for it, as many as a few seconds give. */
  async #takeStored(cell: Cell): Promise<StoredObjects> {
    return await this.#fill(cell, Infinity, this.#settings.seconds + this.#settings.warmUpSeconds);
  }

  async #fill(cell: Cell, operations: number, seconds: number): Promise<StoredObjects> {
    this.#fillCount += 1;
    const prefix = `fill-${this.#fillCount}-${cell.name}/`;
    const result = await this.#load.run({
      ...this.#common(),
      connectionCount: Math.max(4, cell.connectionCount),
      work: { kind: 'put', prefix, sizeBytes: cell.sizeBytes, payload: cell.payload },
      limit: { seconds: operations === Infinity ? seconds : Infinity, operations },
      warmUpSeconds: 0,
      signAhead: 0,
    });
    if (result.acknowledged.length === 0) {
      throw new Error(`${this.#server.name} stored nothing: ${result.errorExamples[0] ?? 'no error either'}`);
    }
    const stored = { prefix, sizeBytes: cell.sizeBytes, operationIds: result.acknowledged };
    if (cell.verb !== 'delete') this.#stored.set(cell.sizeBytes, stored);
    return stored;
  }

  async #measure(cell: Cell, work: LoadWork, window: MeasuredWindow): Promise<LoadResult> {
    const { seconds, warmUpSeconds } = this.#settings;
    return await this.#load.run(
      {
        ...this.#common(),
        connectionCount: cell.connectionCount,
        work,
        limit: { seconds, operations: Infinity },
        warmUpSeconds,
        signAhead: 0,
      },
      window,
    );
  }

  /** Reads a sample of what was acknowledged; keeps it all for the cells that read. */
  async #readBack(cell: Cell, work: LoadWork, result: LoadResult): Promise<LoadResult | undefined> {
    if (work.kind !== 'put' || result.acknowledged.length === 0) return undefined;
    const { prefix, sizeBytes } = work;
    const known = this.#stored.get(sizeBytes);
    if (known === undefined || known.operationIds.length < result.acknowledged.length) {
      this.#stored.set(sizeBytes, { prefix, sizeBytes, operationIds: result.acknowledged });
    }
    const most = Math.max(4, Math.min(READ_BACK_OBJECTS, Math.floor(READ_BACK_BYTES / sizeBytes)));
    const every = Math.max(1, Math.floor(result.acknowledged.length / most));
    const operationIds = result.acknowledged.filter((_, index) => index % every === 0);
    return await this.#load.run({
      ...this.#common(),
      connectionCount: Math.min(8, cell.connectionCount),
      work: { kind: 'get', objects: { prefix, sizeBytes, operationIds }, isOnce: true },
      limit: { seconds: Infinity, operations: Infinity },
      warmUpSeconds: 0,
      signAhead: 0,
    });
  }

  async #loseDisk(): Promise<() => Promise<void>> {
    const { own, name } = this.#server;
    if (own === undefined) throw new Error(`the disks of ${name} are not the bench's to take away`);
    return await own.loseDisk();
  }

  #common() {
    const { address, signer } = this.#server;
    return { address, signer, bucket: this.#settings.bucket, timeoutMs: TIMEOUT_MS };
  }

  #describe(measured: {
    cell: Cell;
    result: LoadResult;
    readBack: LoadResult | undefined;
    figures: WindowFigures;
  }): CellResult {
    const { cell, result, readBack, figures } = measured;
    const errors = { ...result.errors };
    // Work that was used up ended the window early.
    const lastEndSeconds = result.samples.ends.reduce((last, end) => Math.max(last, end), 0) / 1000;
    const seconds = Math.min(this.#settings.seconds, lastEndSeconds || this.#settings.seconds);
    for (const [label, count] of Object.entries(readBack?.errors ?? {})) {
      errors[`read back: ${label}`] = count;
    }
    return {
      cell: cell.name,
      title: cell.title,
      server: this.#server.name,
      sizeBytes: cell.sizeBytes,
      connectionCount: cell.connectionCount,
      seconds,
      summary: summarize(result.samples, seconds),
      errors,
      errorExamples: [...result.errorExamples, ...(readBack?.errorExamples ?? [])],
      wrongCount: result.wrongCount + (readBack?.wrongCount ?? 0),
      wrongExamples: [...result.wrong, ...(readBack?.wrong ?? [])].map(({ detail }) => detail),
      readBackCount: readBack?.samples.starts.length ?? 0,
      ...figures,
      signedLate: result.signedLate,
    };
  }
}
