import { crc32c } from '@node-rs/crc32';
import { describe, expect, it } from 'vitest';
import { clusterTagOf, decodeFrame, hasFrameMagic } from '../../../../src/metadata-store/journal/frame.ts';
import { journalCluster, levelDiskIds, payloadsOf, startedJournal } from '../../../support/journal-cluster.ts';
import { settle } from '../../../support/simulated-clock.ts';
import type { SimulatedCluster } from '../../../support/simulated-cluster.ts';

const STATE = 'journal/state';

async function rewrite(cluster: SimulatedCluster, index: number, path: string, bytes: Buffer): Promise<void> {
  const { fs } = cluster.diskSet.disks[index]!;
  const file = await fs.open(path, 'write');
  await file.write(bytes, 0);
  await file.datasync();
  await file.close();
}

/** The state as a version to come would write it. */
async function renewState(cluster: SimulatedCluster, index: number): Promise<void> {
  const body = cluster.disks[index]!.peek(STATE)
    .toString()
    .split('\n')[0]!
    .replace('"format":2,"neededVersion":"0.2.0"', '"format":8,"neededVersion":"9.9.0"');
  const sum = crc32c(Buffer.from(body)).toString(16).padStart(8, '0');
  await rewrite(cluster, index, STATE, Buffer.from(`${body}\n${sum}\n`));
}

/** The last frame on a disk likewise. */
async function renewLastFrame(cluster: SimulatedCluster, index: number): Promise<void> {
  const tag = clusterTagOf(cluster.diskSet.clusterId);
  const paths = cluster.disks[index]!.filePaths().filter((one) => /\d{8}-\d{8}\.seg$/.test(one));
  for (const path of paths.sort().reverse()) {
    const bytes = Buffer.from(cluster.disks[index]!.peek(path));
    const offsets = Array.from({ length: bytes.length / 4096 }, (_, block) => block * 4096);
    const last = offsets.findLast((at) => hasFrameMagic(bytes, at) && decodeFrame(bytes.subarray(at), tag));
    if (last === undefined) continue;
    const frame = decodeFrame(bytes.subarray(last), tag)!.bytes;
    frame[8] = 9;
    frame.writeUInt32LE(crc32c(frame.subarray(8)), 4);
    return rewrite(cluster, index, path, bytes);
  }
  throw new Error('no frame');
}

const contentOf = (cluster: SimulatedCluster, index: number): string[] =>
  cluster.disks[index]!.filePaths()
    .sort()
    .map((path) => `${path} ${crc32c(cluster.disks[index]!.peek(path))}`);

describe('a journal of a newer version', () => {
  it.each([
    [
      'state',
      renewState,
      /disk .*journal\/state has version 8; this server knows version 2; it needs Holdfast 9.9.0 or newer/,
    ],
    ['frames', renewLastFrame, /disk .*a journal frame has version 9; this server knows version 1/],
  ] as const)('in its %s is refused at a start, and nothing is changed', async (_, renew, what) => {
    const cluster = await journalCluster({ k: 2, m: 1 });
    const journal = await startedJournal(cluster);
    for (let i = 0; i < 3; i++) await journal.append(Buffer.from(`p${i}`));
    await journal.stop();
    cluster.restart();
    await renew(cluster, 1);
    const before = contentOf(cluster, 1);
    await expect(startedJournal(cluster)).rejects.toMatchObject({
      code: 'FormatRefused',
      message: expect.stringMatching(what),
    });
    expect(contentOf(cluster, 1)).toEqual(before);
  });

  it.each([
    ['state', renewState],
    ['frames', renewLastFrame],
  ] as const)('in its %s is not levelled over when its disk returns', async (_, renew) => {
    const cluster = await journalCluster({ k: 2, m: 1 });
    const journal = await startedJournal(cluster);
    for (let i = 0; i < 3; i++) await journal.append(Buffer.from(`p${i}`));
    cluster.detach([1]);
    await journal.append(Buffer.from('without disk 1'));
    await settle();
    cluster.disks[1]!.attach();
    await renew(cluster, 1);
    const before = contentOf(cluster, 1);
    cluster.attach([1]);
    for (let i = 0; i < 5; i++) {
      await settle();
      await cluster.clock.advance(1000);
    }
    expect(contentOf(cluster, 1)).toEqual(before);
    expect(levelDiskIds(journal)).not.toContain(cluster.diskIds[1]);
    expect(await payloadsOf(journal)).toHaveLength(4);
  });
});
