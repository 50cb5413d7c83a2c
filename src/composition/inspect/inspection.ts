/** What a file turned out to be. */
export const FILE_KINDS = ['disk', 'state', 'segment', 'checkpoint', 'shard'] as const;
export type FileKind = (typeof FILE_KINDS)[number];

/**
 * `good`: every checksum is right. `bad`: one is not. `newer`: whole, but of a version that is not known here. `empty`: zeros.
 * `old`: left from an earlier life of the file, means nothing.
 */
export type ItemState = 'good' | 'bad' | 'newer' | 'empty' | 'old';

/** One structure of a file, or one run of bytes that is none. */
export interface InspectedItem {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly what: string;
  readonly state: ItemState;
  readonly facts: Readonly<Record<string, unknown>>;
}

export interface InspectedProblem {
  readonly offset: number;
  readonly lengthBytes: number;
  readonly problem: string;
}

/** What `holdfast inspect --json` prints; fields are only ever added. */
export interface InspectReport {
  readonly formatVersion: 1;
  readonly path: string;
  readonly kind: FileKind;
  readonly sizeBytes: number;
  readonly facts: Readonly<Record<string, unknown>>;
  readonly items: readonly InspectedItem[];
  readonly problems: readonly InspectedProblem[];
}

/** Collects what the inspection of one file finds. */
export class Findings {
  readonly facts: Record<string, unknown> = {};
  readonly items: InspectedItem[] = [];
  readonly problems: InspectedProblem[] = [];

  add(item: InspectedItem): void {
    this.items.push(item);
  }

  problem(offset: number, lengthBytes: number, problem: string): void {
    this.problems.push({ offset, lengthBytes, problem });
  }

  /** An item together with what is wrong with it. */
  addBad(item: Omit<InspectedItem, 'state'>, problem: string, state: 'bad' | 'newer' = 'bad'): void {
    this.add({ ...item, state });
    this.problem(item.offset, item.lengthBytes, problem);
  }
}

export function inHex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

export function newerThanKnown(what: string, version: number | string, known: number): string {
  return `${what} has version ${version}; this program knows version ${known}: a newer Holdfast wrote it`;
}
