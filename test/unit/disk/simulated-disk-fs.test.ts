import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { errnoOf } from '../../../src/disk/disk-error.ts';
import type { DiskFile } from '../../../src/disk/disk-fs.ts';
import { SimulatedDiskFs } from '../../../src/disk/simulated-disk-fs.ts';
import type { CrashMode } from '../../../src/disk/simulated-node.ts';
import { isStoreError } from '../../../src/errors/store-error.ts';
import { SeededRandomness } from '../../support/simulated-randomness.ts';

const modes = fc.constantFrom<CrashMode>('random', 'drop-all', 'keep-all', 'torn');

type Step =
  | { type: 'write'; file: number; offset: number; length: number; fill: number }
  | { type: 'sync'; file: number }
  | { type: 'truncate'; file: number; length: number }
  | { type: 'publish'; file: number }
  | { type: 'unlink'; file: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('write' as const),
      file: fc.nat(2),
      offset: fc.nat(6000),
      length: fc.integer({ min: 1, max: 3000 }),
      fill: fc.integer({ min: 1, max: 255 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('sync' as const), file: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('truncate' as const), file: fc.nat(2), length: fc.nat(6000) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('publish' as const), file: fc.nat(2) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('unlink' as const), file: fc.nat(2) }) },
);

/** A naive model: for each file what was synced last, and every content of each sector since then. */
class ModelFile {
  synced: Buffer = Buffer.alloc(0);
  versions: Buffer[] = [];
  current: Buffer = Buffer.alloc(0);

  change(next: Buffer): void {
    this.current = next;
    this.versions.push(next);
  }

  sync(): void {
    this.synced = this.current;
    this.versions = [];
  }

  /** Every sector is as in one of the versions (or zeros where none was kept), the length is that of one. */
  allows(content: Buffer): boolean {
    const candidates = [this.synced, ...this.versions];
    if (!candidates.some((version) => version.length === content.length)) return false;
    for (let at = 0; at < content.length; at += 512) {
      const sector = content.subarray(at, Math.min(at + 512, content.length));
      const isKnown = candidates.some((version) => {
        const padded = Buffer.alloc(sector.length);
        version.subarray(at, at + sector.length).copy(padded);
        return padded.equals(sector);
      });
      if (!isKnown) return false;
    }
    return true;
  }
}

