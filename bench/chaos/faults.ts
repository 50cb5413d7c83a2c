import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { DisksUnderTest } from './disks-under-test.ts';
import type { Random } from './random.ts';
import type { Recorder } from './recorder.ts';
import type { ServerUnderTest } from './server-under-test.ts';

export const DISK_FAULTS = [
  'pull',
  'unmount',
  'destroy-and-replace',
  'delete-shard-files',
  'flip-bits',
  'truncate',
  'swap-shard-files',
  'stale-shard-file',
  'slow',
  'hang',
  'read-only',
  'full',
] as const;
export const PROCESS_FAULTS = ['kill', 'freeze', 'delete-index', 'truncate-index'] as const;
type DiskFault = (typeof DISK_FAULTS)[number];
type ProcessFault = (typeof PROCESS_FAULTS)[number];
/** One fault in so many hits the process, the others a disk. */
const PROCESS_SHARE = 0.25;
const SLOW_MS = 100;

export interface FaultThrowerOptions {
  server: ServerUnderTest;
  random: Random;
  recorder: Recorder;
  /** At most so many disks hurt at once; a disk stays hurt until a census was clean. */
  mostHurtDisks: number;
  /** Names of the faults to throw. */
  kinds: readonly string[];
  /** Called after each start of a new process. */
  onRestart: () => void;
}

/** Throws faults at a running server, one at a time, and mends what it tore: damage itself only the server mends. */
export class FaultThrower {
  readonly #options: FaultThrowerOptions;
  readonly #disks: DisksUnderTest;
  readonly #hurt = new Set<number>();
  readonly #diskFaults: readonly DiskFault[];
  readonly #processFaults: readonly ProcessFault[];
  /** Disks that are away now, each with what brings it back. */
  readonly #away = new Map<number, () => Promise<void>>();

  constructor(options: FaultThrowerOptions) {
    this.#options = options;
    this.#disks = new DisksUnderTest(options.server.diskPaths);
    this.#diskFaults = DISK_FAULTS.filter((kind) => options.kinds.includes(kind));
    this.#processFaults = PROCESS_FAULTS.filter((kind) => options.kinds.includes(kind));
  }

  async throwOne(): Promise<void> {
    const { random } = this.#options;
    const isProcess =
      this.#diskFaults.length === 0 || (this.#processFaults.length > 0 && random.next() < PROCESS_SHARE);
    if (isProcess) await this.#hitProcess(random.pick(this.#processFaults));
    else await this.#hitDisk(random.pick(this.#diskFaults));
  }

  /** Before the process ends that has counted. */
  async noteHealing(): Promise<void> {
    const { server, recorder } = this.#options;
    const { writtenBytes, repairedFileCount, rebuiltShardCount } = await server.healing();
    recorder.healed.writtenBytes += writtenBytes;
    recorder.healed.fileCount += repairedFileCount;
    recorder.healed.shardCount += rebuiltShardCount;
  }

  /** Everything that was taken away comes back. */
  async mendAll(): Promise<void> {
    for (const bringBack of this.#away.values()) await bringBack();
  }

  /** A census was clean: no disk is hurt any more. */
  declareClean(): void {
    this.#hurt.clear();
  }

  /** More disks than the code bears; the function brings them back. */
  async pullMoreThanAllowed(): Promise<() => Promise<void>> {
    const { recorder, mostHurtDisks } = this.#options;
    const indexes = Array.from({ length: mostHurtDisks + 1 }, (_, index) => index);
    const event = recorder.beginFault('pull-beyond-m', indexes.join(','), true);
    for (const index of indexes) this.#disks.pull(index);
    return async () => {
      for (const index of indexes) this.#disks.putBack(index);
      recorder.endFault(event);
      await Promise.resolve();
    };
  }

  async #hitProcess(kind: ProcessFault): Promise<void> {
    const { server, random, recorder, onRestart } = this.#options;
    const event = recorder.beginFault(kind, 'server', true);
    if (kind === 'freeze') {
      await server.freeze(500 + random.below(2000));
    } else {
      await this.noteHealing();
      await server.kill();
      if (kind !== 'kill') server.damageIndex(kind === 'delete-index' ? 'delete' : 'truncate');
      recorder.restartsMs.push(await this.#startAgain());
      onRestart();
    }
    recorder.endFault(event);
  }

  /** A server that does not come back is a violation, and nothing can be checked any more. */
  async #startAgain(): Promise<number> {
    try {
      return await this.#options.server.start();
    } catch (error) {
      this.#options.recorder.violation(`the server does not start again: ${String(error).slice(0, 300)}`);
      throw error;
    }
  }

  async #hitDisk(kind: DiskFault): Promise<void> {
    const { random, recorder, mostHurtDisks } = this.#options;
    const present = this.#disks.paths.map((_, index) => index).filter((index) => !this.#away.has(index));
    const allowed = this.#hurt.size < mostHurtDisks ? present : present.filter((index) => this.#hurt.has(index));
    if (allowed.length === 0) return await this.#returnOne();
    const index = random.pick(allowed);
    this.#hurt.add(index);
    const event = recorder.beginFault(kind, `disk ${index + 1}`, false);
    const end = (): void => recorder.endFault(event);
    switch (kind) {
      case 'pull':
      case 'unmount': {
        if (kind === 'pull') this.#disks.pull(index);
        else this.#disks.unmount(index);
        return this.#takenAway(index, end, () => {
          this.#disks.putBack(index);
        });
      }
      case 'destroy-and-replace': {
        this.#disks.destroy(index);
        return this.#takenAway(index, end, async () => {
          mkdirSync(this.#path(index));
          await this.#replace(index);
        });
      }
      case 'slow':
        return this.#standing(index, { kind: 'slow', delayMs: SLOW_MS }, end);
      case 'hang':
      case 'read-only':
      case 'full':
        return this.#standing(index, { kind }, end);
      case 'stale-shard-file': {
        const restore = this.#disks.copyShardFile(index, random);
        await delay(500);
        restore?.();
        break;
      }
      case 'flip-bits':
        await this.#disks.flipBits(index, random, 3);
        break;
      case 'truncate':
        this.#disks.truncate(index, random);
        break;
      case 'swap-shard-files':
        this.#disks.swapShardFiles(index, random);
        break;
      case 'delete-shard-files':
        this.#disks.deleteShardFiles(index);
        break;
    }
    end();
  }

  #standing(index: number, fault: Parameters<ServerUnderTest['hurt']>[1], end: () => void): void {
    this.#options.server.hurt(index, fault);
    this.#takenAway(index, end, () => this.#options.server.heal(index));
  }

  #takenAway(index: number, end: () => void, bringBack: () => Promise<void> | void): void {
    this.#away.set(index, async () => {
      this.#away.delete(index);
      await bringBack();
      end();
    });
  }

  async #returnOne(): Promise<void> {
    const first = this.#away.values().next().value;
    await first?.();
  }

  /** The server must have seen that the disk is gone; until then it refuses. */
  async #replace(index: number): Promise<void> {
    const deadline = performance.now() + 30_000;
    for (;;) {
      const { status, output } = await this.#options.server.command('disk', 'replace', this.#path(index));
      if (status === 0) return;
      if (performance.now() > deadline) {
        this.#options.recorder.violation(`disk ${index + 1} could not be replaced: ${output.trim()}`);
        return;
      }
      await delay(500);
    }
  }

  #path(index: number): string {
    const path = this.#disks.paths[index];
    if (path === undefined) throw new Error(`there is no disk ${index}`);
    return path;
  }
}
