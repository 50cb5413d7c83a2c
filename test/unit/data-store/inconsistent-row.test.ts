import { expect, test } from 'vitest';
import { bodyOf, DataStoreHarness, readAll } from '../../support/data-store-harness.ts';

test.each([-1, 1])('a small blob whose record is off by %i bytes is never answered shorter or longer', async (off) => {
  const harness = await DataStoreHarness.start({ code: { k: 2, m: 1 } });
  const body = bodyOf('row', 3000);
  const blob = await harness.withTime(harness.put(body));
  const wrong = { ...blob, sizeBytes: body.length + off };
  const range = { start: 10, length: wrong.sizeBytes - 10 };
  const message = `a blob of ${wrong.sizeBytes} bytes has a body of 3000`;
  await expect(harness.withTime(harness.store.readSmall(wrong, range))).rejects.toThrow(message);
  await expect(harness.withTime(readAll(harness.store, wrong, range))).rejects.toThrow(message);
  const right = { start: 10, length: body.length - 10 };
  expect(await harness.withTime(harness.store.readSmall(blob, right))).toEqual(body.subarray(10));
});
