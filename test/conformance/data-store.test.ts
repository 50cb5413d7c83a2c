import { expect, test } from 'vitest';
import { bodyOf, DataStoreHarness, writeLarge } from '../support/data-store-harness.ts';

const CODES = [
  { k: 1, m: 0 },
  { k: 1, m: 1 },
  { k: 2, m: 1 },
  { k: 4, m: 2 },
  { k: 8, m: 4 },
];

/** Biased to the edges of slices, shards, stripes and buffers. */
function edgeSizes(k: number): number[] {
  const payload = 16 * 1024 - 512;
  const sizes = [0, 1, 63, 64, 4095, 4096, 4097, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1];
  for (const edge of [payload, k * payload, 65_536, 3 * k * payload]) sizes.push(edge - 1, edge, edge + 1);
  return [...sizes, 300_001];
}

function subsets(n: number, size: number): number[][] {
  if (size === 0) return [[]];
  const all: number[][] = [];
  for (let first = 0; first <= n - size; first++) {
    for (const rest of subsets(n - first - 1, size - 1)) all.push([first, ...rest.map((i) => i + first + 1)]);
  }
  return all;
}

for (const code of CODES) {
  const name = `${code.k}+${code.m}`;

  test(`${name}: bodies of every edge size read back, whole and in ranges`, async () => {
    const harness = await DataStoreHarness.start({ code });
    for (const size of edgeSizes(code.k)) {
      const body = bodyOf(`${name}/${size}`, size);
      const blob = await harness.withTime(harness.put(body));
      expect(blob.sizeBytes).toBe(size);
      expect(blob.footprint.length).toBeGreaterThan(0);
      expect((await harness.get(blob)).equals(body), `size ${size}`).toBe(true);
      for (const start of [0, 1, Math.floor(size / 2), size - 1]) {
        if (start < 0 || start > size) continue;
        for (const length of [0, 1, size - start]) {
          if (start + length > size) continue;
          const part = await harness.get(blob, { start, length });
          expect(part.equals(body.subarray(start, start + length)), `size ${size} range ${start}+${length}`).toBe(true);
        }
      }
    }
    expect(harness.store.takeDamage()).toEqual([]);
    await harness.withTime(harness.store.stop());
  });

  test(`${name}: everything reads right with any ${code.m} disks missing`, async () => {
    const harness = await DataStoreHarness.start({ code });
    const written: { body: Buffer; blob: Awaited<ReturnType<typeof harness.put>> }[] = [];
    const sizes = [0, 100, 5000, 40_000, 300_001];
    await harness.withTime(
      Promise.all(
        sizes.map(async (size) => {
          const body = bodyOf(`${name}/${size}`, size);
          written.push({ body, blob: await harness.put(body) });
        }),
      ),
    );
    const n = code.k + code.m;
    const losses = n > 6 ? subsets(n, code.m).filter((_, i) => i % 25 === 0) : subsets(n, code.m);
    for (const lost of losses) {
      harness.cluster.detach(lost);
      for (const { body, blob } of written) {
        expect((await harness.get(blob)).equals(body), `lost ${lost.join()} size ${body.length}`).toBe(true);
      }
      for (const index of lost) {
        harness.cluster.disks[index]!.attach();
        harness.cluster.diskSet.setState(harness.cluster.diskIds[index]!, 'online');
      }
    }
    await harness.withTime(harness.store.stop());
  });

  test(`${name}: one disk more than m missing is an honest failure`, async () => {
    const harness = await DataStoreHarness.start({ code });
    const blob = await harness.withTime(harness.put(bodyOf('x', 100_000)));
    harness.cluster.detach(Array.from({ length: code.m + 1 }, (_, i) => i));
    await expect(harness.get(blob)).rejects.toThrow(/shards needed/);
  });
}

test('a writer shows every byte to observe, in order and in shared memory', async () => {
  const harness = await DataStoreHarness.start({ code: { k: 4, m: 2 } });
  const body = bodyOf('observed', 500_000);
  const seen: Buffer[] = [];
  const pinned = await harness.withTime(
    writeLarge(harness.store, body, Buffer.alloc(0), {
      observe: (view) => {
        expect(view.buffer).toBeInstanceOf(SharedArrayBuffer);
        return Promise.resolve().then(() => void seen.push(Buffer.from(view)));
      },
    }),
  );
  expect(Buffer.concat(seen).equals(body)).toBe(true);
  pinned.unpin();
});
