import { join } from 'node:path';
import { type UsageDelta, UsageWatch } from './process-usage.ts';
import type { LoopFigures } from './server-probe.ts';
import type { ServerUnderTest } from './server-under-test.ts';

export interface WindowFigures extends UsageDelta {
  /** Undefined for a server that is not Holdfast's own. */
  loop: LoopFigures | undefined;
}

/** Watches one server from the moment the load starts until its last operation has ended. */
export class MeasuredWindow {
  readonly #server: ServerUnderTest;
  readonly #profileFile: string | undefined;
  #watch: UsageWatch | undefined;
  #figures: WindowFigures | undefined;

  /** `profileFolder`: where a CPU profile named after the cell goes; undefined: none is taken. */
  constructor(server: ServerUnderTest, cell: string, profileFolder: string | undefined) {
    this.#server = server;
    this.#profileFile =
      profileFolder === undefined || server.own?.probe === undefined
        ? undefined
        : join(profileFolder, `${cell}.cpuprofile`);
  }

  async open(): Promise<void> {
    await this.#server.own?.probe?.start({ isProfiled: this.#profileFile !== undefined });
    this.#watch = new UsageWatch(this.#server.processId);
  }

  async close(): Promise<void> {
    const usage = this.#watch?.stop();
    const loop = await this.#server.own?.probe?.stop(this.#profileFile);
    if (usage !== undefined) this.#figures = { ...usage, loop };
  }

  /** @throws before it was closed. */
  get figures(): WindowFigures {
    if (this.#figures === undefined) throw new Error('the window is still open');
    return this.#figures;
  }
}
