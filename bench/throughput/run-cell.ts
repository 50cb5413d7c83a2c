import { BESIDE, type Cell, PAGE_SIZE, PART_SIZE_BYTES } from './cells.ts';
import type { ListPage } from './job.ts';
import { KEYS_PER_USER, type KeySpace, type StoredObjects } from './key-space.ts';
import { LoadGenerator, type LoadResult, type LoadWork } from './load-generator.ts';
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
/** Distinct pages that a cell of listings asks for again and again. */
const PAGES = 40;
const MIXED_KEYS_PER_CONNECTION = 100;
/** In its first seconds a server is being compiled; what a start costs is measured by itself. */
const FIRST_WARM_UP_FACTOR = 3;
/** Far from the ids of the measured load. */
const BESIDE_ID_BLOCK = 2 ** 20;

export interface CellResult extends WindowFigures {
  cell: string;
  title: string;
  server: string;
  sizeBytes: number;
  connectionCount: number;
  seconds: number;
  summary: Summary;
  /** Keys in a second, of listings. */
  keysPerSecond: number | undefined;
  errors: Record<string, number>;
  errorExamples: string[];
  wrongCount: number;
  wrongExamples: string[];
  readBackCount: number;
  signedLate: number;
}

export interface RunSettings {
  bucket: string;
  /** Another bucket, for keys that are listed. */
  treeBucket: string;
  treeKeyCount: number;
  seconds: number;
  warmUpSeconds: number;
  /** Where CPU profiles of the server go; undefined: none are taken. */
  profileFolder: string | undefined;
  seed: number;
}

interface Failed {
  errors: Record<string, number>;
  errorExamples: string[];
  wrongCount: number;
  wrongExamples: string[];
}

/** Runs cells against one server; remembers what it wrote, so that reads find objects to read. */
export class CellRunner {
  readonly #server: ServerUnderTest;
  readonly #load: LoadGenerator;
  readonly #settings: RunSettings;
  readonly #stored = new Map<number, StoredObjects>();
  #fillCount = 0;
  #hasRun = false;
  #hasTree = false;
  /** Failures outside of the measurement since the last cell. */
  #failed: Failed = noFailures();

  constructor(options: { server: ServerUnderTest; load: LoadGenerator; settings: RunSettings }) {
    this.#server = options.server;
    this.#load = options.load;
    this.#settings = options.settings;
  }

  /** @throws when the cell needs disks that are not the bench's to take away. */
  async run(cell: Cell): Promise<CellResult> {
    this.#failed = noFailures();
    const work = await this.#workOf(cell);
    const restore = cell.isDegraded ? await this.#loseDisk() : undefined;
    try {
      const window = new MeasuredWindow(this.#server, cell.name, this.#settings.profileFolder);
      const result = cell.isBesideUploads
        ? await this.#measureBesideUploads(cell, work, window)
        : await this.#measure(cell, work, window);
      let readBackCount = 0;
      if (work.kind === 'put' || work.kind === 'multipart') {
        this.#keep(work.space, result.acknowledged);
        readBackCount = await this.#readBack({ space: work.space, operationIds: result.acknowledged });
      }
      return this.#describe({ cell, result, readBackCount, figures: window.figures });
    } finally {
      await restore?.();
    }
  }

  /** The tree of keys that listings walk; a second call does nothing. Returns what filling it showed. */
  async fillTree(): Promise<LoadResult | undefined> {
    if (this.#hasTree) return undefined;
    this.#hasTree = true;
    const { treeBucket, treeKeyCount } = this.#settings;
    const result = await this.#load.run({
      ...this.#common(),
      bucket: treeBucket,
      connectionCount: 64,
      work: { kind: 'put', space: { kind: 'tree', count: treeKeyCount }, payload: 'signed' },
      limit: { seconds: Infinity, operations: treeKeyCount },
      warmUpSeconds: 0,
    });
    this.#addFailures('fill', result);
    return result;
  }