describe('SimulatedDiskFs', () => {
  test('what was synced survives every crash, and nothing appears that was never written', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), modes, fc.integer(), async (steps, mode, seed) => {
        const random = new SeededRandomness(seed);
        const fs = new SimulatedDiskFs({ turns: () => 1 + random.below(4) });
        const model = new Map<string, ModelFile>();
        const files = new Map<string, DiskFile>();
        const openFile = async (name: string): Promise<{ file: DiskFile; state: ModelFile }> => {
          if (!model.has(name)) {
            await fs.createDurable(name);
            model.set(name, new ModelFile());
            files.set(name, await fs.open(name, 'write'));
          }
          return { file: files.get(name)!, state: model.get(name)! };
        };
        for (const action of steps) {
          const name = `file${action.file}`;
          const { file, state } = await openFile(name);
          if (action.type === 'write') {
            const next = Buffer.alloc(Math.max(state.current.length, action.offset + action.length));
            state.current.copy(next);
            next.fill(action.fill, action.offset, action.offset + action.length);
            state.change(next);
            await file.write(Buffer.alloc(action.length, action.fill), action.offset);
          } else if (action.type === 'sync') {
            await file.datasync();
            state.sync();
          } else if (action.type === 'truncate') {
            const next = Buffer.alloc(action.length);
            state.current.copy(next);
            state.change(next);
            await file.truncate(action.length);
            state.sync();
          } else if (action.type === 'publish') {
            const target = `file${(action.file + 1) % 3}`;
            await fs.publish(name, target);
            model.set(target, state);
            files.set(target, file);
            model.delete(name);
          } else {
            await fs.unlink(name);
            model.delete(name);
          }
        }
        const after = fs.crash({ random, mode });
        expect(after.filePaths()).toEqual([...model.keys()].sort());
        for (const [name, state] of model) {
          expect(state.allows(after.peek(name)), `${name} after ${mode}`).toBe(true);
          if (mode === 'drop-all') expect(after.peek(name).equals(state.synced)).toBe(true);
          if (mode === 'keep-all') expect(after.peek(name).equals(state.current)).toBe(true);
        }
        // The next crash without writes changes nothing: what a recovery reads stays.
        const contents = after.filePaths().map((path) => after.peek(path));
        const again = after.crash({ random });
        expect(again.filePaths().map((path) => again.peek(path))).toEqual(contents);
      }),
      { numRuns: 300 },
    );
  });

  test('a direct-sync write is durable when it returns, other writes beside it are not', async () => {
    const fs = new SimulatedDiskFs();
    await fs.createDurable('a');
    const plain = await fs.open('a', 'write');
    await plain.write(Buffer.alloc(16_384, 1), 0);
    await plain.datasync();
    const direct = await fs.open('a', 'direct-sync');
    await plain.write(Buffer.alloc(4096, 2), 0);
    await plain.write(Buffer.alloc(4096, 3), 4096);
    await direct.write(Buffer.alloc(4096, 4), 4096);
    const late = direct.write(Buffer.alloc(4096, 5), 8192);
    const after = fs.crash({ random: new SeededRandomness(1), mode: 'drop-all' });
    await expect(late).rejects.toThrow();
    expect([0, 4096, 8192].map((offset) => after.peek('a')[offset])).toEqual([1, 4, 1]);
  });

  test('an unsynced write can be torn at any sector', async () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 60; seed++) {
      const fs = new SimulatedDiskFs();
      await fs.createDurable('a');
      const file = await fs.open('a', 'write');
      await file.write(Buffer.alloc(2048), 0);
      await file.datasync();
      await file.write(Buffer.alloc(2048, 1), 0);
      const content = fs.crash({ random: new SeededRandomness(seed), mode: 'torn' }).peek('a');
      seen.add(content.filter((byte) => byte === 1).length);
    }
    expect([...seen].sort((a, b) => a - b)).toEqual([0, 512, 1024, 1536, 2048]);
  });

  test('a rename that was under way is done or not done, never half', async () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 20; seed++) {
      const fs = new SimulatedDiskFs();
      await fs.createDurable('old');
      await fs.createDurable('new');
      fs.poke('old', 0, Buffer.from('old'));
      fs.poke('new', 0, Buffer.from('new'));
      const publishing = fs.publish('new', 'old');
      const after = fs.crash({ random: new SeededRandomness(seed) });
      await expect(publishing).rejects.toThrow();
      outcomes.add(
        after
          .filePaths()
          .map((path) => `${path}=${after.peek(path).toString()}`)
          .join(),
      );
    }
    expect([...outcomes].sort()).toEqual(['new=new,old=old', 'old=new']);
  });

  test('the dead process can do nothing any more', async () => {
    const fs = new SimulatedDiskFs();
    await fs.createDurable('a');
    const file = await fs.open('a', 'write');
    fs.crash({ random: new SeededRandomness(1) });
    const calls = [fs.list(''), fs.createDurable('b'), file.write(Buffer.alloc(1), 0), file.datasync()];
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { message: expect.stringMatching(/ESHUTDOWN/) } });
    }
  });

  test('a detached disk is missing by path, while open files go on and are not still there', async () => {
    const fs = new SimulatedDiskFs();
    await fs.createDurable('a');
    const file = await fs.open('a', 'write');
    fs.detach();
    await expect(fs.open('a', 'read')).rejects.toSatisfy((error) => isStoreError(error, 'DiskMissing'));
    await expect(fs.stat('a')).rejects.toSatisfy((error) => errnoOf(error) === 'ENOENT');
    await file.write(Buffer.from('x'), 0);
    await file.datasync();
    expect(await file.stillThere()).toBe(false);
    fs.attach();
    expect(await file.stillThere()).toBe(true);
    expect(fs.peek('a').toString()).toBe('x');
  });

  test('a full disk takes the beginning of a write, and removing a file gives its space back', async () => {
    const fs = new SimulatedDiskFs({ capacityBytes: 3 * 4096 });
    await fs.createDurable('a');
    await fs.createDurable('b');
    const a = await fs.open('a', 'write');
    await a.write(Buffer.alloc(8192, 1), 0);
    const b = await fs.open('b', 'write');
    const failure = await b.write(Buffer.alloc(8192, 2), 0).catch((error: unknown) => error);
    expect(isStoreError(failure, 'DiskFull')).toBe(true);
    expect(errnoOf(failure)).toBe('ENOSPC');
    expect((await fs.statSpace()).freeBytes).toBe(0);
    await a.write(Buffer.alloc(8192, 3), 0);
    await fs.unlink('a');
    expect((await fs.statSpace()).freeBytes).toBe(0);
    await a.close();
    expect((await fs.statSpace()).freeBytes).toBe(8192);
  });

  test('misaligned direct access and a buffer that changes under way are found', async () => {
    const fs = new SimulatedDiskFs();
    await fs.createDurable('a');
    const direct = await fs.open('a', 'direct');
    await expect(direct.write(Buffer.alloc(100), 0)).rejects.toThrow(/EINVAL/);
    await expect(direct.write(Buffer.alloc(4096), 100)).rejects.toThrow(/EINVAL/);
    const buffer = Buffer.alloc(4096);
    const writing = direct.write(buffer, 0);
    buffer[0] = 1;
    await expect(writing).rejects.toThrow(/changed while/);
  });

  test('a snapshot keeps an earlier content, for the same disk or another one', async () => {
    const fs = new SimulatedDiskFs();
    await fs.createDurable('a');
    const file = await fs.open('a', 'write');
    await file.write(Buffer.from('then'), 0);
    const image = fs.snapshot();
    await file.write(Buffer.from('now!'), 0);
    await fs.createDurable('b');
    const copy = SimulatedDiskFs.fromImage(image);
    fs.corrupt('a', 0);
    expect(copy.filePaths()).toEqual(['a']);
    expect(copy.peek('a').toString()).toBe('then');
    expect(fs.restore(image).peek('a').toString()).toBe('then');
  });

  test('turns from a seed permute the order of completion, the same for the same seed', async () => {
    const run = async (seed: number): Promise<string> => {
      const random = new SeededRandomness(seed);
      const fs = new SimulatedDiskFs({ turns: () => 1 + random.below(9) });
      const order: number[] = [];
      await Promise.all([1, 2, 3, 4, 5].map((i) => fs.createDurable(`f${i}`).then(() => order.push(i))));
      return order.join();
    };
    const orders = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(run));
    expect(new Set(orders).size).toBeGreaterThan(3);
    expect(await run(3)).toBe(orders[2]);
  });
});
