import { rm } from 'node:fs/promises';
import { afterEach, expect, test } from 'vitest';
import { ALICE } from '../support/metadata-fixtures.ts';
import { SimulatedService } from '../support/simulated-service.ts';

let service: SimulatedService;
afterEach(() => service.destroy());

const put = (key: string): Promise<number> =>
  service
    .withTime(service.call('PutObject', { bucket: 'bucket', key, body: key }))
    .then(({ status }) => status)
    .catch(() => 503);

test('an index lost while a batch is undecided is rebuilt, and writes go on, once the disks are back', async () => {
  service = await SimulatedService.format({ code: { k: 2, m: 1 }, seed: 3 });
  await service.start();
  const { buckets } = service.process.services;
  await service.withTime(buckets.createBucket({ name: 'bucket', owner: ALICE, locationConstraint: undefined }));
  expect(await put('a')).toBe(200);
  service.cluster.detach([1, 2], { isNoticed: false });
  // A frame on one disk of two: undecided.
  const undecided = buckets.createBucket({ name: 'other', owner: ALICE, locationConstraint: undefined });
  await expect(service.withTime(undecided)).rejects.toMatchObject({ code: 'Undecided' });
  for (const suffix of ['', '-wal', '-shm']) await rm(service.indexPath + suffix, { force: true });
  await service.cluster.clock.advance(2000);
  expect(await put('c')).toBe(503);
  service.cluster.attach([1, 2]);
  await service.withTime(expect.poll(() => put('d'), { timeout: 60_000 }).toBe(200));
  const { body } = await service.withTime(service.call('GetObject', { bucket: 'bucket', key: 'a' }));
  expect(body.toString()).toBe('a');
}, 180_000);
