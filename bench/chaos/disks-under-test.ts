import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, truncateSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Random } from './random.ts';

/** The directories of the server under test, and what can be done to them from outside while it runs. */
export class DisksUnderTest {
  readonly paths: readonly string[];

  constructor(paths: readonly string[]) {
    this.paths = paths;
  }

  /** As if the disk were pulled: one atomic rename. */
  pull(index: number): void {
    renameSync(this.#path(index), this.#away(index));
  }

  /** The same disk, as it was. */
  putBack(index: number): void {
    if (existsSync(this.#path(index))) rmSync(this.#path(index), { recursive: true });
    renameSync(this.#away(index), this.#path(index));
  }

  /** An empty mount point where the disk was. */
  unmount(index: number): void {
    this.pull(index);
    mkdirSync(this.#path(index));
  }

  /** `rm -rf disk`: nothing of it comes back. */
  destroy(index: number): void {
    rmSync(this.#path(index), { recursive: true, force: true });
  }

  /** `rm -rf disk/volumes/*` under a running server. */
  deleteShardFiles(index: number): number {
    const names = this.#shardFiles(index);
    for (const name of names) rmSync(join(this.#volumes(index), name), { force: true });
    return names.length;
  }

  /** Flips one bit at up to `count` places of each of some shard files, header and body alike. */
  async flipBits(index: number, random: Random, count: number): Promise<number> {
    let flipped = 0;
    for (const name of this.#some(index, random)) {
      const file = await open(join(this.#volumes(index), name), 'r+').catch(() => undefined);
      if (file === undefined) continue;
      try {
        const { size } = await file.stat();
        const places = size === 0 ? 0 : count;
        for (let i = 0; i < places; i++) {
          const at = random.below(size);
          const byte = Buffer.alloc(1);
          await file.read(byte, 0, 1, at);
          byte[0] = (byte[0] ?? 0) ^ (1 << random.below(8));
          await file.write(byte, 0, 1, at);
          flipped++;
        }
      } finally {
        await file.close();
      }
    }
    return flipped;
  }

  /** Cuts some shard files: by one byte, in half, or to nothing. */
  truncate(index: number, random: Random): number {
    let cut = 0;
    for (const name of this.#some(index, random)) {
      const path = join(this.#volumes(index), name);
      if (!existsSync(path)) continue;
      const { size } = statSync(path);
      truncateSync(path, random.pick([Math.max(0, size - 1), Math.floor(size / 2), 0]));
      cut++;
    }
    return cut;
  }

  /** Exchanges two shard files of one disk by name. */
  swapShardFiles(index: number, random: Random): boolean {
    const names = this.#shardFiles(index);
    if (names.length < 2) return false;
    const first = random.pick(names);
    const second = random.pick(names.filter((name) => name !== first));
    const [a, b] = [join(this.#volumes(index), first), join(this.#volumes(index), second)];
    if (!existsSync(a) || !existsSync(b)) return false;
    renameSync(a, `${a}.swap`);
    renameSync(b, a);
    renameSync(`${a}.swap`, b);
    return true;
  }

  /** A copy of one shard file as it is now; the function puts it back over what it has become. */
  copyShardFile(index: number, random: Random): (() => void) | undefined {
    const names = this.#shardFiles(index);
    if (names.length === 0) return undefined;
    const path = join(this.#volumes(index), random.pick(names));
    if (!existsSync(path)) return undefined;
    const copy = join(this.#path(index), '..', `stale-${index}`);
    cpSync(path, copy);
    return () => {
      if (existsSync(path)) renameSync(copy, path);
      else rmSync(copy, { force: true });
    };
  }

  #path(index: number): string {
    const path = this.paths[index];
    if (path === undefined) throw new Error(`there is no disk ${index}`);
    return path;
  }

  #away(index: number): string {
    return `${this.#path(index)}.away`;
  }

  #volumes(index: number): string {
    return join(this.#path(index), 'volumes');
  }

  #shardFiles(index: number): string[] {
    const directory = this.#volumes(index);
    return existsSync(directory) ? readdirSync(directory).filter((name) => name.endsWith('.shard')) : [];
  }

  /** A third of the shard files, at least one. */
  #some(index: number, random: Random): string[] {
    const names = this.#shardFiles(index);
    const chosen = names.filter(() => random.next() < 0.34);
    return chosen.length > 0 || names.length === 0 ? chosen : [random.pick(names)];
  }
}