  async #workOf(cell: Cell): Promise<LoadWork> {
    const { verb, sizeBytes, payload } = cell;
    const space: KeySpace = { kind: 'spread', prefix: `${cell.name}/`, sizeBytes };
    if (verb === 'put') return { kind: 'put', space, payload };
    if (verb === 'multipart') return { kind: 'multipart', space, payload, partSizeBytes: PART_SIZE_BYTES };
    if (verb === 'mixed') {
      const keysPerConnection = MIXED_KEYS_PER_CONNECTION;
      return {
        kind: 'mixed',
        prefix: `${cell.name}/`,
        keysPerConnection,
        largestSizeBytes: sizeBytes,
        hasFixedNames: false,
      };
    }
    if (verb === 'list') {
      await this.fillTree();
      const keyCount = this.#settings.treeKeyCount;
      return { kind: 'list', keyCount, pageSize: PAGE_SIZE, pages: pagesOf(cell, keyCount) };
    }
    if (verb === 'delete') {
      const { seconds, warmUpSeconds } = this.#settings;
      const objects = await this.#fill(cell, { seconds: seconds + warmUpSeconds, operations: Infinity });
      return { kind: 'delete', objects, isOnce: true };
    }
    const wanted = Math.max(FEWEST_STORED_OBJECTS, Math.ceil(FEWEST_STORED_BYTES / sizeBytes));
    let stored = this.#stored.get(sizeBytes);
    if (stored === undefined || stored.operationIds.length < wanted) {
      stored = await this.#fill(cell, { seconds: Infinity, operations: wanted });
      this.#stored.set(sizeBytes, stored);
    }
    const operationIds = stored.operationIds.slice(-MOST_STORED_OBJECTS);
    return { kind: verb, objects: { ...stored, operationIds }, isOnce: false };
  }

  async #fill(cell: Cell, limit: { seconds: number; operations: number }): Promise<StoredObjects> {
    this.#fillCount += 1;
    const space: KeySpace = {
      kind: 'spread',
      prefix: `fill-${this.#fillCount}-${cell.name}/`,
      sizeBytes: cell.sizeBytes,
    };
    const result = await this.#load.run({
      ...this.#common(),
      connectionCount: Math.max(4, cell.connectionCount),
      work: { kind: 'put', space, payload: cell.payload },
      limit,
      warmUpSeconds: 0,
    });
    this.#addFailures('fill', result);
    if (result.acknowledged.length === 0) {
      throw new Error(`${this.#server.name} stored nothing: ${result.errorExamples[0] ?? 'no error either'}`);
    }
    return { space, operationIds: result.acknowledged };
  }

  async #measure(cell: Cell, work: LoadWork, window: MeasuredWindow): Promise<LoadResult> {
    const { seconds, bucket, treeBucket } = this.#settings;
    const warmUpSeconds = this.#settings.warmUpSeconds * (this.#hasRun ? 1 : FIRST_WARM_UP_FACTOR);
    this.#hasRun = true;
    return await this.#load.run(
      {
        ...this.#common(),
        bucket: work.kind === 'list' ? treeBucket : bucket,
        connectionCount: cell.connectionCount,
        work,
        limit: { seconds, operations: Infinity },
        warmUpSeconds,
      },
      window,
    );
  }

  async #measureBesideUploads(cell: Cell, work: LoadWork, window: MeasuredWindow): Promise<LoadResult> {
    const uploads = new LoadGenerator({ seed: this.#settings.seed, workerCount: 1, firstIdBlock: BESIDE_ID_BLOCK });
    try {
      const { sizeBytes, connectionCount } = BESIDE;
      const beside = uploads.run({
        ...this.#common(),
        connectionCount,
        work: {
          kind: 'put',
          space: { kind: 'spread', prefix: `${cell.name}-uploads/`, sizeBytes },
          payload: 'unsigned',
        },
        limit: { seconds: Infinity, operations: Infinity },
        warmUpSeconds: 0,
      });
      const result = await Promise.race([this.#measure(cell, work, window), failing(beside)]);
      uploads.stop();
      this.#addFailures('uploads beside', await beside);
      return result;
    } finally {
      await uploads.close();
    }
  }

  #keep(space: KeySpace, operationIds: Float64Array): void {
    if (space.kind !== 'spread') return;
    const known = this.#stored.get(space.sizeBytes);
    if (known === undefined || known.operationIds.length < operationIds.length) {
      this.#stored.set(space.sizeBytes, { space, operationIds });
    }
  }

  /** Reads a sample of what was acknowledged. */
  async #readBack({ space, operationIds }: StoredObjects): Promise<number> {
    if (operationIds.length === 0 || space.kind !== 'spread') return 0;
    const most = Math.max(4, Math.min(READ_BACK_OBJECTS, Math.floor(READ_BACK_BYTES / space.sizeBytes)));
    const every = Math.max(1, Math.floor(operationIds.length / most));
    const result = await this.#load.run({
      ...this.#common(),
      connectionCount: 8,
      work: {
        kind: 'get',
        objects: { space, operationIds: operationIds.filter((_, index) => index % every === 0) },
        isOnce: true,
      },
      limit: { seconds: Infinity, operations: Infinity },
      warmUpSeconds: 0,
    });
    this.#addFailures('read back', result);
    return result.samples.starts.length;
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

  #addFailures(when: string, result: LoadResult): void {
    const failed = this.#failed;
    for (const [label, count] of Object.entries(result.errors)) {
      failed.errors[`${when}: ${label}`] = (failed.errors[`${when}: ${label}`] ?? 0) + count;
    }
    failed.errorExamples.push(...result.errorExamples);
    failed.wrongCount += result.wrongCount;
    failed.wrongExamples.push(...result.wrong.map(({ detail }) => detail));
  }

  #describe(measured: { cell: Cell; result: LoadResult; readBackCount: number; figures: WindowFigures }): CellResult {
    const { cell, result, readBackCount, figures } = measured;
    // Work that was used up ended the window early.
    const lastEndSeconds = result.samples.ends.reduce((last, end) => Math.max(last, end), 0) / 1000;
    const seconds = Math.min(this.#settings.seconds, lastEndSeconds || this.#settings.seconds);
    const summary = summarize(result.samples, seconds);
    return {
      cell: cell.name,
      title: cell.title,
      server: this.#server.name,
      sizeBytes: cell.sizeBytes,
      connectionCount: cell.connectionCount,
      seconds,
      summary,
      keysPerSecond: cell.verb === 'list' ? summary.operationsPerSecond * this.#namesPerPage(cell) : undefined,
      errors: { ...result.errors, ...this.#failed.errors },
      errorExamples: [...result.errorExamples, ...this.#failed.errorExamples],
      wrongCount: result.wrongCount + this.#failed.wrongCount,
      wrongExamples: [...result.wrong.map(({ detail }) => detail), ...this.#failed.wrongExamples],
      readBackCount,
      signedLate: result.signedLate,
      ...figures,
    };
  }

  #namesPerPage({ hasDelimiter }: Cell): number {
    const { treeKeyCount } = this.#settings;
    return Math.min(PAGE_SIZE, hasDelimiter ? Math.ceil(treeKeyCount / KEYS_PER_USER) : treeKeyCount);
  }
}

/** Full pages at the start or the end of the tree, in an order that is not that of the keys. */
function pagesOf({ hasDelimiter, place }: Cell, keyCount: number): ListPage[] {
  const total = hasDelimiter ? Math.ceil(keyCount / KEYS_PER_USER) : keyCount;
  const count = Math.max(1, Math.min(PAGES, Math.floor(total / PAGE_SIZE)));
  const from = place === 'end' ? Math.max(0, total - count * PAGE_SIZE) : 0;
  return Array.from({ length: count }, (_, index) => ({
    first: from + ((index * 7) % count) * PAGE_SIZE,
    hasDelimiter,
  }));
}

/** Rejects when the promise does, and never resolves. */
async function failing(promise: Promise<unknown>): Promise<never> {
  await promise;
  return await new Promise<never>(() => undefined);
}

function noFailures(): Failed {
  return { errors: {}, errorExamples: [], wrongCount: 0, wrongExamples: [] };
}
