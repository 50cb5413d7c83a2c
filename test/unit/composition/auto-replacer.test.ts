import { expect, test } from 'vitest';
import { AutoReplacer, type AutoReplacerOptions } from '../../../src/composition/auto-replacer.ts';
import { StoreError } from '../../../src/errors/store-error.ts';
import { silentLog } from '../../../src/observability/log.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const MISSING = { id: 'b', state: 'missing', lastPath: '/b', path: undefined, device: undefined, isListed: true };
const OTHER = { id: 'a', state: 'online', lastPath: '/a', path: '/a', device: 7, isListed: true };

function policy(facts: { device: number | undefined; isEmpty?: boolean; refusal?: StoreError }) {
  const clock = new ManualClock();
  const replaced: string[] = [];
  const disks = {
    disks: [OTHER, MISSING],
    unusedPaths: () => [{ path: '/b', diskId: undefined, reason: 'it is empty', isEmpty: facts.isEmpty ?? true }],
  } as unknown as AutoReplacerOptions['disks'];
  const replacer = new AutoReplacer({
    disks,
    replace: async ({ name, newPath, onDevice }) => {
      if (facts.refusal !== undefined) throw facts.refusal;
      expect(onDevice).toBe(facts.device);
      replaced.push(`${name} at ${newPath}`);
      return { diskId: 'new', path: newPath, message: '' };
    },
    mountedDevice: async () => facts.device,
    clock,
    log: silentLog,
    afterMs: 60_000,
  });
  const lookAfter = async (ms: number): Promise<string[]> => {
    await clock.advance(ms);
    await replacer.look();
    return replaced;
  };
  return { lookAfter };
}

test('an empty file system at the place of a missing disk is adopted when it has been there for the time', async () => {
  const { lookAfter } = policy({ device: 9 });
  expect(await lookAfter(0)).toEqual([]);
  expect(await lookAfter(59_000)).toEqual([]);
  expect(await lookAfter(1000)).toEqual(['b at /b']);
});

test('the directory below a mount point, one on the device of another disk, and one that is not empty never are', async () => {
  for (const facts of [{ device: undefined }, { device: OTHER.device }, { device: 9, isEmpty: false }]) {
    const { lookAfter } = policy(facts);
    for (let look = 0; look < 10; look++) expect(await lookAfter(60_000)).toEqual([]);
  }
});

test('another file system, or one that was away in between, waits from the beginning', async () => {
  const facts: { device: number | undefined } = { device: 9 };
  const { lookAfter } = policy(facts);
  await lookAfter(0);
  facts.device = 10;
  expect(await lookAfter(60_000)).toEqual([]);
  facts.device = undefined;
  expect(await lookAfter(1000)).toEqual([]);
  facts.device = 10;
  expect(await lookAfter(60_000)).toEqual([]);
  expect(await lookAfter(60_000)).toEqual(['b at /b']);
});

test('what an ordinary replacement refuses is tried again later and stays for a person', async () => {
  const { lookAfter } = policy({ device: 9, refusal: new StoreError('QuorumLost', 'too few disks agree') });
  for (let look = 0; look < 4; look++) expect(await lookAfter(60_000)).toEqual([]);
});
