import { afterEach, expect, test } from 'vitest';
import { volumePath } from '../../src/data-store/volume/volume-file.ts';
import { SimulatedService } from '../support/simulated-service.ts';

let service: SimulatedService;
afterEach(() => service.destroy());

const filesOf = (index: number): string[] =>
  service.cluster.disks[index]!.filePaths().filter((path) => /^(volumes|quarantine)\//.test(path));

/** A write has ended in two stripes, but nothing names them: the opening of their volume is the journal's last frame. */
async function crashAfterOpening(): Promise<string> {
  service = await SimulatedService.format({ code: { k: 1, m: 1 }, seed: 7 });
  await service.start();
  const { data } = service.process;
  const { blob } = await service.withTime(data.writeSmall(Buffer.from('body'), Buffer.from('descriptor')));
  const path = volumePath(blob.footprint[0]!.volumeId);
  expect([filesOf(0), filesOf(1)]).toEqual([[path], [path]]);
  await service.crash('keep-all', 'lost');
  return path;
}

test('a start that cannot open an epoch leaves volumes alone whose opening is not decided yet', async () => {
  const path = await crashAfterOpening();
  service.cluster.detach([0]);
  await service.start();
  expect(filesOf(1)).toEqual([path]);
  // It may take the volume, which holds nothing alive, as soon as it is sealed.
  await service.withTime(service.process.collector.stop());
  service.cluster.attach([0]);
  const { metadata } = service.process;
  await service.withTime(
    expect
      .poll(async () => (await metadata.listVolumes()).map(({ state }) => state), { timeout: 60_000 })
      .toEqual(['sealed']),
  );
  expect([filesOf(0), filesOf(1)]).toEqual([[path], [path]]);
});
