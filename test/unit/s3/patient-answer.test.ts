import { describe, expect, it } from 'vitest';
import { S3Error } from '../../../src/errors/s3-error.ts';
import { silentLog } from '../../../src/observability/log.ts';
import type { S3Request, S3Response } from '../../../src/s3/operation.ts';
import { answerPatiently } from '../../../src/s3/patient-answer.ts';
import { xmlDocument } from '../../../src/s3/xml/write-xml.ts';
import { ManualClock } from '../../support/simulated-clock.ts';

const request = { resource: '/bucket/key', requestId: 'REQUEST', log: silentLog } as S3Request;
const done: S3Response = { status: 200, headers: { 'x-amz-version-id': 'v' }, body: xmlDocument('Result', '<A>1</A>') };

async function slowAnswer(clock: ManualClock, work: Promise<S3Response>): Promise<S3Response> {
  const answer = answerPatiently(clock, request, work);
  await clock.advance(10_000);
  return answer;
}

async function readUntilEnd(clock: ManualClock, { body }: S3Response): Promise<string[]> {
  const pieces: string[] = [];
  const reading = { isDone: false };
  const end = (async () => {
    for await (const piece of body as AsyncIterable<{ bytes: Buffer }>) pieces.push(piece.bytes.toString());
    reading.isDone = true;
  })();
  while (!reading.isDone) await clock.advance(1000);
  await end;
  return pieces;
}

describe('answerPatiently', () => {
  it('answers work that is done soon as it is, and leaves no timer', async () => {
    const clock = new ManualClock();
    expect(await answerPatiently(clock, request, Promise.resolve(done))).toBe(done);
    const failure = new S3Error('NoSuchKey');
    await expect(answerPatiently(clock, request, Promise.reject(failure))).rejects.toBe(failure);
    expect(clock.timerCount).toBe(0);
  });

  it('sends a sign of life every ten seconds, then the document', async () => {
    const clock = new ManualClock();
    const work = new Promise<S3Response>((resolve) => clock.schedule(35_000, () => resolve(done)));
    const answer = await slowAnswer(clock, work);
    expect(answer.status).toBe(200);
    const pieces = await readUntilEnd(clock, answer);
    expect(pieces.slice(0, 3)).toEqual(['<?xml version="1.0" encoding="UTF-8"?>\n', ' ', ' ']);
    const whole = pieces.join('');
    expect(answer.headers).toEqual({ 'content-type': 'application/xml' });
    expect(whole.replaceAll(' ', '')).toBe((done.body as string).replaceAll(' ', ''));
    expect(clock.timerCount).toBe(0);
  });

  it('ends with the error document when the work fails after all', async () => {
    const clock = new ManualClock();
    const work = new Promise<S3Response>((_, reject) => {
      clock.schedule(15_000, () => reject(new S3Error('PreconditionFailed')));
    });
    const whole = (await readUntilEnd(clock, await slowAnswer(clock, work))).join('');
    expect(whole).toContain('<Error><Code>PreconditionFailed</Code>');
    expect(whole).toContain('<RequestId>REQUEST</RequestId>');
    expect(whole.match(/<\?xml/g)).toHaveLength(1);
  });
});
