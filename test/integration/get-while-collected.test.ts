import { afterEach, describe, expect, it } from 'vitest';
import type { DataPiece } from '../../src/data-store/data-store.ts';
import { payloadOf } from '../support/payload.ts';
import { elementOf } from '../support/service-fixture.ts';
import { SimulatedService } from '../support/simulated-service.ts';
import { NO_KEY } from '../support/encryption-fixture.ts';

const MIB = 1024 * 1024;
const BUCKET = 'bucket';
const KEY = 'three parts';

let service: SimulatedService;
afterEach(() => service.destroy());

function call(...args: Parameters<SimulatedService['call']>) {
  return service.withTime(service.call(...args));
}

/** An object of three parts, each with a volume of its own. */
async function putThreeParts(): Promise<Buffer> {
  const bodies = [5 * MIB, 5 * MIB, 2 * MIB].map((size, index) => payloadOf(`part ${index}`, size));
  const at = { bucket: BUCKET, key: KEY };
  const uploadId = elementOf((await call('CreateMultipartUpload', at)).body, 'UploadId')!;
  const parts: string[] = [];
  for (const [index, body] of bodies.entries()) {
    const partNumber = String(index + 1);
    const { headers } = await call('UploadPart', { ...at, query: { uploadId, partNumber }, body });
    parts.push(`<Part><PartNumber>${partNumber}</PartNumber><ETag>${headers['etag']}</ETag></Part>`);
  }
  const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`;
  await call('CompleteMultipartUpload', { ...at, query: { uploadId }, body });
  return Buffer.concat(bodies);
}

async function openObject(): Promise<AsyncIterableIterator<DataPiece>> {
  const { buckets, objects } = service.process.services;
  const bucket = await buckets.requireBucket(BUCKET);
  const whole = (object: { sizeBytes: number }) => ({ range: { start: 0, length: object.sizeBytes } });
  const { body } = await service.withTime(objects.getObject({ bucket, key: KEY, ...NO_KEY }, whole));
  if (Buffer.isBuffer(body)) throw new Error('expected a body in pieces');
  return body;
}

async function collectAll(): Promise<void> {
  while (await service.withTime(service.process.collector.collectOnce()));
}

async function largeVolumeCount(): Promise<number> {
  const volumes = await service.process.metadata.listVolumes();
  return volumes.filter(({ purpose, state }) => purpose === 'large' && state !== 'dropped').length;
}

describe('A GET of several blobs', () => {
  it.each(['overwritten', 'deleted'] as const)('ends complete when the object is %s and collected', async (fate) => {
    service = await SimulatedService.format({ code: { k: 2, m: 1 }, seed: 11 });
    await service.start();
    await call('CreateBucket', { bucket: BUCKET });
    const expected = await putThreeParts();
    // Volumes of an earlier run are sealed: nothing but the reader keeps them.
    await service.stop();
    await service.start();
    expect(await largeVolumeCount()).toBe(3);

    const body = await openObject();
    if (fate === 'deleted') await call('DeleteObject', { bucket: BUCKET, key: KEY });
    else await call('PutObject', { bucket: BUCKET, key: KEY, body: 'another' });
    await collectAll();

    const received: Buffer[] = [];
    for (;;) {
      const next = await service.withTime(body.next());
      if (next.done) break;
      received.push(Buffer.from(next.value.bytes));
      next.value.release();
      await collectAll();
    }
    expect(Buffer.concat(received).equals(expected)).toBe(true);
    await collectAll();
    expect(await largeVolumeCount(), 'what the reader held comes back').toBe(0);
  });

  it('lets go of the volumes when the client goes away', async () => {
    service = await SimulatedService.format({ code: { k: 2, m: 1 }, seed: 12 });
    await service.start();
    await call('CreateBucket', { bucket: BUCKET });
    await putThreeParts();
    await service.stop();
    await service.start();
    const body = await openObject();
    await call('DeleteObject', { bucket: BUCKET, key: KEY });
    await service.withTime(body.return!());
    await collectAll();
    expect(await largeVolumeCount()).toBe(0);
  });
});
