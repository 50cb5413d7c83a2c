import { afterEach, describe, expect, test } from 'vitest';
import { isStoreError } from '../../src/errors/store-error.ts';
import { ALICE } from '../support/metadata-fixtures.ts';
import { settle } from '../support/simulated-clock.ts';
import { SimulatedService } from '../support/simulated-service.ts';

let service: SimulatedService;
afterEach(() => service.destroy());

/** `present`, `absent`, or the code of the refusal. */
function outcomeOf(name: string): Promise<string> {
  return service.withTime(service.process.metadata.getBucket(name)).then(
    (bucket) => (bucket ? 'present' : 'absent'),
    (error: unknown) => (isStoreError(error) ? error.code : Promise.reject(error)),
  );
}

function createBucket(name: string): Promise<unknown> {
  return service.process.services.buckets.createBucket({ name, owner: ALICE, locationConstraint: undefined });
}

/** `other` is undecided and lies on disk 0 only; disk 0 goes away and disk 1 comes back, without it. */
async function undecidedOnDiskZero(): Promise<void> {
  service = await SimulatedService.format({ code: { k: 1, m: 1 }, seed: 3 });
  await service.start();
  await service.withTime(createBucket('first'));
  await service.withTime(createBucket('second'));
  await service.cluster.clock.advance(100);
  const image = service.cluster.disks[1]!.snapshot();
  service.cluster.detach([1], { isNoticed: false });
  await expect(service.withTime(createBucket('other'))).rejects.toMatchObject({ code: expect.any(String) });
  await service.crash('keep-all', 'lost');
  service.cluster.replaceContent(1, image);
  service.cluster.attach([1]);
  service.cluster.detach([0]);
}

describe('1+1: what a start on one disk answered holds when the other returns', () => {
  test.each([false, true])('absent stays absent (with a restart: %s)', async (isRestarted) => {
    await undecidedOnDiskZero();
    service.cluster.restart();
    await service.start();
    expect(await outcomeOf('first')).toBe('present');
    expect(await outcomeOf('other')).toBe('absent');
    if (isRestarted) {
      await service.crash('keep-all', 'lost');
      service.cluster.attach([0]);
      service.cluster.restart();
      await service.start();
    } else {
      service.cluster.attach([0]);
    }
    for (let i = 0; i < 50 && (await outcomeOf('second')) !== 'present'; i++) {
      await service.cluster.clock.advance(200);
      await settle();
    }
    expect(await outcomeOf('second')).toBe('present');
    expect(await outcomeOf('other')).toBe('absent');
    await service.withTime(createBucket('later'));
    expect(await outcomeOf('other')).toBe('absent');
  });

  test('the disks in turn, one alone, then the other: the undecided one is refused, then absent for ever', async () => {
    await undecidedOnDiskZero();
    for (const [present, expected] of [
      [1, 'absent'],
      [0, 'Undecided'],
      [1, 'absent'],
      [0, 'Undecided'],
    ] as const) {
      service.cluster.attach([present]);
      service.cluster.detach([1 - present]);
      service.cluster.restart();
      await service.start();
      expect(await outcomeOf('first')).toBe('present');
      expect(await outcomeOf('other')).toBe(expected);
      await service.crash('keep-all', 'lost');
    }
    service.cluster.attach([0, 1]);
    service.cluster.restart();
    await service.start();
    expect(await outcomeOf('other')).toBe('absent');
    expect(await outcomeOf('second')).toBe('present');
  });
});
