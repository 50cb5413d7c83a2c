import { JOURNAL_DIRECTORY } from './journal-state.ts';

/** Names inside a disk's journal directory. Anything else there is a leftover of a crash and is removed after the epoch is open. */
export function segmentName(generation: number, number: number): string {
  return `${pad(generation)}-${pad(number)}.seg`;
}

export function parseSegmentName(name: string): { generation: number; number: number } | undefined {
  const match = /^(\d{8,})-(\d{8,})\.seg$/.exec(name);
  return match === null ? undefined : { generation: Number(match[1]), number: Number(match[2]) };
}

/** A segment written with zeros (or cut from the journal) that waits for its turn. */
export function spareName(counter: number): string {
  return `spare-${pad(counter)}.seg`;
}

export function isSpareName(name: string): boolean {
  return /^spare-\d{8,}\.seg$/.test(name);
}

export function temporaryName(counter: number): string {
  return `${pad(counter)}.tmp`;
}

export function checkpointName(position: { epoch: number; sequence: number }, counter: number): string {
  return `checkpoint-${position.epoch}-${position.sequence}-${pad(counter)}`;
}

/** Greatest counter that occurs in names of spares, temporary files and checkpoints; new names count on from it. */
export function greatestCounter(names: readonly string[]): number {
  let greatest = 0;
  for (const name of names) {
    const match = /^(?:spare-|checkpoint-\d+-\d+-)?(\d{8,})(?:\.seg|\.tmp)?$/.exec(name);
    if (match !== null) greatest = Math.max(greatest, Number(match[1]));
  }
  return greatest;
}

export function inJournal(name: string): string {
  return `${JOURNAL_DIRECTORY}/${name}`;
}

function pad(number: number): string {
  return String(number).padStart(8, '0');
}
