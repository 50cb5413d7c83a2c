import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type CpuProfile, renderSelfTimes } from './cpu-profile.ts';

const PRELOAD = fileURLToPath(new URL('./server-probe.cjs', import.meta.url));

/** What a server's main thread says of itself over a window. */
export interface LoopFigures {
  loopDelayP99Ms: number;
  loopDelayMaxMs: number;
  /** Share of the time in which the event loop was not idle. */
  loopUtilization: number;
  gcCount: number;
  gcTotalMs: number;
  gcMaxMs: number;
}

type Answer = { type: 'started' } | { type: 'stopped'; measured: LoopFigures; problem?: string };

/** NODE_OPTIONS that bring the probe into a server; it needs a channel to the bench. */
export const PROBE_NODE_OPTIONS = `--require ${JSON.stringify(PRELOAD)}`;

/** Talks to the probe in a server that the bench started. */
export class ServerProbe {
  readonly #child: ChildProcess;

  constructor(child: ChildProcess) {
    this.#child = child;
  }

  async start(options: { isProfiled: boolean }): Promise<void> {
    await this.#ask({ type: 'start', ...options });
  }

  /** With a profile under way it is written to `profileFile`, and its functions by self time to a text beside it. */
  async stop(profileFile: string | undefined): Promise<LoopFigures> {
    const answer = await this.#ask({ type: 'stop', profileFile });
    if (answer.type !== 'stopped') throw new Error('the probe answered out of turn');
    if (answer.problem !== undefined) throw new Error(`no profile: ${answer.problem}`);
    if (profileFile !== undefined) {
      const profile = JSON.parse(readFileSync(profileFile, 'utf8')) as CpuProfile;
      writeFileSync(profileFile.replace(/\.cpuprofile$/, '.txt'), renderSelfTimes(profile));
    }
    return answer.measured;
  }

  async #ask(question: object): Promise<Answer> {
    const child = this.#child;
    return await new Promise<Answer>((resolve, reject) => {
      const settle = (): void => {
        child.off('message', onMessage);
        child.off('exit', onExit);
      };
      const onMessage = (answer: unknown): void => {
        settle();
        resolve(answer as Answer);
      };
      const onExit = (): void => {
        settle();
        reject(new Error('the server ended while it was asked'));
      };
      child.on('message', onMessage);
      child.on('exit', onExit);
      child.send(question);
    });
  }
}
