import { expect, test } from 'vitest';
import { answerHealth, Readiness } from '../../../src/admin/readiness.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

test('liveness is 200 in every phase', () => {
  const readiness = new Readiness(new ManualClock());
  expect(answerHealth('/-/live', readiness)?.status).toBe(200);
  readiness.stopping();
  expect(answerHealth('/-/live', readiness)?.status).toBe(200);
});

test('readiness tells phase, percent and time left while recovery runs', async () => {
  const clock = new ManualClock();
  const readiness = new Readiness(clock);
  readiness.enter('replaying', 0);
  await clock.advance(3000);
  readiness.enter('replaying', 0.25, 'frame 250 of 1000');
  const answer = answerHealth('/-/ready', readiness);
  expect(answer?.status).toBe(503);
  expect(answer?.headers['retry-after']).toBe('9');
  expect(JSON.parse(answer?.body ?? '')).toEqual({
    status: 'not-ready',
    isReady: false,
    phase: 'replaying',
    percent: 25,
    timeLeftMs: 9000,
    detail: 'frame 250 of 1000',
  });
});

test('it is 200 once ready and 503 for good once stopping', () => {
  const readiness = new Readiness(new ManualClock());
  readiness.ready();
  expect(answerHealth('/-/ready', readiness)?.status).toBe(200);
  readiness.stopping();
  readiness.ready();
  expect(answerHealth('/-/ready', readiness)?.status).toBe(503);
  expect(readiness.report().phase).toBe('stopping');
});

test('only the two health routes are answered', () => {
  const readiness = new Readiness(new ManualClock());
  for (const path of ['/', '/-', '/-/', '/-/live/', '/-/liveness', '/bucket/-/live', '/-/LIVE']) {
    expect(answerHealth(path, readiness)).toBeUndefined();
  }
});

test('every step reaches the listener', () => {
  const seen: string[] = [];
  const readiness = new Readiness(new ManualClock(), ({ phase, percent }) => seen.push(`${phase} ${percent}`));
  readiness.enter('levelling', 0.5);
  readiness.ready();
  expect(seen).toEqual(['levelling 50', 'ready 100']);
});
