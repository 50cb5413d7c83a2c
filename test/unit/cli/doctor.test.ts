import { createServer, type AddressInfo } from 'node:net';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkDevices, measureSyncs } from '../../../src/cli/doctor/disk-checks.ts';
import { checkClock, checkMemory, checkNode, checkPorts } from '../../../src/cli/doctor/machine-checks.ts';
import { loadConfig } from '../../../src/config/load-config.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-doctor-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function disks(count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const disk = path.join(folder, `disk${index}`);
    mkdirSync(disk);
    return disk;
  });
}

test('more directories on one device than the code may lose do not survive its loss', async () => {
  const paths = disks(3);
  expect((await checkDevices(paths, { k: 1, m: 2 })).map(({ code }) => code)).toEqual(['one-device']);
  expect(await checkDevices(paths.slice(0, 1), { k: 1, m: 1 })).toEqual([]);
});

test('a code without parity says so', async () => {
  expect((await checkDevices(disks(1), { k: 1, m: 0 }))[0]?.message).toContain(
    'does not survive the loss of this device',
  );
});

test.runIf(process.platform === 'linux')('a sync is really measured and leaves nothing behind', async () => {
  const paths = disks(1);
  const [finding] = await measureSyncs(paths, () => performance.now());
  expect(finding?.message).toMatch(/a synced write takes \d+\.\d\d ms/);
  expect(readdirSync(paths[0] ?? '')).toEqual([]);
});

test.each([
  ['18.20.0', 1],
  ['20.18.3', 1],
  ['20.19.0', 0],
  ['24.0.0', 0],
])('Node %s gives %i findings', (version, count) => {
  expect(checkNode(version)).toHaveLength(count);
});

test('a clock behind the journal is found, one ahead of it is not', () => {
  const now = Date.UTC(2026, 0, 1);
  expect(checkClock(now, now + 3_600_000)[0]?.code).toBe('clock-behind');
  expect(checkClock(now, now - 3_600_000)).toEqual([]);
  expect(checkClock(now, undefined)).toEqual([]);
});

test('a port in use comes with the flag for another', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as AddressInfo;
  const [finding] = await checkPorts([{ address: { host: '127.0.0.1', port }, flag: '--listen' }]);
  await new Promise((resolve) => taken.close(resolve));
  expect(finding).toMatchObject({ code: 'port-in-use', fix: `--listen 127.0.0.1:${port + 10}` });
});

test('a budget of buffers beyond the memory of the machine is found', async () => {
  const config = loadConfig({ env: {}, flags: { 'buffer-budget': '64 GiB' } });
  const { totalmem } = await import('node:os');
  expect(await checkMemory(config)).toHaveLength(totalmem() < 64 * 2 ** 30 ? 1 : 0);
});
