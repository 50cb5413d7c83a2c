import { expect, test } from 'vitest';
import { LineGatherer } from '../../../src/cli/line-gatherer.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

function gatherer() {
  const written: string[] = [];
  const clock = new ManualClock();
  const destination = { write: (text: string) => written.push(text) };
  const lines = new LineGatherer({ destination, clock, bundleLength: 20, delayMs: 100 });
  return { lines, clock, written };
}

test('lines go on in order, in bundles of the length', () => {
  const { lines, written } = gatherer();
  for (let index = 0; index < 10; index++) lines.write(`line ${index}\n`);
  lines.forward();
  expect(written.join('')).toBe(Array.from({ length: 10 }, (_, index) => `line ${index}\n`).join(''));
  expect(written).toHaveLength(4);
});

test('a lone line goes on after the delay, and so does the next one', async () => {
  const { lines, clock, written } = gatherer();
  lines.write('first\n');
  await clock.advance(99);
  expect(written).toEqual([]);
  await clock.advance(1);
  expect(written).toEqual(['first\n']);
  lines.write('second\n');
  await clock.advance(100);
  expect(written).toEqual(['first\n', 'second\n']);
});

test('forwarding with nothing left writes nothing, and no line is written twice', async () => {
  const { lines, clock, written } = gatherer();
  lines.write('only\n');
  lines.forward();
  lines.forward();
  await clock.advance(1000);
  expect(written).toEqual(['only\n']);
});
