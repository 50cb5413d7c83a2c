import { expect, test } from 'vitest';
import {
  chooseJournalDisks,
  type JournalConfiguration,
  withDiskList,
} from '../../../../src/metadata-store/journal/journal-configuration.ts';

const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `disk${index}`);

function configured(count: number, code = { k: 2, m: 2 }): JournalConfiguration {
  return { ...code, diskIds: ids(count), journalDiskIds: chooseJournalDisks(ids(count), code) };
}

test('a replaced journal disk is replaced by the one in its place, the others stay', () => {
  const before = configured(4);
  const next = withDiskList(before, ['disk0', 'new', 'disk2', 'disk3'], () => true);
  expect(next).toEqual({ k: 2, m: 2, diskIds: next.diskIds, journalDiskIds: ['disk0', 'new', 'disk2', 'disk3'] });
});

test('growing one disk at a time, each carries the journal up to 2m + 3 of them', () => {
  let configuration = configured(4);
  for (const count of [5, 6, 7, 8, 9]) {
    configuration = withDiskList(configuration, ids(count), () => true);
    expect(configuration.diskIds).toHaveLength(count);
    expect(configuration.journalDiskIds).toEqual(ids(Math.min(7, count)));
  }
});

test('a journal disk that leaves is replaced by another, one that works before one that does not', () => {
  const before = { ...configured(9), journalDiskIds: ids(7) };
  const list = before.diskIds.filter((id) => id !== 'disk3');
  expect(withDiskList(before, list, (id) => id === 'disk8').journalDiskIds).toEqual([
    'disk0',
    'disk1',
    'disk2',
    'disk4',
    'disk5',
    'disk6',
    'disk8',
  ]);
  expect(withDiskList(configured(5), ids(4), () => true).journalDiskIds).toEqual(ids(4));
});
